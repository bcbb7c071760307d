"""What decides a run is compared when it is resumed, and all of it taken back, or nothing."""

import inspect
import json
import re
from dataclasses import fields, is_dataclass
from functools import partial

import numpy as np
import pytest
from optimizer_reference import OPTIMIZERS
from test_settings import LAYERS
from training_cases import CLASSES, SAMPLES, network

from cydropout import Trainer
from cydropout.layers import Dense, Layer, Residual, Sequential
from cydropout.layers._settings import from_config, to_config
from cydropout.training import callbacks, losses, schedules
from cydropout.training._configuration import compare, plain
from cydropout.training.callbacks import (
    Callback,
    EarlyStopping,
    ExponentialMovingAverage,
    LearningRateSchedule,
    RateSchedule,
    ReduceLROnPlateau,
)
from cydropout.training.checkpoint import load_checkpoint
from cydropout.training.optimizers import SGD

#: What is tried, one after the other, in the place of a setting: the first that is accepted.
OTHERS = {
    bool: lambda value: [not value],
    int: lambda value: [value + 1, value * 2, value - 1, value - 2],
    float: lambda value: [value / 2, 0.25, value + 1, 0.75],
    type(None): lambda value: [0.5, 1, 0.1, [1], {"kind": "dense", "units": 3}],
    str: lambda value: [0.5, 1, [1, 1]],  # besides the names that the error knows
    list: lambda value: [[*value, 1], [1], [0], value[:-1], ["bias"],
                        [one * 2 for one in value]],
    tuple: lambda value: [[["*bias", {"learning_rate": 0.5}]], *OTHERS[list](list(value))],
    dict: lambda value: [{}],
}
SCHEDULES = {
    "Constant": schedules.Constant(0.1),
    "Linear": schedules.Linear(0.1, 0.2, 9),
    "Cosine": schedules.Cosine(0.1, 0.2, 9),
    "Curriculum": schedules.Curriculum(0.1, gamma=0.5),
    "Step": schedules.Step(0.1, 0.5, 3),
    "WarmUp": schedules.WarmUp(4, schedules.Constant(0.1), 0.05),
    "OneCycle": schedules.OneCycle(0.1, 9),
}


def changes(thing):
    """Yield a setting of a dataclass, and the same but for it, for each of them."""
    given = {one.name: getattr(thing, one.name) for one in fields(thing)}
    for name, value in given.items():
        yield name, first(lambda other, name=name: type(thing)(**{**given, name: other}), value)


def first(make, value):
    """Return what is made of the first value that is another one and accepted, or None."""
    others = OTHERS.get(type(value), lambda value: [schedules.Constant(0.3)])(value)
    if isinstance(value, str):
        try:
            return make("?")
        except ValueError as error:
            others = [*re.findall(r"[\w-]+", str(error).rpartition("use one of")[2]), *others]
    for other in others:
        try:
            if other != value:
                return make(other)
        except (TypeError, ValueError):
            continue
    return None


def table(things):
    """Return rows of a test: the thing, another of it, the setting that differs."""
    rows = [(name, thing, other, setting) for name, thing in things.items()
            for setting, other in (changes(thing) if is_dataclass(thing) else ())]
    missed = {(type(thing), setting) for _, thing, _, setting in rows}
    rows = [row for row in rows if row[2] is not None]
    assert missed == {(type(thing), setting) for _, thing, _, setting in rows}
    return [pytest.param(*row, id=f"{name}-{row[-1]}") for name, *row in rows]


def fit(data, path, *, epochs=1, loss="softmax_cross_entropy", optimizer="sgd", model=None,
        clip_norm=None, clip_value=None, metrics=(), reduction="fast", targets=None,
        **options):
    t = Trainer(model or network(), loss, optimizer, rng=3, clip_norm=clip_norm,
                clip_value=clip_value, metrics=metrics, reduction=reduction)
    x, y = data
    t.fit(x, y if targets is None else targets, epochs=epochs, progress=False, checkpoint=path,
          **options)
    return t


def check(data, path, setting, **other):
    """A run with another setting is refused by its name, and goes on where it is allowed."""
    name = setting.rpartition(".")[2]
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"another run: \S*{name} was .* override={{'.*{name}'}}"):
        fit(data, path, epochs=2, resume=True, **other)
    assert path.read_bytes() == before
    fit(data, path, epochs=2, resume=True, override={setting}, **other)
    saved = load_checkpoint(path)
    assert (saved["epoch"], len(saved["history"])) == (2, 2)


@pytest.mark.parametrize(("optimizer", "other", "setting"), table(
    {name: make() for name, make in OPTIMIZERS.items()} | {"plain SGD": SGD(0.1)}))
def test_every_setting_of_an_optimizer_is_compared(data, tmp_path, optimizer, other, setting):
    fit(data, tmp_path / "run", optimizer=optimizer)
    check(data, tmp_path / "run", setting, optimizer=other)


