"""Weights go to PyTorch and come back, and mean the same there."""

import numpy as np
import pytest

from cydropout.exchange import from_torch, to_torch
from cydropout.layers import (
    Context,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    LayerDrop,
    Sequential,
    WeightDropout,
)

torch = pytest.importorskip("torch")
nn = torch.nn


def built(layer, shape, seed=0):
    layer.build(shape, np.random.default_rng(seed), "float64")
    for number, parameter in enumerate(layer.parameters()):
        rng = np.random.default_rng([seed, number])
        parameter.value[...] = rng.uniform(0.1, 1.0, parameter.value.shape)
    return layer


# A layer, the PyTorch module of the same meaning, the shape of a sample.
PAIRS = {
    "Dense": (lambda: Dense(3), lambda: nn.Linear(5, 3), (5,)),
    "Dense-no-bias": (lambda: Dense(3, bias=False), lambda: nn.Linear(5, 3, bias=False), (5,)),
    "WeightDropout": (lambda: WeightDropout(Dense(3), 0.5), lambda: nn.Linear(5, 3), (5,)),
    "LayerDrop": (lambda: LayerDrop(Dense(5), 0.0), lambda: nn.Linear(5, 5), (5,)),
    "Sequential": (
        lambda: Sequential(
            [Flatten(), Dense(4, activation="relu"), Dropout(0.5), Sequential([Dense(3)])],
            dtype="float64",
        ),
        lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(6, 4), nn.ReLU(), nn.Sequential(nn.Dropout(), nn.Linear(4, 3))
        ),
        (2, 3),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_output_is_the_same_after_the_way_there_and_after_the_way_back(name):
    make, peer, shape = PAIRS[name]
    layer, module = built(make(), shape), peer().double().eval()
    x = np.random.default_rng(1).standard_normal((4, *shape))
    to_torch(layer, module)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(layer.forward(x, Context())[0], expected, rtol=1e-12, atol=1e-13)
    other = built(make(), shape, seed=7)
    from_torch(module, other)
    for key, value in layer.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[key], value)


def test_a_table_of_words():
    layer, module = built(Embedding(6, 3), ()), nn.Embedding(6, 3)
    to_torch(layer, module)
    words = np.array([[0, 5], [2, 2]])
    y = module(torch.from_numpy(words)).detach().numpy()
    np.testing.assert_array_equal(y, layer.forward(words, Context())[0].astype("float32"))


@pytest.mark.parametrize("name", PAIRS)
def test_a_state_without_pytorch(name):
    make, _, shape = PAIRS[name]
    layer, other = built(make(), shape), built(make(), shape, seed=7)
    state = layer.torch_state()
    other.load_torch_state({key: value.astype("float32") for key, value in state.items()})
    for key, value in other.torch_state().items():
        np.testing.assert_array_equal(value, state[key].astype("float32"))
    before = other.state_dict()
    for wrong in ({**state, "0.bogus": np.zeros(1)}, {**state, "9.bogus": np.zeros(1)},
                  dict([*state.items()][:-1]), {k: v[..., None] for k, v in state.items()}):
        with pytest.raises(ValueError):
            other.load_torch_state(wrong)
        for key, value in before.items():
            np.testing.assert_array_equal(other.state_dict()[key], value)


def test_what_does_not_fit_changes_nothing():
    layer = built(Sequential([Dense(4), Dense(3)], dtype="float64"), (5,))
    for module, message in [
        (nn.Linear(5, 4), "2 layers"),
        (nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3, bias=False)), "bias"),
        (nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 2)), "shape"),
    ]:
        ours = layer.state_dict()
        theirs = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        with pytest.raises(ValueError, match=message):
            to_torch(layer, module)
        with pytest.raises(ValueError):
            from_torch(module, layer)
        assert all(torch.equal(theirs[name], t) for name, t in module.state_dict().items())
        for name, value in layer.state_dict().items():
            np.testing.assert_array_equal(value, ours[name])
