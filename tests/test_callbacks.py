"""Callbacks: early stopping, restored weights, schedules of the learning rate."""


import numpy as np
import pytest
from training_cases import SAMPLES, Crash, Stop, assert_same_bits, state, trainer

from cydropout.training import NonFiniteLossError
from cydropout.training.callbacks import Callback, EarlyStopping, LearningRateSchedule
from cydropout.training.checkpoint import load_checkpoint
from cydropout.training.schedules import Constant, OneCycle, Step, WarmUp


class Script(Callback):
    """Replace the metric by written values, and mark the parameters with the epoch."""

    def __init__(self, values):
        self.values = values

    def on_epoch_end(self, trainer, epoch, record):
        record["val_loss"] = record["val_accuracy"] = self.values[epoch - 1]
        for parameter in trainer.model.parameters():
            parameter.value[...] = epoch


@pytest.mark.parametrize(
    ("monitor", "values", "settings", "epochs", "best"),
    [
        ("val_loss", [3, 2, 2.5, 2.4, 0, 0], {"patience": 2}, 4, 2),
        ("val_accuracy", [0.1, 0.9, 0.8, 0.7, 1, 1], {"patience": 2}, 4, 2),
        ("val_loss", [3, 2.9, 2.8, 2.7, 0, 0], {"patience": 2, "min_delta": 0.5}, 3, 1),
        ("val_loss", [3, np.nan, np.nan, 0, 0, 0], {"patience": 2}, 3, 1),
        ("val_loss", [6, 5, 4, 3, 2, 2.5], {"patience": 2}, 6, 5),
    ],
)
def test_early_stopping(data, monitor, values, settings, epochs, best):
    stopping = EarlyStopping(monitor, **settings)
    t = trainer()
    history = t.fit(
        *data,
        epochs=6,
        validation_data=data,
        callbacks=[Script(values), stopping],
        progress=False,
    )
    assert len(history) == epochs
    assert (stopping.best_epoch, stopping.best) == (best, values[best - 1])
    assert all((value == best).all() for value in t.model.state_dict().values()), "restored"


def test_early_stopping_may_keep_the_last_parameters(data):
    t = trainer()
    stopping = EarlyStopping(patience=1, restore_best=False)
    t.fit(
        *data,
        epochs=6,
        validation_data=data,
        callbacks=[Script([1, 2, 0, 0, 0, 0]), stopping],
        progress=False,
    )
    assert all((value == 2).all() for value in t.model.state_dict().values())


@pytest.mark.parametrize("kind", [KeyboardInterrupt, NonFiniteLossError, Stop])
def test_a_run_that_ends_early_leaves_its_history_and_the_best_parameters(data, kind):
    class Ends(Callback):
        def on_batch_begin(self, trainer, epoch, step):
            if (epoch, step % 7) == (4, 3):
                if kind is not NonFiniteLossError:
                    raise kind
                trainer.model.parameters()[0].value[...] = np.nan

    t, stopping = trainer(), EarlyStopping()
    assert len(t.history) == 0
    with pytest.raises(kind):
        t.fit(*data, epochs=6, validation_data=data, progress=False,
              callbacks=[Script([3, 1, 2, 0, 0, 0]), stopping, Ends()])
    assert t.history["val_loss"] == [3, 1, 2] and t.epoch == 3
    assert all((value == 2).all() for value in t.model.state_dict().values())


def test_the_history_of_a_run_is_what_fit_returns(data, tmp_path):
    t = trainer()
    for _ in range(2):
        history = t.fit(*data, epochs=2, progress=False, checkpoint=tmp_path / "run", resume=True)
        assert history is t.history and len(history) == 2


