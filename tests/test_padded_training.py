"""Sequences of different lengths through the losses, the trainer and predictions."""

import numpy as np
import pytest
from training_cases import Stop, assert_same_bits, state, without_seconds

from cydropout import Trainer, predict_mc
from cydropout.layers import (
    LSTM,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool1D,
    Layer,
    MultiHeadAttention,
    ReLU,
    Residual,
    Sequential,
)
from cydropout.training import callbacks, losses
from cydropout.training.callbacks import dead_units
from cydropout.training.losses import SoftmaxCrossEntropy
from cydropout.training.monte_carlo import predict_pass
from cydropout.training.nonfinite import NonFiniteLossError

rng = np.random.default_rng(5)
COUNT, TIME = 11, 6
LENGTHS = np.array([6, 1, 4, 2, 6, 3, 5, 1, 2, 6, 4])
REAL = np.arange(TIME) < LENGTHS[:, None]
X = rng.standard_normal((COUNT, TIME, 5)).astype("f4")
TOKENS = rng.integers(0, 7, (COUNT, TIME))
LABELS, ONE = rng.integers(0, 3, (COUNT, TIME)), rng.integers(0, 3, COUNT)
SHARES = rng.dirichlet(np.ones(3), (COUNT, TIME)).astype("f4")
OPTIONS = {"epochs": 2, "batch_size": 4, "progress": False}
#: The loss by its name, and targets of each position.
TARGETS = {
    "softmax_cross_entropy": LABELS, "r_drop": LABELS, "mean_squared_error": SHARES,
    "binary_cross_entropy": SHARES, "negative_log_likelihood": LABELS,
}


def trainer(loss="softmax_cross_entropy", one=False, tokens=False, rate=0.3, **options):
    inside = [Embedding(7, 5)] if tokens else []
    inside += [Dense(5), Residual(MultiHeadAttention(1)), LSTM(4, return_sequences=not one)]
    inside += [Dropout(rate), Dense(3)]
    if loss == "negative_log_likelihood":
        inside[-1] = Dense(3, activation="sigmoid")
    return Trainer(Sequential(inside), loss, "adam", rng=0, **options)


def spoilt(array, real=REAL, value=None):
    """The same sequences with other padding, which fits nothing."""
    if value is None:
        value = np.nan if array.dtype.kind == "f" else -9
    return np.where(real.reshape(real.shape + (1,) * (array.ndim - 2)), array, value)


def longer(array, by=3):
    return np.concatenate([array, array[:, :1].repeat(by, axis=1)], axis=1)


def fitted(loss, x, y, **options):
    one = trainer(loss, tokens=x.ndim == 2, **options.pop("settings", {}))
    history = one.fit(x, y, **{**OPTIONS, "lengths": LENGTHS, **options})
    return one, without_seconds(history)


def test_all_losses_are_in_the_table():
    assert TARGETS.keys() >= losses.NAMES.keys()


@pytest.mark.parametrize("x", [X, TOKENS], ids=["floats", "tokens"])
@pytest.mark.parametrize("loss", TARGETS)
def test_what_stands_in_padding_moves_no_bit(loss, x):
    y = TARGETS[loss]
    first, history = fitted(loss, x, y, validation_data=(x, y, None, LENGTHS))
    second, other = fitted(loss, spoilt(x).astype(x.dtype), spoilt(y),
                           validation_data=(spoilt(x).astype(x.dtype), spoilt(y), None, LENGTHS))
    assert_same_bits(state(first), state(second))
    assert history == other
    assert first.evaluate(x, y, lengths=LENGTHS) == second.evaluate(
        spoilt(x).astype(x.dtype), spoilt(y), lengths=LENGTHS)
    np.testing.assert_array_equal(
        first.predict(x, lengths=LENGTHS)[REAL], second.predict(spoilt(x), lengths=LENGTHS)[REAL])


