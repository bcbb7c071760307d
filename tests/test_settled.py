"""What is decided once for the steps of an epoch: where that may be, and that it shows nowhere."""

import copy

import numpy as np
import optimizer_reference
import pytest
import training_cases as cases

from cydropout import Trainer
from cydropout.functional.dense_step import DenseStep
from cydropout.layers import BatchwiseDropout, Dense, Dropout, ReLU, Sequential
from cydropout.layers._workspace import Workspace
from cydropout.training import NonFiniteLossError
from cydropout.training._batches import Epoch
from cydropout.training.callbacks import (
    Callback,
    EarlyStopping,
    Guard,
    LearningRateSchedule,
    RateSchedule,
)
from cydropout.training.losses import RDropLoss
from cydropout.training.run import Run

X = np.random.default_rng(0).standard_normal((60, 12)).astype("f4")
Y = np.arange(60) % 3


def model(first=Dense):
    return Sequential([first(16), ReLU(), Dropout(0.5), Dense(8), ReLU(), Dense(3)])


def batchwise(units=16):
    """Return a model of whose units a part takes part in a step: of few not always in one call."""
    return Sequential([Dense(units), ReLU(), BatchwiseDropout(0.5, lazy=True), Dense(3)])


def run(make=model, *, callbacks=(), settled=None, monkeypatch=None, optimizer="adam", **options):
    """Return all that a run leaves, and whether each of its epochs was settled."""
    found, real = [], Run.is_settled

    def spy(own, *args):
        found.append(real(own, *args) if settled is None else settled)
        return found[-1]

    monkeypatch.setattr(Run, "is_settled", spy)
    loss = options.pop("loss", "softmax_cross_entropy")
    trainer = Trainer(make(), loss, copy.deepcopy(optimizer), rng=0, **options)
    history = trainer.fit(X, Y, epochs=3, batch_size=16, callbacks=callbacks, progress=False)
    monkeypatch.undo()
    return cases.state(trainer), cases.without_seconds(history), found


def assert_alike(monkeypatch, make=model, callbacks=lambda: (), **options):
    one, history, found = run(make, monkeypatch=monkeypatch, callbacks=callbacks(), **options)
    other, expected, _ = run(
        make, monkeypatch=monkeypatch, callbacks=callbacks(), settled=False, **options)
    cases.assert_same_bits(one, other)
    assert history == expected
    return found


def test_what_was_decided_holds_only_where_steps_are_settled():
    for settled, expected in ((False, [1, 2, 3]), (True, [1, 1, 1])):
        workspace, calls = Workspace(settled=settled), []

        def decide(calls=calls):
            calls.append(1)
            return len(calls)

        found = []
        for _ in range(3):
            found.append(workspace.decided("key", decide))
            workspace.release()
        assert found == expected
        assert workspace.decided("another", decide) == len(calls) == expected[-1] + 1


@pytest.mark.parametrize("name", optimizer_reference.OPTIMIZERS)
def test_every_optimizer_takes_the_same_steps(name, monkeypatch):
    make = optimizer_reference.OPTIMIZERS[name]
    assert assert_alike(monkeypatch, optimizer=make()) == [True] * 3


@pytest.mark.parametrize("options", [
    {"clip_norm": 0.1}, {"clip_value": 1e-3}, {"loss": RDropLoss()}, {"num_threads": 1},
], ids=str)
def test_with_what_else_a_trainer_does(options, monkeypatch):
    assert assert_alike(monkeypatch, **options) == [True] * 3


class AtBatches(Callback):
    """Freezes the first layer in the middle of the second epoch."""

    def on_batch_end(self, trainer, epoch, step, record):
        if step == 5:
            trainer.model.layers[0].freeze()


class AtEpochs(Callback):
    def on_epoch_begin(self, trainer, epoch):
        trainer.model.layers[0].trainable = epoch != 2


class Freezing(Dense):
    """Freezes itself in its fifth pass."""

    passes = 0

    def forward(self, x, ctx):
        self.passes += 1
        if self.passes == 5:
            self.freeze()
        return super().forward(x, ctx)


@pytest.mark.parametrize(("callbacks", "settled"), [
    (lambda: [AtBatches()], False), (lambda: [AtEpochs()], True),
    (lambda: [EarlyStopping("loss")], True),
    (lambda: [lambda trainer, epoch, record: None], True),
    (lambda: [Guard()], False), (lambda: [RateSchedule(lambda step: 0.3)], False),
    (lambda: [LearningRateSchedule(lambda step: 0.01)], False),
], ids=str)
def test_a_callback_that_runs_at_batches_unsettles_them(callbacks, settled, monkeypatch):
    assert assert_alike(monkeypatch, callbacks=callbacks) == [settled] * 3


