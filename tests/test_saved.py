"""Models in files: configuration and parameters come back, from a checkpoint too."""

import inspect
import os
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from layer_cases import ROWS, draw, training
from test_settings import LAYERS
from training_cases import assert_same_bits, trainer

import cydropout
from cydropout import Trainer
from cydropout.layers import (
    BatchNorm,
    Dense,
    Dropout,
    Layer,
    Parameter,
    Sequential,
    TransformerBlock,
    load_model,
    register,
)
from cydropout.layers._settings import Number
from cydropout.training.checkpoint import load_checkpoint, save_checkpoint


def moved(model):
    """Give every parameter values that no `build` would."""
    rng = np.random.default_rng(5)
    for parameter in model.parameters():
        parameter.value += rng.uniform(0.1, 0.2, parameter.value.shape)
    return model


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_layer_comes_back_to_the_bit(tmp_path, name, dtype):
    model = Sequential([LAYERS[name]()], dtype=dtype)
    model.build(ROWS[name].shape[1:], 3)
    moved(model).save(tmp_path / "model")
    again = cydropout.load_model(tmp_path / "model")
    assert again.get_config() == model.get_config() and type(again) is Sequential
    assert again.input_shape == model.input_shape and again.dtype == dtype
    assert_same_bits(model.state_dict(), again.state_dict())
    x = draw(ROWS[name].shape, 1)
    for ctx in (lambda: cydropout.layers.Context(), training):
        np.testing.assert_array_equal(*(one.forward(x, ctx())[0] for one in (model, again)))


def test_a_model_comes_back_from_a_checkpoint_alone(data, tmp_path):
    t = trainer()
    t.fit(*data, epochs=2, progress=False, checkpoint=tmp_path / "run")
    model = load_model(tmp_path / "run")
    np.testing.assert_array_equal(model(data[0]), t.model(data[0]))
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(load_model(tmp_path / "model")(data[0]), t.model(data[0]))
    # One that is no Sequential knows no shape of its input; the checkpoint does.
    alone = Trainer(Dense(1), "mean_squared_error", "sgd", rng=0)
    alone.fit(data[0], data[1][:, None], epochs=1, progress=False, checkpoint=tmp_path / "alone")
    found = load_model(tmp_path / "alone")
    assert type(found) is Dense
    assert_same_bits(found.state_dict(), alone.model.state_dict())


SERVE = """
import sys
import numpy as np
import cydropout
model = cydropout.load_model(sys.argv[1])
np.save(sys.argv[2], model(np.ones((2, 5), "f4")))
print(sorted({"cydropout.training", "safetensors"} & set(sys.modules)))
"""


def test_another_process_serves_it_without_the_trainer(tmp_path):
    model = Sequential([Dense(4, activation="relu"), Dropout(0.5), Dense(2)])
    model.build((5,), 0)
    model.save(tmp_path / "model")
    command = [sys.executable, "-c", SERVE, tmp_path / "model", tmp_path / "y.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), model(np.ones((2, 5), "f4")))


# ---------------------------------------------------------------- layers of the user


class Scale(Layer):
    """``y = by x``, by a setting."""

    by = Number(1.0)

    def forward(self, x, ctx):
        return x * np.asarray(self.by, x.dtype), lambda dy: dy * np.asarray(self.by, dy.dtype)


class Undeclared(Layer):
    """The same, by an attribute that no config knows."""

    def __init__(self, by=1.0, **options):
        super().__init__(**options)
        self.by = by

    forward = Scale.forward


class Told(Undeclared):
    """The same, and its config says so."""

    def get_config(self):
        return {"by": self.by, **super().get_config()}


class Named(Told):
    """One with a setting that no file can hold."""

    def forward(self, x, ctx):
        return x, lambda dy: dy


class Fixed(Scale):
    """One that another process does not know."""


def built(*layers):
    model = Sequential(layers)
    model.build((5,), 0)
    return model


@pytest.mark.parametrize("layer", [Scale(by=3.0), Told(3.0), Told(3.0, name="three")])
def test_a_layer_of_the_user_comes_back(tmp_path, layer):
    built(layer, Dense(2)).save(tmp_path / "model")
    again = load_model(tmp_path / "model").layers[0]
    assert type(again) is type(layer) and again.by == 3.0 and again.name == layer.name


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Undeclared(3.0), "config of Undeclared does not hold by: declare"),
        (Sequential([Undeclared()]), "Undeclared"),
    ],
)
def test_what_a_config_does_not_hold_is_refused_before_anything_is_written(
    tmp_path, layer, words
):
    with pytest.raises(ValueError, match=words):
        built(layer).save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_a_checkpoint_of_a_model_that_its_config_does_not_hold_says_so(data, tmp_path):
    t = Trainer(Sequential([Undeclared(3.0), Dense(3)]), "softmax_cross_entropy", "sgd", rng=0)
    t.fit(*data, epochs=1, progress=False, checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match="run'.*config of Undeclared does not hold by"):
        load_model(tmp_path / "run")
    t = Trainer(Sequential([Named(abs), Dense(3)]), "softmax_cross_entropy", "sgd", rng=0)
    t.fit(*data, epochs=1, progress=False, checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match="config/layers/0/by"):
        load_model(tmp_path / "run")


