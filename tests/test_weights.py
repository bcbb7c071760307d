"""Weights of samples, positions and classes, through every loss and the trainer."""

import numpy as np
import pytest

from cydropout import Trainer
from cydropout.layers import Dense, Embedding, Sequential
from cydropout.training import losses
from cydropout.training.losses import (
    BinaryCrossEntropy,
    FunctionLoss,
    Loss,
    MeanSquaredError,
    NegativeLogLikelihood,
    RDropLoss,
    SoftmaxCrossEntropy,
)

rng = np.random.default_rng(3)
LOGITS = 2 * rng.standard_normal((6, 4))
LONG = 2 * rng.standard_normal((6, 5, 4))  # sequences
SHARES, SOFT = rng.dirichlet(np.ones(4), 6), rng.dirichlet(np.ones(4), 6)
LABELS, LONG_LABELS = rng.integers(0, 4, 6), rng.integers(0, 4, (6, 5))
WEIGHTS = np.array([0.5, 2.0, 0.0, 1.0, 3.0, 0.25])
LONG_WEIGHTS = rng.integers(0, 3, (6, 5)) / 2


class Absolute(Loss):
    def losses_and_gradient(self, prediction, target):
        return abs(prediction - target), np.sign(prediction - target)


# The loss, predictions of one or two passes, targets, and the weights.
CASES = {
    "softmax_cross_entropy": (SoftmaxCrossEntropy(), LOGITS, LABELS, WEIGHTS),
    "softmax-one-hot": (SoftmaxCrossEntropy(), LOGITS, np.eye(4)[LABELS], WEIGHTS),
    "softmax-soft": (SoftmaxCrossEntropy(), LOGITS, SOFT, WEIGHTS),
    "softmax-smooth": (SoftmaxCrossEntropy(0.1), LOGITS, LABELS, WEIGHTS),
    "softmax-sequence": (SoftmaxCrossEntropy(), LONG, LONG_LABELS, WEIGHTS),
    "softmax-positions": (SoftmaxCrossEntropy(), LONG, LONG_LABELS, LONG_WEIGHTS),
    "negative_log_likelihood": (NegativeLogLikelihood(), SHARES, LABELS, WEIGHTS),
    "nll-soft": (NegativeLogLikelihood(), SHARES, SOFT, WEIGHTS),
    "binary_cross_entropy": (BinaryCrossEntropy(), LOGITS, SOFT, WEIGHTS),
    "binary-probabilities": (BinaryCrossEntropy(from_logits=False), SHARES, SOFT, WEIGHTS),
    "binary-column": (BinaryCrossEntropy(), LOGITS[:, :1], LABELS > 1, WEIGHTS),
    "mean_squared_error": (MeanSquaredError(), LOGITS, SHARES, WEIGHTS),
    "squared-positions": (MeanSquaredError(), LOGITS, SHARES, LOGITS.round() ** 2),
    "r_drop": (RDropLoss(0.7), np.concatenate([LOGITS, LOGITS[::-1] + 1]), LABELS, WEIGHTS),
    "r_drop-positions": (
        RDropLoss(0.7), np.concatenate([LONG, LONG[::-1] + 1]), LONG_LABELS, LONG_WEIGHTS),
    "own": (Absolute(), LOGITS, SHARES, WEIGHTS),
}


@pytest.fixture(params=CASES, name="case")
def _case(request):
    return CASES[request.param]


