"""Whatever takes a model says what it accepts, when it is given something else."""

import importlib
import inspect

import numpy as np
import pytest

import cydropout
from cydropout import Trainer, onnx, predict_mc, training, tuning
from cydropout.layers import Dense, Residual, Sequential, load_model
from cydropout.training import callbacks, monte_carlo
from cydropout.tuning import tune_rate

X = np.zeros((8, 6), "float32")
Y = np.zeros(8, "int64")
#: What takes a layer, by its name.
OURS = {
    "Trainer": lambda model: Trainer(model, "softmax_cross_entropy", "adam"),
    "dead_units": lambda model: callbacks.dead_units(model, X),
    "from_torch": lambda layer: exchange().from_torch({}, layer),
    "predict_mc": lambda model: predict_mc(model, X),
    "predict_pass": lambda model: monte_carlo.predict_pass(model, X, 0),
    "to_onnx": lambda model: onnx.to_onnx(model),
    "to_torch": lambda layer: exchange().to_torch(layer, {}),
    "tune_rate": lambda model: tune_rate(
        model, "softmax_cross_entropy", "adam", X, Y, [0.5], epochs=1, folds=2),
}
#: What takes a module of PyTorch's.
THEIRS = {
    "from_torch": lambda module: exchange().from_torch(module, Dense(2)),
    "replace_dropout": lambda model: cdt().replace_dropout(model),
    "report": lambda model: cdt().report(model),
    "revert_dropout": lambda model: cdt().revert_dropout(model),
    "to_torch": lambda module: exchange().to_torch(Dense(2), module),
}
FUNCTIONS = {"predict_mc", "predict_pass"}
WRONG = [
    ([Dense(2)], r"not the list"),
    (Dense, r"not the class Dense; make one of it, with Dense\(\.\.\.\)"),
    (None, "not None"),
    ("dense", "not the str 'dense'"),
    (X, "not an array of shape"),
    (lambda x: x, "not the function"),
]


def exchange():
    return importlib.import_module("cydropout.torch.exchange")


def cdt():
    pytest.importorskip("torch")
    return importlib.import_module("cydropout.torch")


def packages():
    yield from (cydropout, callbacks, monte_carlo, onnx, training, tuning)
    for name in ("layers", "sklearn", "torch"):
        try:
            yield importlib.import_module(f"cydropout.{name}")
        except ImportError:
            assert name != "layers"


def test_all_that_takes_a_model_is_in_a_table():
    found = set()
    for package in packages():
        for name in getattr(package, "__all__", vars(package)):
            thing = getattr(package, name)
            home = str(getattr(thing, "__module__", ""))
            if name.startswith("_") or not callable(thing) or not home.startswith(package.__name__):
                continue
            if isinstance(thing, type) and thing is not Trainer:
                continue  # a layer's settings hold layers, which their tests look at
            if {"model", "layer", "module"} & inspect.signature(thing).parameters.keys():
                found.add(name)
    assert found <= OURS.keys() | THEIRS.keys()
    assert found >= OURS.keys() - {"to_torch", "from_torch"}  # which PyTorch brings


@pytest.mark.parametrize(("given", "words"), WRONG, ids=[words[:12] for _, words in WRONG])
@pytest.mark.parametrize("name", OURS)
def test_what_is_no_layer_is_refused(name, given, words):
    if name in FUNCTIONS and inspect.isfunction(given):
        return
    with pytest.raises(TypeError, match=f"(model|layer) must be a Layer, {words}") as caught:
        OURS[name](given)
    assert not isinstance(given, list) or "Sequential([...])" in str(caught.value)
    if name in FUNCTIONS:
        assert "or a Trainer, or a function f(x, stream)" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"), [*WRONG, (Dense(2), "not the Dense")],
    ids=[*(words[:12] for _, words in WRONG), "layer"])
@pytest.mark.parametrize("name", THEIRS)
def test_what_is_no_module_is_refused(name, given, words):
    with pytest.raises(TypeError, match=rf"(model|module) must be a torch\.nn\.Module.*{words}"):
        THEIRS[name](given)


def test_entries_that_are_no_layers_are_named():
    for make in (lambda one: Sequential([Dense(2), one]), lambda one: Residual(Dense(2), one)):
        for given, words in ((np.tanh, "ufunc"), (None, "None"), (Dense, "class")):
            with pytest.raises(TypeError, match=f"1.*{words}"):
                make(given)


def test_a_path_that_is_none_is_named():
    with pytest.raises(TypeError, match="Sequential"):
        load_model(Sequential([Dense(2)]))