@pytest.mark.parametrize("loss", TARGETS)
def test_more_padding_moves_nothing(loss):
    y, settings = TARGETS[loss], {"rate": 0.0}
    first, history = fitted(loss, X, y, settings=settings)
    second, other = fitted(loss, longer(X), longer(y), settings=settings)
    for one, two in zip(history, other, strict=True):
        assert one == pytest.approx(two, rel=1e-4)
    np.testing.assert_allclose(
        first.predict(X, lengths=LENGTHS)[REAL],
        second.predict(longer(X), lengths=LENGTHS)[:, :TIME][REAL], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("loss", [loss for loss in TARGETS if loss != "r_drop"])
def test_the_loss_is_the_mean_of_what_is_no_padding(loss):
    one, y = trainer(loss), TARGETS[loss]
    weights = rng.integers(1, 4, COUNT) / 2
    one.model.build((TIME, 5), 0)
    z = one.predict(X, lengths=LENGTHS)
    value, _ = one.loss(z[REAL], y[REAL])
    found = one.evaluate(X, y, lengths=LENGTHS)
    assert found["loss"] == pytest.approx(value, rel=1e-5)
    # The mean over batches is that of all, however long their padding is.
    parts = []
    for rows in np.array_split(np.argsort(LENGTHS), 4):
        end = LENGTHS[rows].max()
        parts.append((X[rows, :end], y[rows, :end], None, LENGTHS[rows]))
    assert one.evaluate(parts) == pytest.approx(found, rel=1e-5)
    value, _ = one.loss(z[REAL], y[REAL], np.broadcast_to(weights[:, None], REAL.shape)[REAL])
    for given in (weights, np.broadcast_to(weights[:, None], REAL.shape)):
        found = one.evaluate(X, y, lengths=LENGTHS, sample_weight=given)
        assert found["loss"] == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "r_drop"])
def test_one_label_for_a_sequence(loss):
    """Behind a recurrent layer that returns its last state no length counts."""
    settings = {"one": True}
    first, history = fitted(loss, X, ONE, settings=settings)
    second, other = fitted(loss, spoilt(X), ONE, settings=settings)
    assert_same_bits(state(first), state(second))
    assert history == other
    z = first.predict(X, lengths=LENGTHS)
    for place, end in enumerate(LENGTHS):
        np.testing.assert_allclose(
            z[place], first.predict(X[place : place + 1, :end])[0], rtol=1e-4, atol=1e-6)
    value, _ = SoftmaxCrossEntropy()(z, ONE)
    assert first.evaluate(X, ONE, lengths=LENGTHS)["loss"] == pytest.approx(value, rel=1e-5)


def test_batches_bring_their_lengths():
    weights = rng.integers(1, 4, COUNT) / 2
    arrays, brought = trainer(), trainer()
    options = {"epochs": 2, "progress": False, "shuffle": False}
    history = arrays.fit(X, LABELS, lengths=LENGTHS, sample_weight=weights, batch_size=4, **options)
    cut = [tuple(part[k : k + 4] for part in (X, LABELS, weights, LENGTHS))
           for k in range(0, COUNT, 4)]
    other = brought.fit(cut, **options)
    assert_same_bits(state(arrays), state(brought))
    assert without_seconds(history) == without_seconds(other)
    streamed = trainer()
    streamed.fit(lambda generator: iter(cut), **options)
    assert_same_bits(state(arrays), state(streamed))


def test_classes_weigh_where_there_is_no_padding():
    table = {0: 2.0, 2: 0.5}
    first, _ = fitted("softmax_cross_entropy", X, spoilt(LABELS), class_weight=table)
    second, _ = fitted("softmax_cross_entropy", X, LABELS,
                       sample_weight=np.array([2.0, 1.0, 0.5])[LABELS])
    for name, value in state(first).items():
        np.testing.assert_allclose(value, state(second)[name], rtol=1e-4, atol=1e-6)


def test_balanced_classes_are_counted_without_padding():
    weigh = pytest.importorskip("sklearn.utils.class_weight").compute_class_weight
    found = weigh("balanced", classes=np.arange(3), y=LABELS[REAL])
    first, _ = fitted("softmax_cross_entropy", X, spoilt(LABELS), class_weight="balanced")
    second, _ = fitted("softmax_cross_entropy", X, LABELS, class_weight=dict(enumerate(found)))
    assert_same_bits(state(first), state(second))


def test_metrics_get_what_is_no_padding():
    seen = []

    def count(z, y):
        seen.append((z.shape, y.shape, y.min()))
        return len(y)

    one = trainer(metrics=[count])
    data = (X, spoilt(LABELS), None, LENGTHS)
    history = one.fit(X, spoilt(LABELS), lengths=LENGTHS, validation_data=data, **OPTIONS)
    total = int(LENGTHS.sum())
    assert history["val_count"] == [total, total]
    assert set(seen) == {((total, 3), (total,), 0)}
    brought = [(X[:4, :3], LABELS[:4, :3], None, LENGTHS[:4].clip(max=3)),
               (X[4:], LABELS[4:], None, LENGTHS[4:])]
    assert one.evaluate(brought)["count"] == LENGTHS[:4].clip(max=3).sum() + LENGTHS[4:].sum()


