"""Every scalar argument of what is public refuses what is none, by its name and its value."""

import inspect
import types
import typing

import numpy as np
import pytest

from cydropout import Mask, dropout, layers, set_num_threads
from cydropout._validate import check_all, check_count, check_flag, check_number
from cydropout.layers._settings import Count, Flag, Integer, Noise, Number, OneOf, Rate
from cydropout.training import Trainer, callbacks, losses, optimizers, schedules
from cydropout.training.clipping import clip_gradients
from cydropout.training.data import load_mnist, shuffled
from cydropout.training.monte_carlo import predict_mc, predict_pass
from cydropout.tuning import tune_rate

TRAINER = Trainer(layers.Dense(1), "mean_squared_error", "sgd")
#: Packages whose public names are all looked at, and what else is.
PACKAGES = [callbacks, layers, losses, optimizers, schedules]
OTHERS = [
    Mask, Trainer, TRAINER.evaluate, TRAINER.fit, TRAINER.predict, clip_gradients, dropout,
    load_mnist, predict_mc, predict_pass, set_num_threads, shuffled, tune_rate,
]
#: What an argument without a default may be, wherever it has this name.
GIVEN = {
    "after": schedules.Constant(0.1), "batches": [1, 2], "buffer": 2, "depth": 3, "directory": "x",
    "draw": 0, "end": 0.1, "epochs": 1, "every": 2, "factor": 0.5, "ff_units": 8,
    "filters": 3, "function": abs, "heads": 2, "kernel_size": 2, "key": 0, "layer": layers.Dense(2),
    "layers": [layers.Dense(2)], "learning_rate": 0.1, "length": 4,
    "loss": "mean_squared_error", "model": layers.Dropout(0.5), "optimizer": "sgd",
    "parameters": [], "path": "x", "peak": 0.1, "rate": 0.5, "rates": [0.5],
    "rng": np.random.default_rng(0), "schedule": abs, "shape": (4, 3), "size": 2, "start": 0.1,
    "steps": 10, "units": 4,
    "vocabulary": 5, "num_threads": 1, "x": np.ones((8, 3)), "y": np.ones((8, 3)),
}
#: What is made anew in every pass, or of any number of things.
UNCHECKED = {layers.Context, layers.Flatten, layers.Parameter, layers.Residual}
#: Any text is right here.
TEXTS = {"monitor", "progress"}
#: What a setting of a layer is.
KINDS = {Count: int, Flag: bool, Integer: int, Noise: float, Number: float, OneOf: str, Rate: float}
SCALARS = {float, int, bool, str}
WRONG = {
    "bool": True, "string": "1e-3", "None": None, "nan": float("nan"),
    "array": np.array([0.25, 0.5]),
}


def kinds(hint):
    """The types that an annotation allows, of a Literal those of its values."""
    if typing.get_origin(hint) is typing.Literal:
        return {type(value) for value in typing.get_args(hint)}
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return set().union(*map(kinds, typing.get_args(hint)))
    return {hint} if isinstance(hint, type) else {object}


def hint_of(thing, parameter):
    """The annotation of a parameter; of types that are imported for them alone, `object`."""
    made = thing.__init__ if isinstance(thing, type) else thing
    try:
        return typing.get_type_hints(types.SimpleNamespace(
            __annotations__={"it": parameter.annotation}), vars(inspect.getmodule(made)))["it"]
    except NameError:
        return object


def publics():
    found = dict.fromkeys(OTHERS)
    for package in PACKAGES:
        for name, thing in vars(package).items():
            home = getattr(thing, "__module__", "")
            if callable(thing) and not name.startswith("_") and home.startswith(package.__name__):
                found[thing] = None
    return [thing for thing in found if not (
        isinstance(thing, type) and issubclass(thing, (BaseException, typing.Protocol)))]


def scalars():
    """Each public thing with each of its arguments that is one number, flag or name."""
    for thing in publics():
        if thing in UNCHECKED:
            continue
        for argument, parameter in inspect.signature(thing).parameters.items():
            setting = getattr(thing, "settings", {}).get(argument)
            found = kinds(hint_of(thing, parameter))
            if setting is not None:
                found = {KINDS.get(type(setting), object)}
                found |= {type(None)} if setting.default is None else set()
            allowed = found - {type(None)}
            optional = type(None) in found or argument == "activation"
            if allowed and allowed <= SCALARS and argument != "name":
                name = f"{thing.__qualname__}-{argument}"
                yield pytest.param(thing, argument, allowed, optional, id=name)