def test_frozen_parameters_come_back_frozen(tmp_path):
    model = built(Dense(3), BatchNorm(), Dense(2))
    model.parameters()[0].trainable = False
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    flags = [[one.trainable for one in each.parameters()] for each in (model, again)]
    assert flags[0] == flags[1] and flags[0][:2] == [False, True]


def test_a_subclass_of_sequential_comes_back(tmp_path):
    block = TransformerBlock(4, 2, 3)
    block.build((5, 4), 0)
    block.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert type(again) is TransformerBlock
    assert_same_bits(block.state_dict(), again.state_dict())


def test_a_layer_that_its_config_does_not_make_again_is_refused(tmp_path):
    class Wide(Layer):
        def __init__(self):
            super().__init__()
            self.size = 7

        def build(self, input_shape, rng=None, dtype=None):
            self._parameters["w"] = Parameter(np.ones(self.size), "w")

        def forward(self, x, ctx):
            return x, lambda dy: dy

    model = Sequential([Wide()])
    model.layers[0].size = 3
    model.build((5,), 0)
    with pytest.raises(ValueError, match=r"cannot be made again.*state of '0\.wide\.w'"):
        model.save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_a_registered_class_is_found_wherever_it_is_defined(tmp_path, monkeypatch):
    from cydropout.layers import _settings

    monkeypatch.setattr(_settings, "KINDS", dict(_settings.KINDS))
    monkeypatch.setattr(_settings, "_REGISTERED", {})
    assert register("fixed")(Fixed) is Fixed
    built(Fixed(by=2.0)).save(tmp_path / "model")
    config = load_checkpoint(tmp_path / "model")["config"]
    assert config["layers"] == [{"kind": "fixed", "by": 2.0}]
    assert type(load_model(tmp_path / "model").layers[0]) is Fixed
    register("fixed")(Fixed)  # as when a cell of a notebook runs again
    with pytest.raises(ValueError, match="'fixed' is that of .*Fixed"):
        register("fixed")(Scale)
    with pytest.raises(ValueError, match="'dropout' is that of cydropout"):
        register("dropout")(Scale)
    with pytest.raises(TypeError, match="class of layers, not <class 'int'>"):
        register("number")(int)
    with pytest.raises(TypeError, match="class of layers"):
        register("number")(Scale())
    for wrong in ("", None, Scale):
        with pytest.raises(ValueError, match="by a name"):
            register(wrong)
    del _settings.KINDS["fixed"]
    with pytest.raises(ValueError, match=r"model'.*kind 'fixed' is no layer.*register"):
        load_model(tmp_path / "model")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda s: s.pop("config"), "holds no model"),
        (lambda s: s.pop("input_shape"), "holds no model"),
        (lambda s: s.pop("model"), "holds no model: it lacks model"),
        (lambda s: s.pop("frozen"), "holds no model: it lacks frozen"),
        (lambda s: s.__setitem__("frozen", 3), "cannot make the model"),
        (lambda s: s["config"].pop("kind"), "kind None is no layer"),
        (lambda s: s["config"].__setitem__("layers", 3), "cannot make the model"),
        (lambda s: s["config"].__setitem__("dtpye", 3), "cannot make the model.*dtpye"),
        (lambda s: s.__setitem__("config", 3), "cannot make the model"),
        (lambda s: s.__setitem__("input_shape", ["x"]), "cannot make the model"),
        (lambda s: s.__setitem__("input_shape", [4]), "cannot make the model.*weight"),
        (lambda s: s["model"].pop("0.dense.bias"), "cannot make the model.*missing"),
        (lambda s: s["model"].__setitem__("0.dense.bias", "x"), "cannot make the model.*bias"),
    ],
)
def test_a_file_of_something_else_is_an_error_that_names_it(tmp_path, spoil, words):
    path = tmp_path / "model"
    built(Dense(2)).save(path)
    state = load_checkpoint(path)
    spoil(state)
    save_checkpoint(path, state)
    with pytest.raises(ValueError, match=words) as caught:
        load_model(path)
    assert re.escape(str(path)) in re.escape(str(caught.value))


def test_what_cannot_be_saved_or_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="not built"):
        Sequential([Dense(2)]).save(tmp_path / "model")
    with pytest.raises(ValueError, match="create it"):
        built(Dense(2)).save(tmp_path / "no" / "model")
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        load_model(tmp_path / "model")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", LAYERS)
def test_the_config_of_a_layer_holds_all_that_its_constructor_takes(name):
    for layer in LAYERS[name]().walk():
        taken = {key for key, one in inspect.signature(type(layer)).parameters.items()
                 if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}
        assert taken - {"name"} <= {*layer.get_config()}


# ---------------------------------------------------------------- pickles


def test_pickles_leave_gradients_out():
    model = built(Dense(200), Dense(200))
    plain = len(pickle.dumps(model))
    for parameter in model.parameters():
        parameter.grad += 1
    again = pickle.loads(pickle.dumps(model))
    assert len(pickle.dumps(model)) <= 1.02 * plain
    assert_same_bits(model.state_dict(), again.state_dict())
    for parameter in again.parameters():
        assert not parameter.grad.any() and parameter.gradient.submatrix is None
        parameter.grad += 2
        assert (parameter.grad == 2).all()
    assert all((parameter.grad == 1).all() for parameter in model.parameters())