class Squashed(Layer):
    """Between 0 and 1, which both logits and probabilities may be."""

    def forward(self, x, ctx):
        y = 1 / (1 + np.exp(-x))
        return y, lambda dy: dy * y * (1 - y)


class Own(losses.SoftmaxCrossEntropy):
    """A loss of the user, who declares nothing."""

    def __init__(self, weight):
        super().__init__()
        self.weight = weight


@pytest.mark.parametrize(("loss", "other", "setting"), [
    *table({name: kind() for name, kind in losses.NAMES.items()}),
    pytest.param(Own(1.0), Own(2.0), "weight", id="own"),
])
def test_every_setting_of_a_loss_is_compared(data, tmp_path, loss, other, setting):
    def model():
        return Sequential([Dense(CLASSES), Squashed()])

    targets = np.eye(CLASSES, dtype="f4")[data[1]]
    wants_labels = isinstance(loss, (losses.SoftmaxCrossEntropy, losses.RDropLoss))
    options = {"targets": None if wants_labels else targets}
    if getattr(loss, "from_logits", True) != getattr(other, "from_logits", True):
        options["targets"] = targets
    fit(data, tmp_path / "run", loss=loss, model=model(), **options)
    check(data, tmp_path / "run", setting, loss=other, model=model(), **options)


@pytest.mark.parametrize(("schedule", "other", "setting"), table(SCHEDULES))
@pytest.mark.parametrize("callback", [LearningRateSchedule, RateSchedule])
def test_every_setting_of_a_schedule_is_compared(
    data, tmp_path, callback, schedule, other, setting
):
    fit(data, tmp_path / "run", callbacks=[callback(schedule)])
    name = f"schedule.{setting}" if setting != "after" else "schedule.after.rate"
    check(data, tmp_path / "run", name, callbacks=[callback(other)])


def test_every_schedule_has_a_row():
    known = {kind.__name__ for kind in vars(schedules).values() if inspect.isclass(kind)
             and issubclass(kind, schedules.Schedule) and kind is not schedules.Schedule}
    assert known == set(SCHEDULES)


def two(step):
    return 0.2


CALLBACKS = {
    "monitor": (EarlyStopping("loss"), EarlyStopping("accuracy")),
    "patience": (EarlyStopping("loss"), EarlyStopping("loss", 6)),
    "min_delta": (EarlyStopping("loss"), EarlyStopping("loss", min_delta=0.5)),
    "restore_best": (EarlyStopping("loss"), EarlyStopping("loss", restore_best=False)),
    "higher": (EarlyStopping("loss"), EarlyStopping("loss", higher=True)),
    "per": (LearningRateSchedule(two), LearningRateSchedule(two, per="step")),
    "LearningRateSchedule.schedule": (LearningRateSchedule(two), LearningRateSchedule(abs)),
    "RateSchedule.schedule": (RateSchedule(two), RateSchedule(lambda step: 0.3)),
    "layers": (RateSchedule(two), RateSchedule(two, ["1.dropout"])),
    "decay": (ExponentialMovingAverage(0.9), ExponentialMovingAverage(0.5)),
    **{name: (ReduceLROnPlateau("loss"), ReduceLROnPlateau("loss", **{name: other}))
       for name, other in {"factor": 0.5, "cooldown": 1, "min_learning_rate": 0.1}.items()},
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_every_setting_of_a_callback_is_compared(data, tmp_path, name):
    one, other = CALLBACKS[name]
    fit(data, tmp_path / "run", callbacks=[one])
    check(data, tmp_path / "run", name.rpartition(".")[2], callbacks=[other])


#: Those that decide nothing, but what is written down or when a run ends in an error.
PASSIVE = {"DeadUnits": {"x", "every"}, "FunctionCallback": set(), "Callback": set(),
           "Guard": {"limit", "checkpoint", "every"}, "TensorBoard": {"directory", "every"}}


def test_every_argument_of_a_callback_has_a_row():
    kinds = {name: kind for name, kind in vars(callbacks).items() if inspect.isclass(kind)
             and issubclass(kind, Callback) and name not in PASSIVE}
    known = {name.rpartition(".")[2] for name in CALLBACKS}
    for name, kind in kinds.items():
        arguments = {*inspect.signature(kind).parameters}
        config = next(one for one, _ in CALLBACKS.values() if type(one) is kind).get_config()
        assert arguments == {*config} and arguments <= known, name


#: Arguments of `Trainer` and `fit` with another value than that of the first half, or None for
#: those that decide nothing, or are compared elsewhere.
ARGUMENTS = {
    "clip_norm": 1.0, "clip_value": 0.5, "batch_size": 16, "shuffle": False, "drop_last": True,
    "accumulate": 2, "validation_split": 0.25, "reduction": "ordered",
    "validation_data": "data", "class_weight": {0: 2.0}, "sample_weight": [1.0] * SAMPLES,
    "metrics": {"share": lambda prediction, target: 0.5},
    **dict.fromkeys(["model", "loss", "optimizer", "rng", "num_threads", "x", "y", "epochs",
                     "callbacks", "progress", "checkpoint", "checkpoint_every", "resume",
                     "override", "lengths", "comm", "sharded"]),
}


def test_every_argument_has_a_row():
    known = {*inspect.signature(Trainer).parameters, *inspect.signature(Trainer.fit).parameters}
    assert known - {"self"} == set(ARGUMENTS)


@pytest.mark.parametrize("name", [name for name, value in ARGUMENTS.items() if value is not None])
def test_every_argument_of_the_trainer_is_compared(data, tmp_path, name):
    fit(data, tmp_path / "run")
    value = data if ARGUMENTS[name] == "data" else ARGUMENTS[name]
    check(data, tmp_path / "run", name, **{name: value})


@pytest.mark.parametrize("x", [lambda x: x[:100], lambda x: x[:, :5], lambda x: x[:, :, None]])
def test_the_shapes_of_the_data_are_compared(data, tmp_path, x):
    fit(data, tmp_path / "run")
    with pytest.raises(ValueError, match=r"another run: data\.sample"):
        fit((x(data[0]), data[1][: len(x(data[0]))]), tmp_path / "run", epochs=2, resume=True)


def leaves(node, path=()):
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, (dict, list)) and any(isinstance(one, dict) for one in [
                value, *(value if isinstance(value, list) else ())]) and value:
            yield from leaves(value, (*path, key))
        elif key != "kind":
            yield (*path, key), value


