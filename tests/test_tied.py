"""Layers that stand at several places of a model: gradients add up, noise has one place."""

import copy
import json
import pickle

import numpy as np
import pytest
from test_ownership import built, inputs, training

from cydropout.layers import (
    ConcreteDropout,
    Context,
    Dense,
    Dropout,
    Embedding,
    Layer,
    LayerDrop,
    Parameter,
    ReLU,
    Residual,
    Sequential,
    TransformerBlock,
    WeightDropout,
)
from cydropout.layers._workspace import Workspace


def tied(where):
    d = Dense(4, activation="tanh", l2=0.1)
    return d, {
        "places": lambda: Sequential([d, d], dtype="float64"),
        "fused": lambda: Sequential([d, ReLU(), d, ReLU()], dtype="float64"),
        "nested": lambda: Sequential([Sequential([d], dtype="float64"),
                                      Sequential([d], dtype="float64")], dtype="float64"),
        "residual": lambda: Sequential([Residual(d), LayerDrop(d, 0.0)], dtype="float64"),
        "own": lambda: Sequential([Twice(d), d], dtype="float64"),
    }[where]()


class Twice(Layer):
    """A container of its own, which runs a layer twice."""

    def __init__(self, layer):
        super().__init__()
        self.stages = [layer, layer]

    def build(self, input_shape, rng=None, dtype=None):
        for layer in self.stages:
            layer.build(input_shape, rng, dtype)

    def forward(self, x, ctx):
        y, first = self.stages[0].forward(x, ctx)
        y, second = self.stages[1].forward(y, ctx)
        return y, lambda dy: first(second(dy))


TIED = ("places", "fused", "nested", "residual", "own")


@pytest.mark.parametrize("where", TIED)
def test_gradients_of_tied_layers_add_up_and_one_entry_is_saved(where):
    d, model = tied(where)
    built(model)
    x, eps = inputs(), 1e-6
    assert len(model.state_dict()) == len(model.parameters()) == 2
    assert f"{'total'} {20}" in " ".join(model.summary().split())
    y, backward = model.forward(x, training())
    backward(np.ones_like(y))
    penalty = model.penalty()
    assert penalty == pytest.approx(0.1 * np.square(d.parameters()[0].value).sum())
    for parameter in model.parameters():
        slope, numeric = parameter.grad.copy(), np.empty_like(parameter.value)
        for place in np.ndindex(parameter.value.shape):
            ends = []
            for step in (eps, -2 * eps):
                parameter.value[place] += step
                ends.append(model.forward(x, Context())[0].sum() + model.penalty())
            parameter.value[place] += eps
            numeric[place] = (ends[0] - ends[1]) / (2 * eps)
        np.testing.assert_allclose(slope, numeric, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("where", TIED)
def test_training_steps_of_tied_layers_are_those_of_any_others(where):
    found = []
    for workspace in (None, Workspace()):
        model = built(tied(where)[1])
        y, backward = model.forward(inputs(), training(workspace=workspace))
        backward(np.ones_like(y))
        found.append([y.copy(), *(parameter.grad for parameter in model.parameters())])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("where", TIED)
def test_tied_layers_stay_tied(where):
    _, model = tied(where)
    built(model)
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    if where != "own":
        copies.append(Sequential.from_config(json.loads(json.dumps(model.get_config()))))
        built(copies[-1])
        assert copies[-1].get_config() == model.get_config()
    for one in copies:
        one.load_state_dict(model.state_dict())
        np.testing.assert_array_equal(one(inputs()), model(inputs()))
        assert len(one.parameters()) == 2
    names = {name: Parameter(p.value * 2, name) for name, p in model.named_parameters()}
    twin = model.with_parameters(names)
    assert {id(p) for p in twin.parameters()} == {id(p) for p in names.values()}
    for parameter in model.parameters():
        parameter.value *= 2
    np.testing.assert_array_equal(twin.forward(inputs(), Context())[0], model(inputs()))


@pytest.mark.parametrize("make", [
    lambda noise: Sequential([noise, ReLU(), noise]),
    lambda noise: Sequential([Sequential([noise]), Sequential([noise])]),
    lambda noise: Residual(noise, noise),
    lambda noise: Sequential([Residual(noise), LayerDrop(Sequential([noise]), 0.1)]),
    lambda noise: Sequential([noise, Twice(noise)]),
])
@pytest.mark.parametrize("noise", [
    lambda: Dropout(0.5), lambda: WeightDropout(Dense(4), 0.5), lambda: Residual(Dense(4)),
    lambda: ConcreteDropout(Dense(4)), lambda: TransformerBlock(4, 2, 4),
    lambda: Embedding(3, 4),
])
def test_noise_has_one_place_in_a_model(make, noise):
    with pytest.raises(ValueError, match=r"draws masks, and is used twice.*give each place"):
        make(noise())