def arguments(hint):
    """Each public thing with each of its arguments whose annotation says ``hint``."""
    return [
        pytest.param(thing, argument, id=f"{thing.__qualname__}-{argument}")
        for thing in publics() if thing not in UNCHECKED
        for argument, parameter in inspect.signature(thing).parameters.items()
        if hint in str(parameter.annotation)
    ]


def needed(thing):
    """What a thing must be given."""
    return {
        name: GIVEN[name] for name, one in inspect.signature(thing).parameters.items()
        if (one.default is one.empty or name == "y")
        and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    }


@pytest.mark.parametrize("thing, argument", arguments("PathLike"))
def test_what_is_no_path_is_refused_by_name(thing, argument):
    with pytest.raises(TypeError, match=f"{argument} must be a path, not the int 3"):
        thing(**{**needed(thing), argument: 3})


@pytest.mark.parametrize("thing, argument", arguments("Callable"))
@pytest.mark.parametrize("wrong", [0.5, schedules.Constant])
def test_what_is_no_function_is_refused_by_name(thing, argument, wrong):
    with pytest.raises(TypeError, match=f"{argument} must be .*, not the (float 0.5|class Const)"):
        thing(**{**needed(thing), argument: wrong})


def is_noise(thing, argument):
    return isinstance(getattr(thing, "settings", {}).get(argument), Noise)


CASES = [*scalars()]


def test_the_table_finds_them():
    assert len(CASES) > 200


@pytest.mark.parametrize("thing, argument, allowed, optional", CASES)
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_scalars_are_refused_by_name(thing, argument, allowed, optional, wrong):
    value = WRONG[wrong]
    if (wrong == "None" and optional) or (wrong == "bool" and bool in allowed) or (
        wrong == "string" and argument in TEXTS
    ) or (wrong == "array" and is_noise(thing, argument)):
        pytest.skip("allowed")
    with pytest.raises((TypeError, ValueError)) as caught:
        thing(**{**needed(thing), argument: value})
    message = str(caught.value)
    # What a layer hands to one inside has the name that it has there: ff_units is its units.
    inside = "rate" if is_noise(thing, argument) else argument.rpartition("_")[2]
    assert argument in message or inside in message, message
    assert ("array" if wrong == "array" else str(value)) in message, message


def test_the_transformer_checks_when_it_is_fitted():
    pytest.importorskip("sklearn")
    from cydropout.sklearn import FeatureDropoutTransformer

    for wrong in WRONG.values():
        with pytest.raises((TypeError, ValueError), match="rate"):
            FeatureDropoutTransformer(wrong).fit(np.ones((3, 4)))


@pytest.mark.parametrize("interval, inside, outside", [
    ("[0, 1]", [0, 1, 0.5], [-0.1, 1.1]),
    ("[0, 1)", [0, 0.5], [1, -1]),
    ("(0, inf)", [1e-9, 1e300], [0, np.inf]),
    ("(-inf, inf)", [-1e300, np.float32(2), np.array(3)], [np.inf, -np.inf]),
    ("[0, 2**64)", [2**63], [2**64]),
])
def test_an_interval_holds_what_it_says(interval, inside, outside):
    for value in inside:
        assert check_number("it", value, interval) == value
    for value in (*outside, np.nan):
        with pytest.raises(ValueError, match="it must be"):
            check_number("it", value, interval)


def test_a_wrong_type_is_both_errors():
    for error in (TypeError, ValueError):
        with pytest.raises(error, match="units must be an integer, at least 1, not the bool True"):
            check_count("units", True)
        with pytest.raises(error, match="it must be True or False, not None"):
            check_flag("it", None)
        with pytest.raises(error, match=r"callbacks\[1\] must be a Callback, not the int 3"):
            check_all("callbacks", iter([callbacks.Callback(), 3]), callbacks.Callback)


def test_callbacks_may_come_from_an_iterator():
    class Counted(callbacks.Callback):
        batches = ended = 0

        def on_batch_end(self, trainer, epoch, step, record):
            self.batches += 1

        def on_train_end(self, trainer):
            self.ended += 1

    one, x = Counted(), np.ones((4, 2), "float32")
    trainer = Trainer(layers.Dense(1), "mean_squared_error", "sgd", rng=0)
    trainer.fit(x, x[:, :1], epochs=3, callbacks=iter([one]), progress=False)
    assert (one.batches, one.ended) == (3, 1)


def test_an_integer_that_is_no_float_is_refused():
    with pytest.raises(ValueError, match="it must be a number, finite.*1329 bits"):
        check_number("it", 10**400)
