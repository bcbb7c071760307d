"""Guards: too much dropped or a loss that is not finite ends the run; dead units are found."""

import pickle

import numpy as np
import pytest
from training_cases import CLASSES, FEATURES, assert_same_bits, network, state, trainer

from cydropout import Trainer
from cydropout.layers import (
    BatchNorm,
    ConcreteDropout,
    Context,
    Conv2D,
    Dense,
    DropConnect,
    Dropout,
    Flatten,
    GaussianDropout,
    MaxPool2D,
    PatchDropout,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
    WeightDropout,
)
from cydropout.masks import FactorMask, KeepMask, TokenMask
from cydropout.random import MaskStream
from cydropout.training.callbacks import (
    Callback,
    DeadUnits,
    DroppedShareError,
    Guard,
    RateSchedule,
    dead_units,
)
from cydropout.training.callbacks.guard import dropped_shares
from cydropout.training.checkpoint import load_checkpoint
from cydropout.training.nonfinite import NonFiniteLossError

BATCHES = {"batch_size": 32, "progress": False}


class Poison(Callback):
    """Make the loss of one step NaN, and tell what the state before each was."""

    def __init__(self, at=None):
        self.at, self.before = at, []

    def on_batch_begin(self, trainer, epoch, step):
        self.before.append(state(trainer))
        if step == self.at:
            trainer.model.parameters()[0].value[0] = np.nan


def rising(step):
    return 0.2 if step < 9 else 0.9


@pytest.mark.parametrize("every", [1, 4])
def test_too_much_dropped_stops_with_layer_share_and_the_last_good_state(data, tmp_path, every):
    path = tmp_path / "good"
    guard, poison = Guard(0.7, path, every), Poison()
    t = trainer()
    with pytest.raises(DroppedShareError) as caught:
        t.fit(*data, epochs=3, callbacks=[RateSchedule(rising), poison, guard], **BATCHES)
    error = caught.value
    seen = 9 if every == 1 else 12
    assert (error.layer, error.limit, error.step) == ("1.dropout", 0.7, seen)
    assert error.epoch == seen // 7 + 1
    assert error.share == guard.shares["1.dropout"] == pytest.approx(0.9, abs=0.05)
    for part in ("1.dropout", f"{error.share:.2%}", "70.00%", f"step {seen}"):
        assert part in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    saved = load_checkpoint(path)
    assert saved["steps"] == seen - every
    good = poison.before[seen - every]
    assert_same_bits(saved["model"], {k: good[k] for k in saved["model"]})


def test_the_run_goes_on_from_the_last_good_state(data, tmp_path):
    path = tmp_path / "good"
    callbacks = [RateSchedule(rising), Guard(0.7, path)]
    with pytest.raises(DroppedShareError):
        trainer().fit(*data, epochs=2, callbacks=callbacks, **BATCHES)
    runs = trainer(), trainer()
    callbacks = [RateSchedule(lambda step: 0.2), Guard(0.7)]
    runs[0].fit(
        *data, epochs=2, callbacks=callbacks, checkpoint=path, resume=True,
        override={"schedule"}, **BATCHES,
    )
    runs[1].fit(*data, epochs=2, callbacks=callbacks, **BATCHES)
    assert_same_bits(*map(state, runs))


def test_a_loss_that_is_not_finite_saves_the_last_good_state(data, tmp_path):
    path, poison = tmp_path / "good", Poison(9)
    with pytest.raises(NonFiniteLossError, match=r"epoch 2, step 3.*0\.dense"):
        trainer().fit(*data, epochs=2, callbacks=[poison, Guard(1.0, path)], **BATCHES)
    saved = load_checkpoint(path)
    assert saved["steps"] == 8 and (saved["epoch"], saved["step"]) == (1, 1)
    good = poison.before[8]
    assert_same_bits(saved["model"], {k: good[k] for k in saved["model"]})