def test_a_layer_of_ones_own_unsettles_them(monkeypatch):
    assert assert_alike(monkeypatch, lambda: model(Freezing)) == [False] * 3


@pytest.fixture
def sizes(monkeypatch):
    """Return how many steps each call of the kernels took."""
    found, several = [], DenseStep.several

    def counted(*args, **options):
        done = several(*args, **options)
        found.append(len(done))
        return done

    monkeypatch.setattr(DenseStep, "several", counted)
    return found


def labelled(rows):
    return np.random.default_rng(1).standard_normal((rows, 12)).astype("f4"), np.arange(rows) % 3


def trained(x, y, *, one_by_one, monkeypatch, make=model, loss="softmax_cross_entropy", **fit):
    """Return all that a run leaves, or the error that ended it."""
    trainer = Trainer(make(), loss, "adam", rng=0)
    with monkeypatch.context() as patch:
        if one_by_one:
            patch.setattr(Epoch, "plain", False)
        try:
            history = trainer.fit(x, y, **({"epochs": 2, "batch_size": 4, "progress": False} | fit))
        except NonFiniteLossError as error:
            return cases.state(trainer), (error.epoch, error.step, error.layer, str(error))
    return cases.state(trainer), cases.without_seconds(history)


@pytest.mark.parametrize(("rows", "options", "expected"), [
    # The first step finds the optimizer's arrays, and the first in one call the masks.
    (42, {}, [1, 8, 1, 1, 9, 1]),
    (42, {"shuffle": False}, [1, 8, 1, 1, 9, 1]),
    (42, {"drop_last": True}, [1, 8, 1, 9]),
    (40, {"validation_split": 0.2}, [1, 6, 1, 7]),
    (40, {"checkpoint_every": 3}, [1, 1, 1, 2, 1, 2, 1, 1, 1, 1, 2, 1, 2, 1, 1]),
    (40, {"sample_weight": np.ones(40)}, []),
    (40, {"accumulate": 2}, []),
    (300, {"epochs": 1}, [1, 32, 1, 32, 1, 7]),
    (42, {"loss": "mean_squared_error", "y": np.ones((42, 3))}, [1, 8, 1, 1, 9, 1]),
    (42, {"make": lambda: Sequential([Dense(3, l2=0.1)])}, [1, 8, 1, 1, 9, 1]),
    (42, {"make": batchwise}, [1, 8, 1, 1, 9, 1]),
    (40, {"make": lambda: batchwise(4), "epochs": 1}, [1, 1, 4]),
    (42, {"make": lambda: Sequential([Dense(8), Dropout(0.0), Dropout(0.3), Dense(3)])}, []),
], ids=str)
def test_batches_that_follow_are_taken_in_one_call(
    rows, options, expected, sizes, tmp_path, monkeypatch
):
    x, y = labelled(rows)
    options = dict(options)
    y, found = options.pop("y", y), []
    for one_by_one in (False, True):
        own = dict(options)
        if "checkpoint_every" in own:
            own["checkpoint"] = tmp_path / f"{one_by_one}.npz"
        found.append(trained(x, y, one_by_one=one_by_one, monkeypatch=monkeypatch, **own))
        if not one_by_one:
            assert sizes == expected
    (one, history), (other, records) = found
    cases.assert_same_bits(one, other)
    assert history == records


@pytest.mark.parametrize("make", [model, batchwise, lambda: batchwise(4)])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("bad", [5, 22, 37, 39])
def test_a_loss_in_their_midst_that_is_not_finite(bad, shuffle, make, monkeypatch):
    x, y = labelled(40)
    x[bad] = np.inf
    found = [trained(x, y, one_by_one=one_by_one, monkeypatch=monkeypatch, shuffle=shuffle,
                     make=make) for one_by_one in (False, True)]
    (one, error), (other, expected) = found
    assert error == expected and isinstance(error, tuple)
    cases.assert_same_bits(one, other)


def test_samples_of_another_dtype_are_taken_one_by_one(sizes, monkeypatch):
    x, y = labelled(42)
    trained(x.astype("f8"), y, one_by_one=False, monkeypatch=monkeypatch)
    assert {*sizes} == {1}


def test_what_a_step_is_made_of_is_kept_between_fits(monkeypatch):
    made, make = [], DenseStep.__init__
    monkeypatch.setattr(DenseStep, "__init__",
                        lambda self, *args: made.append(1) or make(self, *args))
    (x, y), trainer = labelled(40), Trainer(model(), "softmax_cross_entropy", "adam", rng=0)
    for _ in range(3):
        trainer.fit(x, y, epochs=2, batch_size=4, progress=False)
    assert len(made) == 1
    trainer.fit(x, y, epochs=1, batch_size=8, progress=False)
    assert len(made) == 2