def test_monte_carlo_with_lengths():
    model = trainer().model
    model.build((TIME, 5), 0)
    options = {"rng": 3, "lengths": LENGTHS, "batch_size": 4}
    found = predict_mc(model, X, 5, **options)
    other = predict_mc(model, spoilt(X), 5, **options)
    np.testing.assert_array_equal(found.mean[REAL], other.mean[REAL])
    np.testing.assert_array_equal(found.std[REAL], other.std[REAL])
    assert (found.std[REAL] > 0).any()
    passes = [predict_pass(model, X, key, batch_size=4, lengths=LENGTHS) for key in found.keys]
    np.testing.assert_allclose(np.mean(passes, axis=0), found.mean, rtol=1e-6, atol=1e-9)
    # The masks are those of a pass without lengths.
    whole = predict_mc(model, X, 5, rng=3, lengths=np.full(COUNT, TIME), batch_size=4)
    plain = predict_mc(model, X, 5, rng=3, batch_size=4)
    np.testing.assert_allclose(whole.mean, plain.mean, rtol=1e-6, atol=1e-9)
    pooled = Sequential([Dense(4), Dropout(0.5), GlobalAveragePool1D(), Dropout(0.5), Flatten(),
                         Dense(2)])
    pooled.build((TIME, 5), 0)
    np.testing.assert_array_equal(predict_mc(pooled, X, 5, **options).mean,
                                  predict_mc(pooled, spoilt(X), 5, **options).mean)


@pytest.mark.parametrize("kind", ["Dense", "LSTM"])
def test_dead_units_with_lengths(kind):
    """A unit that says something else in padding alone is dead, and one of NaN there is not."""
    inside = [Dense(3)] if kind == "Dense" else [LSTM(3, return_sequences=True)]
    model = Sequential([*inside, ReLU(), GlobalAveragePool1D(), Flatten(), Dense(4), ReLU()])
    model.build((TIME, 5), 0)
    x = np.where(REAL[..., None], np.float32(1), X)
    if kind == "Dense":
        assert [*dead_units(model, x)["1.relu"]] != [0, 1, 2]
        for batch_size in (4, 1024):
            found = dead_units(model, x, lengths=LENGTHS, batch_size=batch_size)
            assert [*found["1.relu"]] == [0, 1, 2]
    first, second = (dead_units(model, each, lengths=LENGTHS) for each in (X, spoilt(X)))
    assert {k: [*v] for k, v in first.items()} == {k: [*v] for k, v in second.items()}
    assert len(first["1.relu"]) < 3
    watch = callbacks.DeadUnits(spoilt(X), lengths=LENGTHS)
    trainer = Trainer(model, "softmax_cross_entropy", "adam", rng=0)
    trainer.fit(X, ONE, lengths=LENGTHS, callbacks=watch, epochs=1, progress=False)
    assert {k: [*v] for k, v in watch.dead.items()} == {
        k: [*v] for k, v in dead_units(model, X, lengths=LENGTHS).items()}
    with pytest.raises(ValueError, match="lengths must be at least 1"):
        callbacks.DeadUnits(X, lengths=LENGTHS - 1)
    with pytest.raises(ValueError, match="takes no lengths"):
        dead_units(Sequential([Flatten(), Dense(2)]), X, lengths=LENGTHS)


class Interrupt(losses.SoftmaxCrossEntropy):
    """Fails at one of its calls."""

    def __init__(self, at=None):
        super().__init__()
        self.at, self.calls = at, 0

    def get_config(self):
        return {}

    def measured(self, *args):
        self.calls += 1
        if self.calls == self.at:
            raise Stop
        return super().measured(*args)


def test_a_run_goes_on_in_the_middle_of_an_epoch(tmp_path):
    options = {"epochs": 3, "batch_size": 2, "progress": False, "lengths": LENGTHS,
               "checkpoint_every": 1, "checkpoint": tmp_path / "run", "resume": True}
    whole = trainer(Interrupt())
    history = whole.fit(X, spoilt(LABELS), **{**options, "checkpoint": tmp_path / "whole"})
    for at in (3, 5, 8):
        with pytest.raises(Stop):
            trainer(Interrupt(at)).fit(X, spoilt(LABELS), **options)
    last = trainer(Interrupt())
    found = last.fit(spoilt(X), LABELS, **options)
    assert_same_bits(state(last), state(whole))
    assert without_seconds(found) == without_seconds(history)
    with pytest.raises(ValueError, match="lengths was True"):
        trainer(Interrupt()).fit(X, LABELS, **{**options, "lengths": None, "epochs": 4})


class Negative(Layer):
    """The root of what is below 0 is not finite."""

    with_lengths = "keep"

    def forward(self, x, ctx):
        return np.sqrt(x), lambda dy: dy