def test_other_errors_save_nothing(data, tmp_path):
    class Other(Callback):
        def on_batch_end(self, trainer, epoch, step, record):
            raise KeyError("other")

    with pytest.raises(KeyError):
        trainer().fit(
            *data, epochs=1, callbacks=[Guard(0.9, tmp_path / "good"), Other()], **BATCHES
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "make",
    [
        network,
        lambda: Sequential([Dense(8, activation="relu"), Dropout(0.4), Dense(CLASSES)]),
        lambda: Sequential([Dense(8), ReLU(), Dropout(0.0), Dense(CLASSES)]),
        lambda: Sequential([WeightDropout(Dense(8), 0.3), DropConnect(CLASSES, 0.2)]),
        lambda: Sequential([Sequential([Dense(8), GaussianDropout(0.3)]), Dense(CLASSES)]),
        lambda: Sequential([ConcreteDropout(Dense(8), 0.2), Dense(CLASSES)]),
    ],
)
def test_a_watched_run_has_the_bits_of_one_that_is_not(data, make):
    runs = [Trainer(make(), "softmax_cross_entropy", "adam", rng=0) for _ in range(3)]
    for t, callbacks in zip(runs, ([], [Guard(1.0)], [Guard(1.0, every=3)]), strict=True):
        t.fit(*data, epochs=2, callbacks=callbacks, **BATCHES)
        assert (t.masks != []) == (len(callbacks) == 1 and callbacks[0].every == 1)
    assert_same_bits(state(runs[0]), state(runs[1]))
    assert_same_bits(state(runs[0]), state(runs[2]))


def test_the_shares_of_all_layers(data):
    model = Sequential(
        [
            Dense(64, activation="relu"),
            Dropout(0.4),
            Sequential([Dense(64), Dropout(0.6, name="deep")], name="inner"),
            WeightDropout(Dense(64), 0.25),
            GaussianDropout(0.5),
            Dense(CLASSES),
        ]
    )
    guard = Guard(1.0)
    t = Trainer(model, "softmax_cross_entropy", "adam", rng=0)
    t.fit(*data, epochs=1, batch_size=203, progress=False, callbacks=[guard])
    expected = {
        "1.dropout": 0.4, "2.inner.1.deep": 0.6, "3.weightdropout": 0.25, "4.gaussiandropout": 0.0
    }
    for path, share in expected.items():
        assert guard.shares[path] == pytest.approx(share, abs=0.03), path


def test_a_limit_for_each_layer(data):
    guard = Guard({"1.dropout": 0.1})
    with pytest.raises(DroppedShareError, match=r"1\.dropout"):
        trainer().fit(*data, epochs=1, callbacks=[guard], **BATCHES)
    model = Sequential([Dropout(0.5), Dense(CLASSES), Dropout(0.0)])
    t = Trainer(model, "softmax_cross_entropy", "adam", rng=0)
    t.fit(*data, epochs=1, callbacks=[Guard({"2.dropout": 0.1})], **BATCHES)
    with pytest.raises(ValueError, match=r"no layer has the path '1.drop'.*1\.dropout"):
        trainer().fit(*data, epochs=1, callbacks=[Guard({"1.drop": 0.5})], **BATCHES)