def rows(loss, prediction, place):
    """The predictions of one sample, of all passes."""
    return prediction[place :: len(prediction) // loss.passes]


def by_sample(loss, prediction, target, weight):
    """Return the weighted mean and its gradient, from calls without weights."""
    value, gradient = 0.0, np.zeros_like(prediction)
    counts = weight if weight.ndim == 1 else weight.reshape(len(target), -1).sum(axis=1)
    for place, count in enumerate(counts):
        if weight.ndim == 1:
            one, back = loss(rows(loss, prediction, place), target[place : place + 1])
            value += count * one / counts.sum()
            rows(loss, gradient, place)[:] = back * count / counts.sum()
            continue
        for spot, w in enumerate(weight[place]):
            part = rows(loss, prediction, place)[:, spot : spot + 1]
            one, back = loss(part, target[place : place + 1, spot : spot + 1])
            value += w * one / counts.sum()
            rows(loss, gradient, place)[:, spot : spot + 1] = back * w / counts.sum()
    return value, gradient


def test_all_losses_are_in_the_table():
    assert {type(case[0]) for case in CASES.values()} >= set(losses.NAMES.values())


def test_a_weighted_loss_is_the_weighted_mean(case):
    loss, prediction, target, weight = case
    value, gradient = loss(prediction, target, weight)
    expected = by_sample(loss, prediction, target, weight)
    assert value == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-9, atol=1e-14)
    narrow = loss(prediction.astype("float32"), target, weight.astype("float32"))
    assert narrow[0] == pytest.approx(value, rel=1e-5) and narrow[1].dtype == np.float32


def test_equal_weights_change_nothing(case):
    loss, prediction, target, weight = case
    for ones in (np.full(len(target), 3), np.full(weight.shape, True)):
        value, gradient = loss(prediction, target, ones)
        expected = loss(prediction, target)
        assert value == pytest.approx(expected[0], rel=1e-12)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-12)
        right = loss.accuracy(prediction, target), loss.accuracy(prediction, target, ones)
        assert right[0] == (None if right[1] is None else pytest.approx(right[1]))


def test_what_weighs_nothing_is_out_also_where_it_is_not_finite(case):
    loss, prediction, target, _ = case
    weight = np.array([1.0, 1, 0, 1, 1, 1])
    spoilt = prediction.copy()
    rows(loss, spoilt, 2)[:] = np.nan
    value, gradient = loss(spoilt, target, weight)
    expected = loss(prediction, target, weight)
    assert value == expected[0]
    np.testing.assert_array_equal(gradient, expected[1])
    assert not rows(loss, gradient, 2).any()
    value, gradient = loss(prediction, target, 0 * weight)
    assert value == 0 and not gradient.any()


