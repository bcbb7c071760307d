"""R-Drop: its formula, and what the trainer does for it."""

import numpy as np
import pytest
import reference
from training_cases import CLASSES, Crash, Stop, assert_same_bits, network, state

from cydropout import MaskStream, Trainer
from cydropout.layers import Context, Dense, Dropout, Layer, Sequential
from cydropout.training import losses
from cydropout.training.losses import RDropLoss, SoftmaxCrossEntropy

rng = np.random.default_rng(0)
LOGITS = 2 * rng.standard_normal((10, 4))
LABELS = np.array([0, 3, 1, 2, 2])
TARGETS = {"labels": LABELS, "one-hot": np.eye(4)[LABELS], "soft": rng.dirichlet(np.ones(4), 5)}
LOSSES = [RDropLoss(), RDropLoss(alpha=5.0), RDropLoss(0.3, label_smoothing=0.1), RDropLoss(0)]


def by_torch(prediction, target, loss):
    """The paper's equation, with PyTorch's own losses and gradient."""
    torch = pytest.importorskip("torch")
    nn = torch.nn.functional
    z = torch.tensor(prediction, requires_grad=True)
    a, b = z[: len(z) // 2], z[len(z) // 2 :]
    entropy = sum(
        nn.cross_entropy(part, torch.tensor(target), label_smoothing=loss.label_smoothing)
        for part in (a, b)
    )
    log_a, log_b = nn.log_softmax(a, -1), nn.log_softmax(b, -1)
    divergence = nn.kl_div(log_a, log_b.exp(), reduction="batchmean")
    divergence = divergence + nn.kl_div(log_b, log_a.exp(), reduction="batchmean")
    value = entropy + loss.alpha / 2 * divergence
    value.backward()
    return value.item(), z.grad.numpy()


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("target", TARGETS)
def test_value_and_gradient_are_those_of_torch(loss, target):
    value, gradient = loss(LOGITS, TARGETS[target])
    expected, derivative = by_torch(LOGITS, TARGETS[target], loss)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient, derivative, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("shape", [(10, 4), (4, 3, 4)])
def test_gradient_is_the_slope_of_the_value(loss, shape):
    z = np.random.default_rng(1).standard_normal(shape)
    target = np.random.default_rng(2).integers(0, 4, (shape[0] // 2, *shape[1:-1]))
    gradient, expected = loss(z, target)[1], np.empty(shape)
    for place in np.ndindex(shape):
        values = []
        for step in (1e-6, -1e-6):
            moved = z.copy()
            moved[place] += step
            values.append(loss(moved, target)[0])
        expected[place] = (values[0] - values[1]) / 2e-6
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-8)


def test_equal_passes_are_two_cross_entropies():
    half = LOGITS[:5]
    value, gradient = RDropLoss(7.0)(np.concatenate([half, half]), LABELS)
    single, derivative = SoftmaxCrossEntropy()(half, LABELS)
    assert value == pytest.approx(2 * single, rel=1e-14)
    twice = np.concatenate([derivative, derivative])
    np.testing.assert_allclose(gradient, twice, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
def test_dtypes(dtype):
    kind = reference.dtype_named(dtype)
    narrow = LOGITS.astype(kind)
    before = narrow.copy()
    value, gradient = RDropLoss()(narrow, LABELS)
    assert gradient.dtype == kind and gradient.shape == narrow.shape
    np.testing.assert_array_equal(narrow, before)
    wide, derivative = RDropLoss()(narrow.astype("f8"), LABELS)
    assert value == pytest.approx(wide, rel=1e-5)
    rough = 1e-5 if dtype.endswith(("32", "64")) else 1e-2
    np.testing.assert_allclose(gradient.astype("f8"), derivative, rtol=rough, atol=rough * 1e-2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_logits_and_classes_that_are_ruled_out(dtype):
    z = np.array([[1e4, 0, -1e4], [0, 1e4, -1e4]], dtype)
    value, gradient = RDropLoss()(z, [0])
    assert value == pytest.approx(1e4 + 1e4) and np.isfinite(gradient).all()
    z = np.array([[1, 2, -np.inf], [3, 1, -np.inf]], dtype)
    value, gradient = RDropLoss()(z, [0])
    without, derivative = RDropLoss()(z[:, :2], [0])
    assert value == pytest.approx(without)
    np.testing.assert_allclose(gradient[:, :2], derivative, rtol=1e-6)
    assert (gradient[:, 2] == 0).all()
    assert np.isnan(RDropLoss()(np.full((2, 3), np.nan, dtype), [0])[0])


def test_accuracy_counts_the_rows_of_both_passes():
    z = np.array([[2.0, 1], [0, 3], [0, 4], [1, 2]])
    assert RDropLoss().accuracy(z, [0, 1]) == 0.75


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: RDropLoss(-1.0), "alpha.*-1"),
        (lambda: RDropLoss(np.nan), "alpha.*nan"),
        (lambda: RDropLoss(label_smoothing=1.0), "label_smoothing.*1"),
        (lambda: RDropLoss()(LOGITS[:5], LABELS), r"2 rows.*\(5, 4\).*\(5,\)"),
        (lambda: RDropLoss().accuracy(LOGITS[:5], LABELS), r"2 rows.*\(5, 4\).*\(5,\)"),
        (lambda: RDropLoss()(LOGITS[:2], 1), r"2 rows.*\(2, 4\).*\(\)"),
        (lambda: RDropLoss()(LOGITS, [0, 1, 2, 3, 4]), "label 4 at position 4"),
    ],
)
def test_errors(act, words):
    with pytest.raises(ValueError, match=words):
        act()


def trainer(loss="r_drop", seed=0, model=None):
    return Trainer(model or network(), loss, "adam", rng=seed)


def test_it_learns_and_evaluates_one_pass(data):
    assert type(losses.get("r_drop")) is RDropLoss
    t = trainer()
    history = t.fit(*data, epochs=12, batch_size=8, validation_data=data, progress=False)
    assert history["loss"][-1] < 0.6 * history["loss"][0]
    assert history["val_accuracy"][-1] > 0.85
    plain = SoftmaxCrossEntropy()(t.predict(data[0]), data[1])[0]
    assert t.evaluate(*data)["loss"] == pytest.approx(plain, rel=1e-6)


def test_a_step_is_two_passes_with_masks_of_their_own(data):
    x, y = data[0][:16], data[1][:16]
    model = network(dtype="float64")
    model.build(x.shape[1:], rng=3)
    t = Trainer(model, RDropLoss(2.0), "sgd", rng=MaskStream.from_state(9, 4))
    before = {p.name: p.value.copy() for p in model.parameters()}
    stream = MaskStream.from_state(9, 4)
    ctx = Context(training=True, stream=stream)
    (a, back_a), (b, back_b) = (model.forward(x, ctx) for _ in range(2))
    assert not np.array_equal(a, b)
    value, gradient = RDropLoss(2.0)(np.concatenate([a, b]), y)
    for p in model.parameters():
        p.zero_grad()
    back_a(gradient[:16])
    back_b(gradient[16:])
    expected = {p.name: p.grad.copy() for p in model.parameters()}
    record = t.fit(x, y, epochs=1, batch_size=16, shuffle=False, progress=False).records[0]
    assert record["loss"] == value and t.stream.next_draw == stream.next_draw == 6
    for p in model.parameters():
        moved = (before[p.name] - p.value) / t.optimizer.learning_rate
        np.testing.assert_allclose(moved, expected[p.name], rtol=1e-9, atol=1e-12)


def test_masks_that_a_batch_shares_differ_between_the_passes(data):
    seen = []

    class Spy(Layer):
        def forward(self, x, ctx):
            seen.append((x[0] == 0).copy())
            return x, lambda dy: dy

    ones = np.ones((8, 64), "float32")
    model = Sequential([Dropout(0.5, shared_axes=(0,)), Spy(), Dense(CLASSES)])
    trainer(model=model).fit(ones, data[1][:8], epochs=1, progress=False)
    assert len(seen) == 2 and not np.array_equal(*seen)


def test_a_resumed_run_ends_bit_identical(data, tmp_path):
    options = {"epochs": 4, "progress": False}

    def fit(t, crash=None, **more):
        t.fit(*data, **options, callbacks=[Crash(crash)], **more)
        return t

    whole = fit(trainer(seed=2))
    with pytest.raises(Stop):
        fit(trainer(seed=2), crash=3, checkpoint=tmp_path / "run")
    resumed = fit(trainer(seed=2), checkpoint=tmp_path / "run", resume=True)
    assert_same_bits(state(whole), state(resumed))


def test_the_layer_that_spoils_the_second_pass_is_named(data):
    class Fails(Layer):
        def forward(self, x, ctx):
            draw = ctx.stream.take()
            return (x * np.nan if draw == 1 else x), lambda dy: dy

    model = Sequential([Dense(4), Fails(name="fails"), Dense(CLASSES)])
    t = trainer(model=model)
    with pytest.raises(FloatingPointError, match=r"layer '1\.fails'"):
        t.fit(*data, epochs=1, progress=False)
    assert t.stream.next_draw == 0