def test_the_share_of_every_kind_of_mask():
    keep = np.array([[True, False, False, True]])
    assert [*dropped_shares(KeepMask((1, 4), keep))] == [0.5]
    assert [*dropped_shares(FactorMask((1, 4), np.array([0.0, 2, 2, 2])))] == [0.25]
    assert [*dropped_shares(TokenMask.from_indices((1, 5, 2), [[0, 3]]))] == [pytest.approx(0.6)]
    assert [*dropped_shares({"a": KeepMask((1, 4), keep)})] == [0.5]
    assert [*dropped_shares(KeepMask((0, 4), np.zeros((0, 4), bool)))] == []
    ctx = Context(training=True, stream=MaskStream(0), masks={})
    layer = PatchDropout(0.5)
    layer.forward(np.zeros((2, 8, 3), "f4"), ctx)
    assert [*dropped_shares(ctx.masks[layer])] == [0.5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"limit": 1.5}, "1.5"),
        ({"limit": {"1.dropout": -0.5}}, "-0.5"),
        ({"every": 0}, "every.*0"),
        ({"checkpoint": "missing/good"}, "missing"),
    ],
)
def test_errors(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        Guard(**arguments)


def model_with_dead_units(dtype="float32"):
    model = Sequential([Dense(6), ReLU(), Dense(5, activation="relu"), Sigmoid(), Dense(2)])
    model.build((FEATURES,), rng=0, dtype=dtype)
    first, _, second = (p.value for p in (model.parameters()[i] for i in (0, 1, 2)))
    bias = model.parameters()[1].value
    first[:, [1, 4]], bias[[1, 4]] = 0, -1
    second[:, 2] = 0
    return model


@pytest.mark.parametrize("batch_size", [7, 1024])
def test_dead_units_are_found(data, batch_size):
    model = model_with_dead_units()
    found = dead_units(model, data[0], batch_size=batch_size)
    assert {path: units.tolist() for path, units in found.items() if "dense" not in path} == {
        "1.relu": [1, 4], "3.sigmoid": found["2.dense"].tolist()
    }
    assert 2 in found["2.dense"] and len(found["2.dense"]) < 5
    y = np.maximum(data[0] @ model.parameters()[0].value + model.parameters()[1].value, 0)
    assert np.flatnonzero((y == y[0]).all(axis=0)).tolist() == [1, 4]


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_of_maps_a_unit_is_a_channel(data_format):
    axis = 1 if data_format == "channels_first" else -1
    layers = {"data_format": data_format}
    model = Sequential(
        [
            Conv2D(4, 3, activation="relu", **layers),
            Conv2D(6, 2, **layers), BatchNorm(axis=axis), Dropout(0.5), ReLU(),
            MaxPool2D(2, **layers), Conv2D(3, 1, **layers),
            Residual(Conv2D(3, 1, **layers), Tanh(), name="branch"), ReLU(),
            Flatten(), Dense(5, activation="relu"), ReLU(),
        ]
    )
    shape = (2, 9, 8) if axis == 1 else (9, 8, 2)
    model.build(shape, rng=0)
    parameters = dict(model.named_parameters())
    for name, units in (("0.conv2d", [2]), ("2.batchnorm", [0, 5]), ("10.dense", [1, 4])):
        parameters[f"{name}.bias"].value[units] = -1e4
    # Channel 1 is dead before its shortcut and alive behind it.
    parameters["7.branch.0.conv2d.bias"].value[1] = 1e4
    x = np.random.default_rng(0).standard_normal((40, *shape)).astype("f4")
    found = {path: [*units] for path, units in dead_units(model, x, batch_size=16).items()}
    assert found == {
        "0.conv2d": [2], "4.relu": [0, 5], "7.branch.1.tanh": [1], "8.relu": [],
        "10.dense": [1, 4], "11.relu": [1, 4],
    }


def test_one_unit_that_answers_in_another_batch_is_alive(data):
    x = np.zeros((64, 1), "f4")
    x[60] = 1
    model = Sequential([Dense(1, activation="relu", bias=False)])
    model.build((1,), rng=0)
    model.parameters()[0].value[:] = 1
    assert dead_units(model, x, batch_size=16)["0.dense"].size == 0
    assert dead_units(model, x[:32], batch_size=16)["0.dense"].tolist() == [0]


def test_they_are_found_while_training_also_in_a_resumed_run(data, tmp_path):
    def fit(epochs, **more):
        watch = DeadUnits(data[0], every=2)
        t = Trainer(model_with_dead_units(), "softmax_cross_entropy", "adam", rng=0)
        draw = t.stream.next_draw
        t.fit(data[0], data[1] % 2, epochs=epochs, callbacks=[watch], progress=False, **more)
        assert t.stream.next_draw == draw, "looking draws nothing"
        return watch

    whole = fit(4)
    assert [count["epoch"] for count in whole.counts] == [2, 4]
    assert all(count["1.relu"] >= 2 for count in whole.counts)
    assert {1, 4} <= set(whole.dead["1.relu"].tolist())
    fit(3, checkpoint=tmp_path / "run")
    assert fit(4, checkpoint=tmp_path / "run", resume=True).counts == whole.counts
    with pytest.raises(ValueError, match="every.*0"):
        DeadUnits(data[0], every=0)
    with pytest.raises(ValueError, match="at least one sample"):
        DeadUnits(data[0][:0])
