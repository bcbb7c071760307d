"""What is decided once for the steps of an epoch: where that may be, and that it shows nowhere."""

import copy

import numpy as np
import optimizer_reference
import pytest
import training_cases as cases

from cydropout import Trainer
from cydropout.layers import Dense, Dropout, ReLU, Sequential
from cydropout.layers._workspace import Workspace
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
