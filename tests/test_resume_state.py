"""A resumed run takes all of a checkpoint back, but what was allowed to differ, or nothing."""

import re

import numpy as np
import pytest
from test_resume import fit, two
from training_cases import assert_same_bits, network, state, trainer

from cydropout import Trainer
from cydropout.layers import Dense, Dropout, Sequential
from cydropout.training import schedules
from cydropout.training.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateSchedule,
    RateSchedule,
)
from cydropout.training.checkpoint import load_checkpoint, save_checkpoint
from cydropout.training.optimizers import SGD, Adam, AdamW, RMSprop

# ---------------------------------------------------------------- what may differ


def test_another_learning_rate_is_refused_with_both_values_and_used_where_it_is_allowed(
    data, tmp_path
):
    path = tmp_path / "run"
    fit(data, path, optimizer=Adam(1e-2))
    with pytest.raises(ValueError, match=r"optimizer\.learning_rate was 0\.01 .* is 1e-05 here"):
        fit(data, path, epochs=2, optimizer=Adam(1e-5), resume=True)
    before = load_checkpoint(path)["model"]
    t = fit(data, path, epochs=2, optimizer=Adam(1e-5), resume=True, override="learning_rate")
    assert t.optimizer.learning_rate == 1e-5
    steps = -(-len(data[0]) // 32)
    moved = max(abs(before[name] - value).max() for name, value in t.model.state_dict().items())
    assert 0 < moved < 2 * steps * 1e-5
    # From then on it is that of the run.
    assert fit(data, path, epochs=3, optimizer=Adam(1e-5), resume=True).optimizer.steps == 3 * steps


@pytest.mark.parametrize(
    ("one", "other", "names", "steps"),
    [
        (SGD(0.1), SGD(0.1, momentum=0.9), "momentum", 1),
        (SGD(0.1, momentum=0.9), SGD(0.1), "momentum", 1),
        (Adam(), AdamW(), "optimizer", 2),
        (Adam(), RMSprop(), "optimizer", 1),
        (SGD(0.1), Adam(), "optimizer", 1),
    ],
)
def test_an_optimizer_that_keeps_other_arrays_begins_anew(
    data, tmp_path, one, other, names, steps
):
    fit(data, tmp_path / "run", optimizer=one)
    rate = other.learning_rate
    t = fit(data, tmp_path / "run", epochs=2, optimizer=other, resume=True, override=names)
    assert t.optimizer.steps == steps * -(-len(data[0]) // 32)
    assert t.optimizer.learning_rate == rate


def test_a_run_that_was_stopped_goes_on_where_its_rule_is_another(data, tmp_path):
    def run(patience, **more):
        stop = [EarlyStopping("loss", patience, min_delta=100.0)]
        fit(data, tmp_path / "run", epochs=9, callbacks=stop, **more)
        return load_checkpoint(tmp_path / "run")["epoch"]

    assert run(1) == 2 == run(1, resume=True)
    assert run(4, resume=True, override="patience") == 5


def test_callbacks_may_come_and_go_and_those_that_stay_keep_their_state(data, tmp_path):
    fit(data, tmp_path / "run", epochs=2, callbacks=[EarlyStopping("loss")])
    stop = EarlyStopping("loss")
    fit(data, tmp_path / "run", epochs=2, resume=True, override="callbacks",
        callbacks=[LearningRateSchedule(two), stop])
    assert stop.best_epoch == 2


class Waning(Dropout):
    """Halves its rate in each pass of training."""

    def forward(self, x, ctx):
        self.rate = self.rate / 2 if ctx.training else self.rate
        return super().forward(x, ctx)


class Slowing(SGD):
    """Halves its learning rate in each step."""

    def step(self, parameters, **options):
        super().step(parameters, **options)
        self.learning_rate /= 2


@pytest.mark.parametrize(("noise", "optimizer"), [(Waning, SGD), (Dropout, Slowing)])
def test_what_code_of_others_has_moved_is_no_change(noise, optimizer, data, tmp_path):
    own = Trainer(Sequential([Dense(8), noise(0.5), Dense(3)]), "softmax_cross_entropy",
                  optimizer(0.1), rng=0)
    x, y = np.ones((8, 4)), np.arange(8) % 3
    options = {"batch_size": 4, "progress": False, "checkpoint": tmp_path / "run"}
    own.fit(x, y, epochs=1, **options)
    own.fit(x, y, epochs=2, resume=True, **options)
    assert own.epoch == 2


def test_an_epoch_of_other_batches_begins_anew(data, tmp_path):
    class Crash(Callback):
        def on_batch_begin(self, trainer, epoch, step):
            if step == self.at:
                raise KeyboardInterrupt

    path, callback = tmp_path / "run", Crash()
    callback.at = 5
    with pytest.raises(KeyboardInterrupt):
        fit(data, path, checkpoint_every=2, callbacks=[callback])
    assert load_checkpoint(path)["step"] == 4
    callback.at = None
    t = fit(data, path, batch_size=16, callbacks=[callback], resume=True, override={"batch_size"})
    assert t.optimizer.steps == 4 + -(-len(data[0]) // 16)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"override": {"lerning_rate"}}, "'lerning_rate' is no setting.*use learning_rate"),
        ({"override": ["learning_rate", "x"]}, "'x' is no setting"),
        ({"override": [3]}, r"override\[0\] must be a str, not the int 3"),
        ({"override": 3}, "override must be a list of str"),
        ({"override": "rate", "resume": False}, "override needs resume=True"),
    ],
)
@pytest.mark.parametrize("there", [False, True])
def test_names_that_override_nothing_are_refused(data, tmp_path, options, words, there):
    path = tmp_path / "run"
    if there:
        fit(data, path)
    with pytest.raises(ValueError, match=words):
        fit(data, path, epochs=2, **{"resume": True, **options})
    assert path.exists() == there
    fit(data, tmp_path / "other", resume=True, override={"learning_rate", "trainer"})


# ---------------------------------------------------------------- all of it or nothing


class Notes(Callback):
    """Notes what it is told."""

    def __init__(self, fails=False):
        self.told, self.loaded, self.fails = [], 0, fails

    def on_train_begin(self, trainer, metrics):
        self.told.append("begin")

    def state_dict(self):
        return {"loaded": self.loaded}

    def load_state_dict(self, state):
        self.loaded = state["loaded"]
        if self.fails:
            raise KeyError("gone")


def test_a_run_that_is_refused_is_not_begun(data, tmp_path):
    fit(data, tmp_path / "run", callbacks=[Notes()])
    t, notes = Trainer(network(), "softmax_cross_entropy", "adam", rng=1), Notes()
    with pytest.raises(ValueError, match="another run: optimizer was 'SGD' .* 'Adam' here"):
        t.fit(*data, epochs=2, checkpoint=tmp_path / "run", resume=True, callbacks=[notes])
    assert not notes.told and not t.model.parameters() and t.stream.next_draw == 0


def resumed(data, path, callback=None, optimizer="adam"):
    """Resume with a built model and a stream that have moved; return what they were before."""
    t = Trainer(network(), "softmax_cross_entropy", optimizer, rng=1)
    t.fit(*data, epochs=1, progress=False)
    stream, before = t.stream, state(t)
    callbacks = [EarlyStopping("loss"), callback or Notes()]
    callbacks[0].best_epoch = 77
    with pytest.raises(ValueError) as caught:
        t.fit(*data, epochs=2, checkpoint=path, resume=True, callbacks=callbacks, progress=False)
    assert_same_bits(before, state(t))
    assert t.stream is stream and callbacks[0].best_epoch == 77
    return str(caught.value)


def test_a_callback_that_cannot_take_its_state_leaves_all_as_it_was(data, tmp_path):
    path = tmp_path / "run"
    fit(data, path, optimizer="adam", callbacks=[EarlyStopping("loss"), Notes()])
    assert "Notes cannot take its state" in resumed(data, path, Notes(fails=True))


M = "0.dense.weight.m"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda s: s["optimizer"]["state"].__setitem__(M, {"x": np.ones(3)}), f"{M}.* an array"),
        (lambda s: s["optimizer"]["state"].__setitem__(M, np.ones(3)), f"{M}.*float64"),
        (lambda s: s["optimizer"]["state"].__setitem__("steps", "x"), "x"),
        (lambda s: s["optimizer"]["state"].__setitem__("steps", {"a": 1}), "steps.*dict"),
        (lambda s: s["optimizer"]["state"].__setitem__("learning_rate", []), "learning_rate.*list"),
        (lambda s: s.__setitem__("optimizer", np.ones(3)), "holds no run"),
        (lambda s: s["optimizer"]["state"].pop(M), "lacks"),
        (lambda s: s["optimizer"]["state"].pop("steps"), "lacks 'steps'"),
        (lambda s: s["model"].__setitem__("0.dense.weight", {"x": np.ones(3)}), "an array"),
        (lambda s: s["model"].__setitem__("0.dense.weight", np.ones(3)), "float64"),
        (lambda s: s["model"].pop("0.dense.weight"), "missing"),
        (lambda s: s["stream"].__setitem__("key", -1), "key.*-1"),
        (lambda s: s["stream"].__setitem__("next_draw", 1.5), "next_draw.*1.5"),
        (lambda s: s["mean"].pop("count"), "count"),
        (lambda s: s.__setitem__("epoch", True), "epoch.*True"),
        (lambda s: s.__setitem__("settings", 3), "int"),
        (lambda s: s.__setitem__("history", [3]), "int"),
        (lambda s: s.__setitem__("history", [np.ones((4, 2), int)]), r"history\[0\] must be"),
        (lambda s: s.__setitem__("callbacks", {"type": 3}), "str"),
        (lambda s: s["callbacks"][0]["state"].pop("best"), "EarlyStopping cannot.*best"),
        (lambda s: s["callbacks"][0]["state"]["best_state"].__setitem__(
            "0.dense.weight", np.ones(3)), "EarlyStopping cannot.*float64"),
        (lambda s: s["callbacks"][0]["state"]["best_state"].pop("0.dense.weight"),
         "EarlyStopping cannot.*best_state"),
        (lambda s: s.__setitem__("update", {"a": 1}), "step cannot"),
        (lambda s: s.__setitem__("update", {"batches": 1, "weight": 1, "penalty": 0, "gradients":
                                            {"0.dense.weight": np.ones(3)}}), "step cannot.*float"),
        *[(lambda s, name=name: s.pop(name), name) for name in (
            "settings", "epoch", "first", "step", "steps", "mean", "seconds", "stopped", "stream",
            "history", "model", "optimizer", "callbacks")],
    ],
)
def test_a_checkpoint_of_something_else_leaves_all_as_it_was(data, tmp_path, spoil, words):
    path = tmp_path / "run"
    fit(data, path, optimizer="adam", callbacks=[EarlyStopping("loss"), Notes()])
    saved = load_checkpoint(path)
    spoil(saved)
    save_checkpoint(path, saved)
    assert re.search(words, resumed(data, path))