def test_a_stopped_run_stays_stopped_when_resumed(data, tmp_path):
    def fit():
        t = trainer()
        stopping = EarlyStopping(patience=1)
        history = t.fit(
            *data,
            epochs=6,
            validation_data=data,
            callbacks=[Script([1, 2, 0, 0, 0, 0]), stopping],
            progress=False,
            checkpoint=tmp_path / "run",
            resume=True,
        )
        return t, history

    (first, a), (second, b) = fit(), fit()
    assert len(a) == len(b) == 2
    assert_same_bits(first.model.state_dict(), second.model.state_dict())
    assert all((value == 1).all() for value in second.model.state_dict().values())


def test_early_stopping_refuses_nonsense(data):
    with pytest.raises(ValueError, match=r"patience.*0"):
        EarlyStopping(patience=0)
    with pytest.raises(ValueError, match=r"min_delta.*-1"):
        EarlyStopping(min_delta=-1)
    with pytest.raises(ValueError, match=r"val_loss.*validation_data"):
        trainer().fit(*data, epochs=1, callbacks=[EarlyStopping()], progress=False)


# ---------------------------------------------------------------- learning rate schedule


def test_a_schedule_sets_the_rate_of_every_epoch_also_of_a_resumed_run(data, tmp_path):
    options = {"epochs": 4, "progress": False, "checkpoint": tmp_path / "run"}

    def fit(t, crash=None, **more):
        callbacks = [LearningRateSchedule(lambda epoch: 0.01 / epoch), Crash(crash)]
        t.fit(*data, **{**options, **more}, callbacks=callbacks)
        return t

    whole = fit(trainer(), checkpoint=None)
    assert whole.optimizer.learning_rate == 0.01 / 4
    with pytest.raises(Stop):
        fit(trainer(), crash=3)
    assert load_checkpoint(tmp_path / "run")["optimizer"]["state"]["learning_rate"] == 0.01 / 2
    assert_same_bits(state(whole), state(fit(trainer(), resume=True)))


class Rates(Callback):
    def __init__(self):
        self.rates = []

    def on_batch_end(self, trainer, epoch, step, record):
        self.rates.append(trainer.optimizer.learning_rate)


STEPS = -(-SAMPLES // 32)


@pytest.mark.parametrize(
    "schedule",
    [OneCycle(0.01, 2 * STEPS), OneCycle(2.0, 2 * STEPS), WarmUp(3, Constant(0.01)),
     lambda t: 1 / (t + 9)],
)
def test_a_schedule_per_step_sets_every_step_also_of_a_resumed_run(data, tmp_path, schedule):
    options = {"epochs": 2, "progress": False}

    def fit(t, crash=None, **more):
        rates = Rates()
        callbacks = [LearningRateSchedule(schedule, per="step"), rates, Crash(crash)]
        t.fit(*data, **options, **more, callbacks=callbacks)
        return t, rates.rates

    whole, rates = fit(trainer())
    assert rates == [schedule(step) for step in range(2 * STEPS)] and len(set(rates)) > 3
    with pytest.raises(Stop):
        fit(trainer(), 2, checkpoint=tmp_path / "run")
    resumed, rest = fit(trainer(), checkpoint=tmp_path / "run", resume=True)
    assert rest == rates[STEPS:]
    assert_same_bits(state(whole), state(resumed))


def test_a_schedule_of_the_package_counts_epochs_from_0(data):
    rates = Rates()
    schedule = Step(0.01, 0.5, 1)
    callbacks = [LearningRateSchedule(schedule), rates]
    trainer().fit(*data, epochs=3, callbacks=callbacks, progress=False)
    assert rates.rates[::STEPS] == [0.01, 0.005, 0.0025]


def test_a_schedule_refuses_nonsense(data):
    with pytest.raises(TypeError, match=r"0\.1"):
        LearningRateSchedule(0.1)
    with pytest.raises(ValueError, match="per.*'batch'"):
        LearningRateSchedule(Constant(0.1), per="batch")
    with pytest.raises(ValueError, match=r"learning_rate.*-1"):
        trainer().fit(
            *data, epochs=1, callbacks=[LearningRateSchedule(lambda _: -1)], progress=False
        )


# ---------------------------------------------------------------- NaN
