"""Losses: values, gradients, limits, errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import reference

from cydropout.training import losses
from cydropout.training.losses import (
    BinaryCrossEntropy,
    Loss,
    MeanSquaredError,
    NegativeLogLikelihood,
    SoftmaxCrossEntropy,
)

rng = np.random.default_rng(0)
LOGITS = 3 * rng.standard_normal((6, 4))
PROBABILITIES = rng.dirichlet(np.ones(4), 6)
LABELS = np.array([0, 3, 1, 2, 2, 0])
ONE_HOT = np.eye(4)[LABELS]
SOFT = rng.dirichlet(np.ones(4), 6)
CASES: dict[str, tuple[Loss, np.ndarray, np.ndarray]] = {
    "softmax": (SoftmaxCrossEntropy(), LOGITS, LABELS),
    "softmax-one-hot": (SoftmaxCrossEntropy(), LOGITS, ONE_HOT),
    "softmax-soft": (SoftmaxCrossEntropy(), LOGITS, SOFT),
    "softmax-smooth": (SoftmaxCrossEntropy(0.1), LOGITS, LABELS),
    "softmax-sequence": (
        SoftmaxCrossEntropy(),
        LOGITS.reshape(2, 3, 4),
        LABELS.reshape(2, 3),
    ),
    "nll": (NegativeLogLikelihood(), PROBABILITIES, LABELS),
    "nll-one-hot": (NegativeLogLikelihood(), PROBABILITIES, ONE_HOT),
    "nll-soft": (NegativeLogLikelihood(), PROBABILITIES, SOFT),
    "binary": (BinaryCrossEntropy(), LOGITS, (LOGITS[::-1] > 0)),
    "binary-soft": (BinaryCrossEntropy(), LOGITS, SOFT),
    "binary-probabilities": (BinaryCrossEntropy(from_logits=False), PROBABILITIES, SOFT),
    "binary-column": (BinaryCrossEntropy(), LOGITS[:, :1], LABELS > 1),
    "squared": (MeanSquaredError(), LOGITS, PROBABILITIES),
    "squared-column": (MeanSquaredError(), LOGITS[:, :1], LABELS),
}


@pytest.fixture(params=CASES, name="case")
def _case(request: pytest.FixtureRequest) -> tuple[Loss, np.ndarray, np.ndarray]:
    return CASES[request.param]


def test_gradient(case: tuple[Loss, np.ndarray, np.ndarray]) -> None:
    loss, prediction, target = case
    prediction = prediction.copy()
    gradient = loss(prediction, target)[1]
    expected, step = np.empty_like(prediction), 1e-6
    for place in np.ndindex(prediction.shape):
        middle = prediction[place]
        values = []
        for moved in (middle + step, middle - step):
            prediction[place] = moved
            values.append(loss(prediction, target)[0])
        prediction[place] = middle
        expected[place] = (values[0] - values[1]) / (2 * step)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
def test_dtype(case: tuple[Loss, np.ndarray, np.ndarray], dtype: str) -> None:
    loss, prediction, target = case
    kind = reference.dtype_named(dtype)
    narrow = prediction.astype(kind)
    value, gradient = loss(narrow, target)
    assert isinstance(value, float)
    assert gradient.dtype == kind and gradient.shape == prediction.shape
    wide_value, wide_gradient = loss(narrow.astype("float64"), target)
    assert value == pytest.approx(wide_value, rel=1e-5)
    rough = 1e-5 if dtype.endswith(("32", "64")) else 1e-2
    np.testing.assert_allclose(
        gradient.astype("float64"), wide_gradient, rtol=rough, atol=rough * 1e-2
    )


def test_inputs_are_left_alone(case: tuple[Loss, np.ndarray, np.ndarray]) -> None:
    loss, prediction, target = case
    before = prediction.copy(), target.copy()
    loss(prediction, target)
    loss.accuracy(prediction, target)
    np.testing.assert_array_equal(prediction, before[0])
    np.testing.assert_array_equal(target, before[1])


def test_agrees_with_torch(case: tuple[Loss, np.ndarray, np.ndarray]) -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn.functional
    loss, prediction, target = case
    z = torch.tensor(prediction, requires_grad=True)
    if isinstance(loss, (SoftmaxCrossEntropy, NegativeLogLikelihood)):
        rows, t = z.reshape(-1, 4), target.reshape(-1) if target.dtype.kind == "i" else target
        if isinstance(loss, NegativeLogLikelihood):
            soft = np.eye(4)[t] if t.ndim == 1 else t
            value = -(torch.tensor(soft) * torch.log(rows)).sum(1).mean()
        else:
            value = nn.cross_entropy(rows, torch.tensor(t), label_smoothing=loss.label_smoothing)
    else:
        t = torch.tensor(target.reshape(prediction.shape).astype("float64"))
        if isinstance(loss, MeanSquaredError):
            value = nn.mse_loss(z, t)
        elif loss.from_logits:
            value = nn.binary_cross_entropy_with_logits(z, t)
        else:
            value = nn.binary_cross_entropy(z, t)
    value.backward()
    found, gradient = loss(prediction, target)
    assert found == pytest.approx(value.item(), rel=1e-9)
    np.testing.assert_allclose(gradient, z.grad.numpy(), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", [np.array([0, 2]), np.eye(3)[[0, 2]]])
def test_softmax_at_large_logits(dtype: str, target: np.ndarray) -> None:
    z = np.array([[1e4, -1e4, 0], [1e4, 0, -1e4]], dtype)
    value, gradient = SoftmaxCrossEntropy()(z, target)
    assert value == pytest.approx(1e4)
    np.testing.assert_allclose(gradient, [[0, 0, 0], [0.5, 0, -0.5]])
    same = SoftmaxCrossEntropy()(np.full((2, 3), 1e4, dtype), target)[0]
    assert same == pytest.approx(np.log(3))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binary_at_large_logits(dtype: str) -> None:
    z = np.array([1e4, -1e4, 1e4, -1e4], dtype)
    value, gradient = BinaryCrossEntropy()(z, np.array([1, 0, 0, 1]))
    assert value == pytest.approx(5e3)
    np.testing.assert_allclose(gradient, [0, 0, 0.25, -0.25])


def test_logits_of_minus_infinity_mask_a_class() -> None:
    z = np.array([[0.0, 0.0, -np.inf]])
    for target in (np.array([1]), np.array([[0.0, 1.0, 0.0]])):
        value, gradient = SoftmaxCrossEntropy()(z, target)
        assert value == pytest.approx(np.log(2))
        np.testing.assert_allclose(gradient, [[0.5, -0.5, 0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", [NegativeLogLikelihood(), BinaryCrossEntropy(from_logits=False)])
def test_probabilities_of_zero_and_one(loss: Loss, dtype: str) -> None:
    p = np.array([[0, 1], [1, 0]], dtype)
    value, gradient = loss(p, np.array([[1, 0], [1, 0]]))
    assert np.isfinite(value) and np.isfinite(gradient).all()
    assert gradient[0, 0] < -1e3


def test_nan_reaches_the_value(case: tuple[Loss, np.ndarray, np.ndarray]) -> None:
    loss, prediction, target = case
    prediction = prediction.copy()
    prediction.flat[:] = np.nan
    assert np.isnan(loss(prediction, target)[0])


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), BinaryCrossEntropy(), MeanSquaredError()])
def test_infinity_reaches_the_value(loss: Loss) -> None:
    z = np.array([[np.inf, np.inf], [np.inf, -np.inf]], "float32")
    assert not np.isfinite(loss(z, np.eye(2))[0])


def test_smoothing_keeps_the_sum() -> None:
    gradient = SoftmaxCrossEntropy(0.2)(LOGITS, LABELS)[1]
    np.testing.assert_allclose(gradient.sum(1), 0, atol=1e-15)


def test_accuracy() -> None:
    z = np.array([[2.0, 1], [0, 3], [5, 4], [1, 2]])
    for loss in (SoftmaxCrossEntropy(), NegativeLogLikelihood()):
        assert loss.accuracy(z, np.array([0, 1, 1, 1])) == 0.75
        assert loss.accuracy(z, np.eye(2)[[0, 1, 1, 1]]) == 0.75
    assert BinaryCrossEntropy().accuracy(np.array([[1.0], [-1], [2]]), np.array([1, 0, 0])) == 2 / 3
    half = BinaryCrossEntropy(from_logits=False)
    assert half.accuracy(np.array([0.6, 0.4]), np.array([True, True])) == 0.5
    assert MeanSquaredError().accuracy(z, z) is None


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), NegativeLogLikelihood()])
@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        ([0, 1, 4], ValueError, "label 4 at position 2 .* 4 classes"),
        ([0, -1, 2], ValueError, "label -1 at position 1"),
        ([0, 1], ValueError, r"\(2,\).*\(3, 4\)"),
        (np.zeros((3, 3), int), ValueError, r"\(3, 3\).*\(3, 4\)"),
        ([0.0, 1.0, 2.0], TypeError, "float64"),
        (np.array(["a", "b", "c"]), TypeError, "<U1"),
        (np.zeros((3, 4)), ValueError, "row 0 sums to 0"),
        ([[1, 0, 0, 0], [2, -1, 0, 0], [1, 0, 0, 0]], ValueError, "row 1 .* -1"),
    ],
)
def test_wrong_labels(loss: Loss, target: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        loss(PROBABILITIES[:3], target)


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), MeanSquaredError()])
@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        (np.zeros(4), ValueError, r"\(4,\).*\(3, 4\)"),
        (np.zeros((3, 1)), ValueError, r"\(3, 1\).*\(3, 4\)"),
        (np.zeros((3, 4), complex), TypeError, "complex128"),
    ],
)
def test_wrong_targets(loss: Loss, target: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        loss(PROBABILITIES[:3], target)


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda: SoftmaxCrossEntropy()(np.ones((2, 3), int), [0, 1]), TypeError, "int64"),
        (lambda: SoftmaxCrossEntropy()(np.ones((0, 3)), np.zeros(0, int)), ValueError, "empty"),
        (lambda: SoftmaxCrossEntropy()(np.ones(3), [0, 1, 2]), ValueError, "classes"),
        (lambda: BinaryCrossEntropy()(np.ones(2), [0.5, 2.5]), ValueError, "2.5"),
        (lambda: BinaryCrossEntropy()(np.ones(2), [0.5, np.nan]), ValueError, "nan"),
        (lambda: BinaryCrossEntropy(False)(np.array([1.5]), [1]), ValueError, "1.5.*logits"),
        (lambda: NegativeLogLikelihood()(-LOGITS, LABELS), ValueError, "logits"),
        (lambda: SoftmaxCrossEntropy(1.0), ValueError, "1.0"),
        (lambda: NegativeLogLikelihood(epsilon=0), ValueError, "epsilon"),
        (lambda: losses.get("hinge"), ValueError, "hinge.*mean_squared_error"),
        (lambda: losses.get(3), TypeError, "3"),  # type: ignore[arg-type]
    ],
)
def test_errors(act: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        act()


def test_get() -> None:
    for name, kind in losses.NAMES.items():
        assert type(losses.get(name)) is kind
        assert kind.__name__ in repr(losses.get(name))
    loss = MeanSquaredError()
    assert losses.get(loss) is loss


@pytest.mark.parametrize("kind", [SoftmaxCrossEntropy, MeanSquaredError])
def test_what_a_subclass_defines_anew_counts(kind: type[Loss]) -> None:
    def losses_and_gradient(self: Loss, prediction: np.ndarray, target: np.ndarray) -> tuple:
        return np.full(len(target), 7.0), np.zeros_like(prediction)

    own = type("Own", (kind,), {"losses_and_gradient": losses_and_gradient})()
    target = LABELS if kind is SoftmaxCrossEntropy else LOGITS
    assert own.measured(LOGITS, target)[0] == own(LOGITS, target)[0] == 7.0
    assert own.kernel is None