WRONG = {
    "negative": ([1, 1, -0.5, 1, 1, 1], ValueError, "at least 0, got -0.5 at position 2"),
    "nan": ([1, 1, 1, np.nan, 1, 1], ValueError, "finite.*nan at position 3"),
    "infinite": ([1, np.inf, 1, 1, 1, 1], ValueError, "finite.*inf at position 1"),
    "short": ([1, 1], ValueError, r"\(2,\).*\(6,"),
    "one": (2.0, ValueError, "number for each sample.*2.0"),
    "words": (["a"] * 6, TypeError, "real numbers"),
    "masked": (np.ma.masked_array(np.ones(6)), TypeError, "masked"),
    "deep": (np.ones((6, 9)), ValueError, r"\(6, 9\)"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_weights_are_named(case, wrong):
    loss, prediction, target, _ = case
    weight, error, words = WRONG[wrong]
    with pytest.raises(error, match=f"weight.*{words}"):
        loss(prediction, target, weight)


def test_weighted_accuracy():
    z, y = np.array([[2.0, 1], [0, 3], [5, 4], [1, 2]]), np.array([0, 1, 1, 0])
    assert SoftmaxCrossEntropy().accuracy(z, y, [3, 1, 0, 4]) == 0.5
    assert BinaryCrossEntropy().accuracy(z[:, 0] - 1, y, [5, 1, 0, 2]) == 0.25
    both = np.concatenate([z, -z])
    assert RDropLoss().accuracy(both, y, [3, 1, 0, 4]) == 0.5
    assert MeanSquaredError().accuracy(z, z, np.ones(4)) is None


# ---------------------------------------------------------------- PyTorch

PER_CLASS = np.array([0.5, 2.0, 1.0, 0.1])


@pytest.mark.parametrize("ignored", [None, 1, -100])
@pytest.mark.parametrize("prediction", [LOGITS, LONG], ids=["samples", "sequences"])
def test_class_weights_and_ignored_labels_are_those_of_pytorch(prediction, ignored):
    torch = pytest.importorskip("torch")
    labels = np.array(LABELS if prediction.ndim == 2 else LONG_LABELS)
    if ignored == -100:
        labels[:2] = ignored
    z = torch.tensor(prediction.reshape(-1, 4), requires_grad=True)
    value = torch.nn.functional.cross_entropy(
        z, torch.tensor(labels.reshape(-1)), weight=torch.tensor(PER_CLASS),
        ignore_index=-1 if ignored is None else ignored)
    value.backward()
    expected = z.grad.numpy().reshape(prediction.shape)
    weight = PER_CLASS[labels.clip(0)]
    found, gradient = SoftmaxCrossEntropy(ignore_index=ignored)(prediction, labels, weight)
    assert found == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-14)
    shares = np.exp(prediction) / np.exp(prediction).sum(axis=-1, keepdims=True)
    found, _ = NegativeLogLikelihood(ignore_index=ignored)(shares, labels, weight)
    assert found == pytest.approx(value.item(), rel=1e-9)


@pytest.mark.parametrize(
    "loss", [SoftmaxCrossEntropy(), NegativeLogLikelihood(), RDropLoss()], ids=repr)
def test_ignored_labels_are_out_and_others_are_checked(loss):
    prediction = np.concatenate([SHARES, SHARES[::-1]]) if loss.passes == 2 else SHARES
    labels = LABELS.copy()
    labels[[1, 4]] = 9
    with pytest.raises(ValueError, match="label 9 at position 1"):
        loss(prediction, labels)
    loss = type(loss)(ignore_index=9)
    kept = np.array([1, 0, 1, 1, 0, 1])
    expected = type(loss)()(prediction, np.where(kept, labels, 0), kept)
    value, gradient = loss(prediction, labels)
    assert value == expected[0]
    np.testing.assert_array_equal(gradient, expected[1])
    assert loss.accuracy(prediction, labels) == type(loss)().accuracy(
        prediction, np.where(kept, labels, 0), kept)
    loss.check_targets(labels, (4,))
    with pytest.raises(ValueError, match="label 7 at position 3"):
        loss.check_targets(np.where(np.arange(6) == 3, 7, labels), (4,))


# ---------------------------------------------------------------- the trainer

X, Y = rng.standard_normal((23, 5)), rng.integers(0, 3, 23)
W = rng.integers(0, 4, 23) / 2
SGD = {"epochs": 2, "progress": False}


def trainer(loss="softmax_cross_entropy", units=3):
    return Trainer(Sequential([Dense(units)], dtype="float64"), loss, "sgd", rng=0)


def weights_after(fitted):
    return fitted.model.parameters()[0].value


def test_integer_weights_are_repetitions_of_full_batches():
    times = np.arange(23) % 3
    once, repeated = trainer(), trainer()
    history = once.fit(X, Y, sample_weight=times, batch_size=23, **SGD)
    many = X.repeat(times, axis=0), Y.repeat(times)
    expected = repeated.fit(*many, batch_size=len(many[0]), **SGD)
    np.testing.assert_allclose(weights_after(once), weights_after(repeated), rtol=1e-9)
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(history[name], expected[name])
    found = once.evaluate(X, Y, sample_weight=times, batch_size=4)
    for name, value in repeated.evaluate(*many).items():
        assert found[name] == pytest.approx(value)


def test_batches_bring_their_weights():
    arrays, brought = trainer(), trainer()
    arrays.fit(X, Y, sample_weight=W, batch_size=6, shuffle=False, validation_data=(X, Y, W), **SGD)
    cut = [(X[k : k + 6], Y[k : k + 6], W[k : k + 6]) for k in range(0, 23, 6)]
    history = brought.fit(cut, shuffle=False, validation_data=cut, **SGD)
    np.testing.assert_array_equal(weights_after(arrays), weights_after(brought))
    assert history["val_loss"][-1] == pytest.approx(
        arrays.evaluate(X, Y, sample_weight=W)["loss"], rel=1e-12)


def test_class_weights_multiply_those_of_the_samples():
    one, other = trainer(), trainer()
    one.fit(X, Y, sample_weight=W, class_weight={0: 2.0, 2: 0.5}, **SGD)
    other.fit(X, Y, sample_weight=W * np.array([2.0, 1.0, 0.5])[Y], **SGD)
    np.testing.assert_allclose(weights_after(one), weights_after(other), rtol=1e-12)
    brought = trainer()
    cut = [(X, np.eye(3)[Y], W)]
    brought.fit(cut, class_weight={0: 2.0, 2: 0.5}, **SGD)
    full = trainer()
    full.fit(X, Y, sample_weight=W, class_weight={0: 2.0, 2: 0.5}, batch_size=23, **SGD)
    np.testing.assert_allclose(weights_after(brought), weights_after(full), rtol=1e-9)


@pytest.mark.parametrize("loss, y", [
    ("softmax_cross_entropy", Y), ("softmax_cross_entropy", np.eye(3)[Y]),
    (SoftmaxCrossEntropy(ignore_index=9), np.where(np.arange(23) % 5, Y, 9)),
    ("binary_cross_entropy", np.eye(3, dtype=int)[Y]), ("r_drop", Y)])
def test_balanced_classes_weigh_as_scikit_learn_says(loss, y):
    weigh = pytest.importorskip("sklearn.utils.class_weight").compute_class_weight
    one, other = trainer(loss), trainer(loss)
    labels = y.argmax(axis=1) if y.ndim == 2 and loss != "binary_cross_entropy" else y
    counted = labels[labels != 9]
    found = weigh("balanced", classes=np.unique(counted), y=counted.ravel())
    one.fit(X, y, class_weight="balanced", **SGD)
    other.fit(X, y, sample_weight=np.append(found, np.ones(9))[labels], **SGD)
    np.testing.assert_allclose(weights_after(one), weights_after(other), rtol=1e-9)


def test_padding_of_sequences_moves_nothing():
    x, y = rng.integers(0, 7, (4, 6)), rng.integers(0, 3, (4, 6))
    real = np.arange(6) < np.array([[6], [2], [4], [1]])

    def fitted(x, y, loss="softmax_cross_entropy", **weights):
        one = Trainer(Sequential([Embedding(7, 4), Dense(3)]), loss, "adam", rng=0)
        history = one.fit(x, y, epochs=3, batch_size=2, progress=False, **weights)
        return history["loss"], one.predict(x[:1])

    first, values = fitted(x, y, sample_weight=real)
    for other in (
        fitted(np.where(real, x, 5), np.where(real, y, 2), sample_weight=real),
        fitted(x, np.where(real, y, -1), SoftmaxCrossEntropy(ignore_index=-1)),
    ):
        np.testing.assert_allclose(other[0], first, rtol=1e-6)
        np.testing.assert_allclose(other[1], values, rtol=1e-6)


def absolute(prediction, target):
    return abs(prediction - target).mean(), np.sign(prediction - target) / target.size


class Whole(MeanSquaredError):
    def value_and_gradient(self, prediction, target):
        return absolute(prediction, target)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"sample_weight": -W}, ValueError, "sample_weight .* at least 0, got -"),
        ({"sample_weight": np.where(np.arange(23) == 17, np.nan, W)}, ValueError, "position 17"),
        ({"sample_weight": W[1:]}, ValueError, "each of 23 samples, not 22"),
        ({"sample_weight": 0 * W}, ValueError, "sample_weight must not be 0 for all"),
        ({"sample_weight": np.ones((23, 2))}, ValueError, r"sample_weight of shape \(.*2\)"),
        ({"class_weight": {3: 1.0}}, ValueError, "label of class_weight .* below 3, not 3"),
        ({"class_weight": {"a": 1.0}}, TypeError, "label of class_weight .*'a'"),
        ({"class_weight": {0: -1.0}}, ValueError, r"class_weight\[0\].* -1.0"),
        ({"class_weight": {0: 0, 1: 0, 2: 0}}, ValueError, "class_weight must not be 0"),
        ({"class_weight": [1, 2, 3]}, TypeError, "enumerate"),
        ({"class_weight": "even"}, TypeError, "balanced.*even"),
        ({"x": [(X, Y)], "class_weight": "balanced"}, ValueError, "balanced.*give a mapping"),
        ({"x": [(X, Y)], "sample_weight": W}, ValueError, "your own batches are then"),
        ({"x": [(X, Y, W[1:])]}, ValueError, "w of a batch .* 23 samples, not 22"),
        ({"x": [(X, Y, -W)]}, ValueError, "w of a batch .* at least 0"),
        ({"x": [(X, Y, W, None, W)]}, TypeError, r"\(x, y, w\).* of 5"),
        ({"y": X[:, :3], "loss": "mean_squared_error", "class_weight": {0: 2.0}}, TypeError,
         "loss of classes.*MeanSquaredError"),
        ({"y": np.full((23, 3), 1 / 3), "class_weight": {0: 2.0}}, ValueError, "one-hot"),
        ({"y": np.full((23, 3), 0.5), "loss": "binary_cross_entropy", "class_weight": {0: 2.0}},
         ValueError, "0 and 1, got 0.5"),
        ({"y": X[:, :3], "loss": absolute, "sample_weight": W}, TypeError,
         "FunctionLoss.absolute. takes no weights"),
        ({"y": X[:, :3], "loss": Whole(), "sample_weight": W}, TypeError, "Whole.* no weights"),
    ],
)
def test_wrong_weights_are_named_before_the_first_step(settings, error, words):
    settings = {"x": X, "y": None if "x" in settings else Y, "loss": "softmax_cross_entropy",
                **SGD, **settings}
    one = trainer(settings.pop("loss"))
    one.model.build((5,), 0)
    before = weights_after(one).copy()
    with pytest.raises(error, match=words):
        one.fit(settings.pop("x"), settings.pop("y"), **settings)
    np.testing.assert_array_equal(weights_after(one), before)
    assert one.stream.next_draw == 0