def with_value(config, path, value):
    config = json.loads(json.dumps(config))
    node = config
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return config


def another(name, path, value):
    """Return the row's layer with another value at a place of its config, or None."""
    config = to_config(LAYERS[name]())

    def make(other):
        made = from_config(with_value(config, path, other))
        if to_config(made) == config:
            raise ValueError("it means the same")
        return made

    return first(make, value)


@pytest.mark.parametrize("name", LAYERS)
def test_every_setting_of_a_layer_is_compared(name):
    config = json.loads(json.dumps(to_config(LAYERS[name]())))
    saved = plain({"model": Sequential([from_config(config)])})
    assert compare(saved, plain({"model": Sequential([from_config(config)])}), ()) == set()
    for path, value in leaves(config):
        other = another(name, path, value)
        if other is not None:
            here = plain({"model": Sequential([other])})
            place = ".".join(map(str, ("model", "layers", 0, *path)))
            with pytest.raises(ValueError, match=re.escape(f"another run: {place}")):
                compare(saved, here, ())
            changed = compare(saved, here, {place})
            assert changed and all(one.startswith(place) for one in changed)


def test_every_setting_of_every_layer_has_another_value_in_some_row():
    seen, all_of_them = set(), set()
    for name, make in LAYERS.items():
        layer = make()
        for path, value in leaves(json.loads(json.dumps(to_config(layer)))):
            if len(path) == 1:
                all_of_them.add((type(layer).__name__, path[0]))
                if another(name, path, value) is not None:
                    seen.add((type(layer).__name__, path[0]))
    assert all_of_them - seen == set()


class Undeclared(Layer):
    """One whose setting no config knows."""

    def __init__(self, by=1.0):
        super().__init__()
        self.by = by

    def forward(self, x, ctx):
        return x * self.by, lambda dy: dy * self.by


def test_what_the_constructor_of_a_layer_takes_is_compared_though_it_is_no_setting(data, tmp_path):
    def model(by):
        return Sequential([Residual(Undeclared(by)), Dense(CLASSES)])

    fit(data, tmp_path / "run", model=model(0.5))
    fit(data, tmp_path / "run", model=model(0.5), epochs=2, resume=True)
    with pytest.raises(ValueError, match=r"attributes\.\d Undeclared by was 0\.5 .* 0\.25 here"):
        fit(data, tmp_path / "run", model=model(0.25), epochs=3, resume=True)
    fit(data, tmp_path / "run", model=model(0.25), epochs=3, resume=True, override="attributes")


def rate(high, step):
    return high


def test_functions_are_compared_by_name_and_partial_ones_by_what_they_hold(data, tmp_path):
    def schedule(high):
        return [LearningRateSchedule(partial(rate, high))]

    fit(data, tmp_path / "run", callbacks=schedule(0.1))
    fit(data, tmp_path / "run", callbacks=schedule(0.1), epochs=2, resume=True)
    with pytest.raises(ValueError, match=r"callbacks\.0\.schedule\.1 was 0\.1 .* 0\.2 here"):
        fit(data, tmp_path / "run", callbacks=schedule(0.2), epochs=3, resume=True)
    fit(data, tmp_path / "run", callbacks=schedule(0.2), epochs=3, resume=True,
        override={"schedule"})