def test_what_is_not_finite_is_named_behind_the_padding():
    model = Sequential([Dense(4), LSTM(4, return_sequences=False), Flatten(), Negative(), Dense(3)])
    one = Trainer(model, "softmax_cross_entropy", "sgd", rng=0)
    with pytest.raises(NonFiniteLossError, match="3.negative"), np.errstate(all="ignore"):
        one.fit(spoilt(X), ONE, lengths=LENGTHS, **OPTIONS)


def test_neither_samples_nor_targets_are_written_to():
    x, y = spoilt(X), spoilt(LABELS)
    before = x.copy(), y.copy()
    one, _ = fitted("softmax_cross_entropy", x, y)
    one.predict(x, lengths=LENGTHS)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


def whole(prediction, target):
    return 0.0, np.zeros_like(prediction)


WRONG = {
    "short": ({"lengths": LENGTHS[1:]}, ValueError, "lengths .* each of 11 samples, not 10"),
    "zero": ({"lengths": LENGTHS - 1}, ValueError, "lengths .* at least 1.* 0 at position 1"),
    "beyond": ({"lengths": LENGTHS + 1}, ValueError, "lengths .* at most the 6 .* 7 at position 0"),
    "floats": ({"lengths": LENGTHS / 1}, TypeError, "lengths must be integers, .* float64"),
    "bools": ({"lengths": REAL}, TypeError, r"lengths .* bool; .* mask.sum\(axis=1\)"),
    "masked": ({"lengths": np.ma.masked_array(LENGTHS)}, TypeError, "lengths .*masked"),
    "axes": ({"lengths": LENGTHS[:, None]}, ValueError, r"lengths .*\(11, 1\)"),
    "no sequences": ({"x": X[:, 0, 0], "y": ONE}, ValueError, r"lengths belong to sequences"),
    "features": ({"x": X[:, 0], "y": ONE, "model": [Dense(3)], "lengths": np.ones(11, int)},
                 ValueError, r"lengths need samples \(time, features\)"),
    "flat": ({"model": [Flatten(), Dense(3)], "y": ONE}, ValueError, "0.flatten would mix"),
    "conv": ({"x": X[:, None], "model": [Conv2D(2, 3), Flatten(), Dense(3)], "y": ONE,
              "lengths": np.ones(11, int)}, ValueError, "0.conv2d would mix"),
    "targets": ({"y": ONE}, ValueError, "targets"),
    "labels": ({"y": np.where(REAL, 7, LABELS)}, ValueError, r"label 7 at position \(0, 0\)"),
    "one number": ({"loss": whole}, TypeError, "takes no weights"),
    "weights": ({"sample_weight": np.ones((11, 4))}, ValueError, r"sample_weight of shape \(.*4\)"),
    "validation": ({"validation_data": (X, LABELS, None, LENGTHS[1:])}, ValueError,
                   "validation_data: lengths"),
    "batch": ({"x": [(X, LABELS, None, LENGTHS[1:])], "y": None, "lengths": None}, ValueError,
              "lengths of a batch .* 11 samples"),
    "batch of 5": ({"x": [(X, LABELS, None, LENGTHS, 1)], "y": None, "lengths": None}, TypeError,
                   r"\(x, y, w, lengths\).* of 5"),
    "batches": ({"x": [(X, LABELS)], "y": None}, ValueError, "lengths belong to x and y"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_lengths_are_named_before_the_first_step(wrong):
    given, error, words = WRONG[wrong]
    given = {"x": X, "y": LABELS, "lengths": LENGTHS, **OPTIONS, **given}
    model = Sequential(given.pop("model", [Dense(3)]))
    one = Trainer(model, given.pop("loss", "softmax_cross_entropy"), "sgd", rng=0)
    with pytest.raises(error, match=words):
        one.fit(given.pop("x"), given.pop("y"), **given)
    assert one.stream.next_draw == 0


def test_wrong_lengths_of_predictions_are_named():
    one = trainer()
    one.model.build((TIME, 5), 0)
    flat = Sequential([Flatten(), Dense(2)])
    flat.build((TIME, 5), 0)
    for lengths, error in ((LENGTHS[1:], ValueError), (LENGTHS + 1, ValueError), (REAL, TypeError)):
        for call in (lambda lengths: one.predict(X, lengths=lengths),
                     lambda lengths: one.evaluate(X, LABELS, lengths=lengths),
                     lambda lengths: predict_mc(one.model, X, 2, lengths=lengths)):
            with pytest.raises(error, match="lengths"):
                call(lengths)
    for call in (Trainer(flat, "mse", "sgd").predict, lambda x, **k: predict_mc(flat, x, 2, **k)):
        with pytest.raises(ValueError, match="0.flatten would mix"):
            call(X, lengths=LENGTHS)
    with pytest.raises(ValueError, match="not by a function"):
        predict_mc(lambda x, stream: x, X, 2, lengths=LENGTHS)
