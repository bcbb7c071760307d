"""Sizes of 0 through every function, mask and layer: the empty result, or an error by name."""

import numpy as np
import pytest
import zero_sizes

from cydropout import MaskStream, functional, layers
from cydropout.functional import Windows
from cydropout.layers import Context

TRAINING = Context(True, MaskStream(0))


@pytest.fixture(scope="module")
def found():
    return zero_sizes.outcomes()


@pytest.mark.parametrize("name", [*zero_sizes.names()])
def test_a_size_of_zero(found, name):
    outcome, (call, _, size) = found[name], name.rpartition("/")
    refused = call in zero_sizes.CASES and size in zero_sizes.CASES[call].positive
    if "error" in outcome:
        # A batch without samples is always right.
        assert refused or (call.startswith("layer ") and size != "0"), outcome
        assert outcome["error"] == "ValueError" and "0" in outcome["says"], outcome
        return
    assert not refused and outcome["finite"] and outcome.get("gradients", True), outcome
    assert outcome["shapes"] == outcome["of"]


@pytest.mark.parametrize("shape", [(1, 1, 0, 2), (1, 1, 0, 0), (1, 64, 2, 0)])
@pytest.mark.parametrize("pool", [layers.MaxPool2D, layers.AveragePool2D])
def test_a_window_without_a_map_is_refused(pool, shape):
    with pytest.raises(ValueError, match="every window must have a part of the map"):
        pool(2, padding=1).forward(np.ones(shape, "f4"), Context())


@pytest.mark.parametrize("shape", [(7, 3, 0, 6), (7, 0, 5, 6), (7, 3, 5, 0), (0, 3, 5, 6)])
def test_a_convolution_sums_what_there_is(shape):
    layer = layers.Conv2D(4, 2, padding="same")
    layer.build(shape[1:], 0)
    layer.parameters()[1].value[...] = [1, 2, 3, 4]
    y, backward = layer.forward(np.ones(shape, "f4"), TRAINING)
    assert y.shape == (shape[0], 4, *shape[2:])
    if not shape[1]:
        assert (y == np.array([1, 2, 3, 4], "f4")[:, None, None]).all()
    assert backward(np.ones_like(y)).shape == shape
    weight, bias = (parameter.grad for parameter in layer.parameters())
    assert (weight == 0).all() and (bias == y.size // 4).all()


def test_a_product_over_no_inputs_is_the_bias():
    for layer in (layers.Dense(3), layers.DropConnect(3, 0.5), layers.Standout(3)):
        layer.build((0,), 0)
        y, backward = layer.forward(np.ones((2, 0), "f4"), TRAINING)
        assert (y == 0).all() and y.shape == (2, 3)
        assert backward(np.ones_like(y)).shape == (2, 0)


def test_sums_over_nothing_are_zero():
    mean, variance = functional.moments(np.ones((0, 3)))
    assert (mean == 0).all() and (variance == 1).all()
    windows = Windows((3, 2), (2, 2), (1, 1), (0, 0), (0, 0))
    out = functional.fold(np.ones((1, 0, 0, 2, 2, 1)), windows, np.full((1, 3, 2, 1), np.nan))
    assert (out == 0).all()
    assert (functional.max_pool_backward(
        np.ones((1, 0, 0, 1)), np.ones((1, 0, 0, 1), np.uint8), windows) == 0).all()
    y, statistics = functional.softmax_dropout(np.ones((2, 3, 0)))
    assert y.shape == (2, 3, 0) and (statistics == 0).all()
    assert functional.gather(np.ones((0, 3)), np.zeros((0, 2), int)).shape == (0, 2, 3)


def test_no_classes_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        functional.softmax_cross_entropy(np.ones((3, 0)), np.zeros(3, int))


@pytest.mark.parametrize("ids", [(0,), (0, 4), (3, 0)])
def test_an_embedding_of_no_words(ids):
    layer = layers.Embedding(5, 2)
    layer.build(ids[1:], 0)
    y, backward = layer.forward(np.zeros(ids, int), TRAINING)
    assert y.shape == (*ids, 2)
    backward(np.ones_like(y))
    assert (layer.parameters()[0].grad == 0).all()
