"""Settings set after a layer was built or planned: used as by one made so, or refused."""

import json

import numpy as np
import pytest
from test_layers import ROWS, built, draw, training
from test_resume import first

from cydropout import MaskStream
from cydropout.layers import (
    BatchNorm,
    BatchwiseDropout,
    Context,
    Conv2D,
    Dense,
    Dropout,
    ReLU,
    Sequential,
    Softplus,
)
from cydropout.layers._settings import Inner, from_config, to_config
from cydropout.layers._workspace import Workspace
from cydropout.layers.sequential import Layers


def config_of(layer):
    return json.loads(json.dumps(to_config(layer)))


def another(layer, setting):
    """Another value of a setting that its constructor takes, or None."""
    config = config_of(layer)

    def make(value):
        made = from_config(config | {setting.key: value})
        if to_config(made) == config:
            raise ValueError("it means the same")
        value = getattr(made, setting.name)
        return getattr(value, "rate", value)

    holds = isinstance(setting, (Inner, Layers))
    return None if holds or setting.key not in config else first(make, config[setting.key])


def outcome(layer, x, train):
    try:
        return layer.forward(x, training() if train else Context())[0].tolist()
    except (RuntimeError, ValueError) as error:
        return str(error)


@pytest.mark.parametrize("name", ROWS)
def test_what_is_set_after_build_is_used_and_saved_or_refused(name):
    row = ROWS[name]
    x = np.zeros(row.shape, int) if built(row).takes_integers else draw(row.shape, 1)
    for setting in built(row).settings.values():
        layer = built(row)
        value = another(layer, setting)
        if value is None:
            continue
        before = config_of(layer)
        try:
            setattr(layer, setting.name, value)
        except AttributeError as error:
            assert (setting.fixed or setting.shapes) and setting.key in str(error)
            assert config_of(layer) == before
            continue
        other = from_config(config_of(layer))
        try:
            other.build(row.shape[1:], 0, "float64")
        except ValueError as error:  # as one that does not fit its input
            assert outcome(layer, x, True) == str(error)
            continue
        other.load_state_dict(layer.state_dict())
        for train in (True, False):
            assert outcome(layer, x, train) == outcome(other, x, train), setting.key


def test_what_shapes_the_parameters_may_be_set_until_they_are_made():
    layer = Dense(3)
    layer.units = 4
    layer.build((2,), 0)
    layer.units = 4
    with pytest.raises(AttributeError, match=r"units of dense is fixed.*built with units=4"):
        layer.units = 5
    model = Sequential([layer], dtype="float64")
    model.dtype = "float32"
    model.build((2,), 0)
    with pytest.raises(AttributeError, match="dtype of sequential is fixed"):
        model.dtype = "float64"


def test_the_layers_of_a_model_stay():
    model = Sequential([Dense(3), Dense(2)])
    with pytest.raises(AttributeError, match="layers of sequential is fixed; make a Sequential"):
        model.layers = (Dense(3), model.layers[1])


PLANNED = {
    "dense": (lambda: [Dense(6), ReLU(), Dropout(0.5), Dense(4)], (5,)),
    "softplus": (lambda: [Dense(6), Softplus(2.0), Dropout(0.5)], (5,)),
    "batchwise": (lambda: [BatchwiseDropout(0.3), Dense(6), ReLU(), BatchwiseDropout(0.5),
                           Dense(4)], (5,)),
    "conv": (lambda: [Conv2D(6, 3, data_format="channels_last"), ReLU(), Dropout(0.5)], (7, 7, 3)),
    "first": (lambda: [Conv2D(2, 3), ReLU(), Dropout(0.5)], (3, 7, 7)),
    "norm": (lambda: [BatchNorm(), ReLU(), Dense(3)], (5,)),
}
VALUES = {
    "activation": "tanh", "a": 3.0, "rate": [0.1, 0.0, 1.0, np.arange(6) / 10],
    "shared_axes": [(0,), (1,)], "scaling": "classic", "storage": "seed", "epsilon": 0.5,
    "momentum": 0.5, "block": 2, "layout": "slice", "lazy": True, "padding": "same", "strides": 2,
    "l2": 0.5, "data_format": "channels_first",
}


def numbers(model, x, ctx):
    for parameter in model.parameters():
        parameter.zero_grad()
    y, backward = model.forward(x, ctx)
    found = [y.copy()]
    return [*found, backward(np.ones_like(y)), *(one.grad for one in model.parameters())]


@pytest.mark.parametrize("built_first", [True, False])
@pytest.mark.parametrize("name", PLANNED)
def test_fused_passes_use_what_is_set_after_they_were_planned(name, built_first):
    make, shape = PLANNED[name]
    x = draw((4, *shape), 0, "float32")
    for place, layer in enumerate(make()):
        for key in VALUES.keys() & layer.settings.keys():
            if built_first and layer.settings[key].shapes:
                continue
            for value in VALUES[key] if isinstance(VALUES[key], list) else [VALUES[key]]:
                if isinstance(value, np.ndarray) and (place == 0 or name == "first"):
                    continue
                models = [Sequential(make(), fuse=fuse) for fuse in (True, False)]
                for model in models:
                    if built_first:
                        model.build(shape, 0)
                    setattr(model.layers[place], key, value)
                    model.build(shape, 0)
                for room in (None, Workspace()):
                    ctxs = [Context(True, MaskStream(3), workspace=room) for _ in models]
                    found = map(numbers, models, (x, x), ctxs)
                    for one, other in zip(*found, strict=True):
                        np.testing.assert_allclose(one, other, 1e-4, 1e-5, err_msg=f"{key} {value}")


@pytest.mark.parametrize("name", ROWS)
def test_no_setting_is_lost_under_the_name_of_its_argument(name):
    layer = built(ROWS[name])
    for key, setting in layer.settings.items():
        if key not in (setting.name, "parameters"):
            with pytest.raises(AttributeError, match=f"{key} of .* attribute '{setting.name}'"):
                setattr(layer, key, 0.5)
            assert not hasattr(layer, key)