def test_a_damaged_checkpoint_leaves_all_as_it_was(data, tmp_path):
    path = tmp_path / "run"
    fit(data, path, optimizer="adam", callbacks=[EarlyStopping("loss"), Notes()])
    whole = path.read_bytes()
    for place in np.linspace(0, len(whole) - 1, 40).astype(int):
        damaged = bytearray(whole)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        assert str(path) in resumed(data, path)
    save_checkpoint(path, {"model": {}})
    assert "holds no run of training" in resumed(data, path)


def test_the_same_trainer_goes_on_after_an_interruption_though_schedules_moved_its_settings(
    data, tmp_path
):
    class Interrupt(Callback):
        at = None

        def on_batch_begin(self, trainer, epoch, step):
            if step == self.at:
                raise KeyboardInterrupt

    stop, whole = Interrupt(), Interrupt()
    callbacks = [LearningRateSchedule(schedules.Linear(0.1, 0.01, 20), per="step"),
                 RateSchedule(schedules.Linear(0.1, 0.5, 20)), stop]
    options = {"epochs": 2, "progress": False, "checkpoint": tmp_path / "run"}
    runs = trainer(), trainer()
    runs[0].fit(*data, **{**options, "checkpoint": None}, callbacks=[*callbacks[:2], whole])
    stop.at = 9
    with pytest.raises(KeyboardInterrupt):
        runs[1].fit(*data, **options, callbacks=callbacks)
    stop.at = None
    runs[1].fit(*data, **options, callbacks=callbacks, resume=True)
    assert_same_bits(*map(state, runs))
    # What the user sets himself is a difference.
    runs[1].optimizer.learning_rate = 0.3
    with pytest.raises(ValueError, match="another run: optimizer.learning_rate was 0.001 "):
        runs[1].fit(*data, **options, callbacks=callbacks, resume=True)


