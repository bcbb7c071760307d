"""Settings: stated once, checked when set and set again, and enough to make the layer again."""

import inspect
import json

import numpy as np
import pytest
from layer_cases import ROWS, draw, training

from cydropout.layers import (
    LSTM,
    BatchwiseDropout,
    ConcreteDropout,
    Conv2D,
    CutoutDropout,
    Dense,
    DropConnect,
    Dropout,
    Embedding,
    FeatureDropout,
    Flatten,
    Layer,
    MultiHeadAttention,
    Residual,
    Sequential,
    Softplus,
    SpatialDropout2D,
    TransformerBlock,
    VariationalGaussianDropout,
    WeightDropout,
    Zoneout,
)
from cydropout.layers._settings import Count, Lengths, Noise, from_config, to_config

MORE = {
    "Embedding": lambda: Embedding(5, 3, rate=[[0.1], [0.2], [0.3], [0.4], [0.5]]),
    "penalties": lambda: Dense(3, l1={"bias": 0.5}, l2=1, max_norm=2),
    "names": lambda: Sequential(
        [Residual(Dense(4, name="inside"), name="block"), WeightDropout(Dense(3), 0.5, name="w")],
        dtype="float64", fuse=False, name="model",
    ),
    "block": lambda: TransformerBlock(4, 2, 3, rate=0.1, dtype="float64", name="first"),
}
LAYERS = {name: row.make for name, row in ROWS.items()} | MORE


def names(layer):
    return [(one.name, one.named, one.path) for one in layer.walk()]


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_made_again_from_its_config_in_json(name):
    layer = LAYERS[name]()
    config = layer.get_config()
    again = type(layer).from_config(json.loads(json.dumps(config)))
    assert type(again) is type(layer)
    assert again.get_config() == config and repr(again) == repr(layer)
    assert names(again) == names(layer)
    also = from_config(json.loads(json.dumps(to_config(layer))))
    assert type(also) is type(layer) and also.get_config() == config
    if name in ROWS:
        found, x = [], draw(ROWS[name].shape, 1)
        for each in (layer, again):
            each.build(ROWS[name].shape[1:], 3, "float64")
            found.append(each.forward(x, training())[0])
        np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("name", LAYERS)
def test_the_signature_names_every_setting(name):
    kind = type(LAYERS[name]())
    known = inspect.signature(kind).parameters
    assert "name" in known
    if kind.__init__ is Layer.__init__:
        assert set(known) == {*kind.settings, "name"}


def test_a_layer_of_the_user_is_found_by_its_module():
    class Residual(Sequential):
        pass

    config = json.loads(json.dumps(to_config(Sequential([Residual([Dense(3)])]))))
    assert type(from_config(config).layers[0]) is Residual
    with pytest.raises(ValueError, match=r"'elsewhere\.Layer'.*import the module"):
        from_config({"kind": "elsewhere.Layer"})


@pytest.mark.parametrize(
    ("layer", "attribute", "value", "error", "words"),
    [
        (Dropout(0.5), "rate", 1.5, ValueError, r"1\.5"),
        (Dropout(0.5), "scaling", "none", ValueError, "scaling.*'none'.*inverted"),
        (Dropout(0.5), "shared_axes", "x", TypeError, "shared_axes.*'x'"),
        (Dropout(0.5), "shared_axes", (1.5,), TypeError, r"shared_axes.*1\.5"),
        (Dropout(0.5), "shared_axes", True, TypeError, "shared_axes.*True"),
        (SpatialDropout2D(0.5), "rate", [0.5], TypeError, "SpatialDropout2D"),
        (BatchwiseDropout(0.5, block=2), "rate", [0.5, 0.1], ValueError, r"0\.1"),
        (BatchwiseDropout([0.5, 0.1]), "layout", "slice", ValueError, r"0\.1"),
        (CutoutDropout(size=3), "rate", 0.5, ValueError, "either"),
        (FeatureDropout(0.5), "features", 3, ValueError, "either"),
        (VariationalGaussianDropout(0.5), "rate", 1.0, ValueError, r"1\.0"),
        (VariationalGaussianDropout(0.5), "per_unit", "no", TypeError, "per_unit.*'no'"),
        (DropConnect(3, 0.5), "per", "row", ValueError, "per.*'row'"),
        (ConcreteDropout(None), "temperature", 0, ValueError, "temperature"),
        (ConcreteDropout(None), "layer", "dense", TypeError, "'dense'"),
        (Dense(3), "units", 0, ValueError, "units.*0"),
        (Dense(3), "activation", "rleu", ValueError, "'rleu'"),
        (Dense(3, bias=False), "l1", {"bias": 1.0}, ValueError, "bias"),
        (Conv2D(4, 3, groups=2), "filters", 5, ValueError, "5 for 2"),
        (Softplus(), "a", -1, ValueError, "-1"),
        (LSTM(3), "dropout", 2.0, ValueError, r"2\.0"),
        (LSTM(3), "dropout_per", "step", AttributeError, "dropout_per.*fixed.*LSTM"),
        (MultiHeadAttention(2), "causal", True, AttributeError, "causal.*fixed"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(layer, attribute, value, error, words):
    before = layer.get_config()
    with pytest.raises(error, match=words):
        setattr(layer, attribute, value)
    assert layer.get_config() == before


NOISE = [(name, setting.key) for name, make in LAYERS.items()
         for setting in type(make()).settings.values() if isinstance(setting, Noise)]


@pytest.mark.parametrize("name, key", [*NOISE, ("block", "depth_rate"), ("block", "head_rate")])
@pytest.mark.parametrize("value", [2.0, [2.0], "x", -1])
def test_a_wrong_rate_of_noise_is_named_by_its_argument(name, key, value):
    layer = LAYERS[name]()
    config = {**layer.get_config(), key: value}
    with pytest.raises((TypeError, ValueError), match=f"^{key} .*(2.0|x|-1)"):
        type(layer).from_config(config)


HUGE = [(name, key) for name, make in LAYERS.items() for key, value in make().get_config().items()
        if isinstance(make().settings.get(key), (Count, Lengths)) or key in ("ff_units", "padding")]


@pytest.mark.parametrize("name, key", HUGE)
@pytest.mark.parametrize("value", [2**47, 10**30])  # no address space is that large
def test_a_huge_size_is_named_or_a_memory_error(name, key, value):
    layer = LAYERS[name]()
    shape = ROWS[name].shape if name in ROWS else (2, 3, 4)
    try:
        huge = type(layer).from_config({**layer.get_config(), key: value})
        huge.build(shape[1:], 0)
        huge.forward(draw(shape, 1), training())
    except MemoryError as error:
        assert value == 2**47, error
    except ValueError as error:
        assert any(word in str(error) for word in (key, "windows of", str(value))), error


def test_noise_is_set_by_its_rate():
    layer = LSTM(3, dropout=0.2)
    noise = layer.dropout
    layer.dropout = 0.5
    assert layer.dropout is noise and noise.rate == 0.5 and layer.get_config()["dropout"] == 0.5


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Dropout(), "Dropout: missing.*'rate'"),
        (lambda: Dropout(0.5, (1,)), "Dropout: too many positional"),
        (lambda: Zoneout(0.5, scale=1), "Zoneout:.*'scale'"),
        (lambda: Dropout(0.5, rate=0.5), "Dropout: multiple values.*'rate'"),
        (lambda: Flatten.from_config({"expected_shape": [], "shape": 3}), "'shape'"),
    ],
)
def test_wrong_arguments_are_named(make, words):
    with pytest.raises(TypeError, match=words):
        make()