def test_a_loss_of_one_number_takes_no_weights():
    with pytest.raises(TypeError, match="takes no weights.*losses_and_gradient"):
        FunctionLoss(absolute)(LOGITS, SHARES, WEIGHTS)


def test_weights_decide_a_run(tmp_path):
    file = tmp_path / "run.safetensors"
    trainer().fit(X, Y, sample_weight=W, class_weight={0: 2.0}, checkpoint=file, **SGD)
    more = {"epochs": 3, "progress": False, "checkpoint": file, "resume": True}
    with pytest.raises(ValueError, match="sample_weight"):
        trainer().fit(X, Y, class_weight={0: 2.0}, **more)
    with pytest.raises(ValueError, match="class_weight"):
        trainer().fit(X, Y, sample_weight=W, class_weight={0: 3.0}, **more)
    resumed = trainer()
    resumed.fit(X, Y, sample_weight=W, class_weight={0: 2.0}, **more)
    whole = trainer()
    whole.fit(X, Y, sample_weight=W, class_weight={0: 2.0}, epochs=3, progress=False)
    np.testing.assert_array_equal(weights_after(resumed), weights_after(whole))


def test_balanced_needs_scikit_learn(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"cydropout\[sklearn\]"):
        trainer().fit(X, Y, class_weight="balanced", **SGD)