class Leave(Callback):
    """End a run after its last batch, before the end of its epoch is saved."""

    on = True

    def on_batches_end(self, trainer, epoch):
        if self.on:
            raise KeyboardInterrupt


@pytest.mark.parametrize("callback", [
    lambda: LearningRateSchedule(schedules.Linear(0.1, 0.01, 9), per="step"),
    lambda: LearningRateSchedule(schedules.Linear(0.1, 0.01, 9)),
    lambda: RateSchedule(schedules.Linear(0.1, 0.5, 9)),
])
def test_what_schedules_moved_is_as_it_was_where_no_step_is_left(data, tmp_path, callback):
    ends = []
    for stopped in (False, True):
        leave, path = Leave(), tmp_path / f"{stopped}"
        leave.on = stopped
        options = {"checkpoint_every": 1, "resume": True}
        if stopped:
            with pytest.raises(KeyboardInterrupt):
                fit(data, path, callbacks=[callback(), leave], **options)
            leave.on = False
            fit(data, path, callbacks=[callback(), leave], **options)
        ends += [fit(data, path, callbacks=[callback(), leave], **options), load_checkpoint(path)]
    assert ends[1]["config"] == ends[3]["config"]
    assert str(ends[1]["optimizer"]["state"]) == str(ends[3]["optimizer"]["state"])
    for end in (ends[0], ends[2]):  # the second is of a finished run, which took no step
        assert end.model.layers[1].rate == ends[1]["config"]["layers"][1]["rate"]
        assert end.optimizer.learning_rate == ends[1]["optimizer"]["state"]["learning_rate"]


def test_frozen_parameters_are_compared(data, tmp_path):
    fit(data, tmp_path / "run")
    model = network()
    model.build(data[0].shape[1:], 0)
    model.parameters()[0].trainable = False
    with pytest.raises(ValueError, match=r"parameters\.0\.dense\.weight was .* not trainable"):
        fit(data, tmp_path / "run", epochs=2, model=model, resume=True)
    fit(data, tmp_path / "run", epochs=2, model=model, resume=True, override="parameters")
    saved = load_checkpoint(tmp_path / "run")
    assert saved["epoch"] == 2 and (saved["model"]["0.dense.weight"] == model.parameters()[
        0].value).all()


def test_a_checkpoint_that_no_file_could_hold_is_refused_before_the_first_step(data, tmp_path):
    model = Sequential([Dense(4, name="\ud800"), Dense(3)])
    t = Trainer(model, "softmax_cross_entropy", "sgd", rng=0)
    with pytest.raises(ValueError, match="lone surrogate"):
        t.fit(*data, epochs=1, progress=False, checkpoint=tmp_path / "run")
    assert t.optimizer.steps == 0 and not list(tmp_path.iterdir())
