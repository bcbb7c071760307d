"""Weights go to PyTorch and come back, and mean the same there."""

import numpy as np
import pytest

from cydropout import MaskStream
from cydropout.layers import (
    GRU,
    LSTM,
    AveragePool2D,
    BatchNorm,
    Context,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool2D,
    LayerDrop,
    LayerNorm,
    MaxPool2D,
    ReLU,
    Sequential,
    TransformerBlock,
    WeightDropout,
)
from cydropout.torch.exchange import from_torch, to_torch

torch = pytest.importorskip("torch")
nn = torch.nn


def built(layer, shape, seed=0):
    layer.build(shape, np.random.default_rng(seed), "float64")
    for number, parameter in enumerate(layer.parameters()):
        rng = np.random.default_rng([seed, number])
        parameter.value[...] = rng.uniform(0.1, 1.0, parameter.value.shape)
    return layer


def encoder(activation="gelu", **options):
    options = {"nhead": 2, "dropout": 0.0, "norm_first": True} | options
    return nn.TransformerEncoderLayer(
        8, dim_feedforward=12, activation=activation, batch_first=True, **options)


class Module(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(5, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


# A layer, the PyTorch module of the same meaning, the shape of a sample.
PAIRS = {
    "Dense": (lambda: Dense(3), lambda: nn.Linear(5, 3), (5,)),
    "Dense-no-bias": (lambda: Dense(3, bias=False), lambda: nn.Linear(5, 3, bias=False), (5,)),
    "WeightDropout": (lambda: WeightDropout(Dense(3), 0.5), lambda: nn.Linear(5, 3), (5,)),
    "LayerDrop": (lambda: LayerDrop(Dense(5), 0.0), lambda: nn.Linear(5, 5), (5,)),
    "Conv2D": (lambda: Conv2D(4, 3), lambda: nn.Conv2d(3, 4, 3), (3, 6, 5)),
    "Conv2D-groups": (
        lambda: Conv2D(6, (3, 2), strides=(2, 1), padding=(1, 2), groups=2, bias=False),
        lambda: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), groups=2, bias=False),
        (4, 7, 5),
    ),
    "Conv2D-same": (
        lambda: Conv2D(4, (5, 3), padding="same"), lambda: nn.Conv2d(3, 4, (5, 3), padding="same"),
        (3, 6, 5),
    ),
    "Conv2D-depthwise": (
        lambda: Conv2D(8, 3, groups=4, strides=2), lambda: nn.Conv2d(4, 8, 3, 2, groups=4),
        (4, 7, 8),
    ),
    "BatchNorm": (lambda: BatchNorm(), lambda: nn.BatchNorm2d(3), (3, 4, 5)),
    "BatchNorm-features": (
        lambda: BatchNorm(0.8, 1e-3), lambda: nn.BatchNorm1d(5, 1e-3, 0.2), (5,)
    ),
    "MaxPool2D": (
        lambda: MaxPool2D(3, strides=2, padding=1), lambda: nn.MaxPool2d(3, 2, 1), (3, 7, 6)
    ),
    "AveragePool2D": (
        lambda: AveragePool2D((2, 3), strides=1, padding=1),
        lambda: nn.AvgPool2d((2, 3), 1, 1, count_include_pad=False), (3, 7, 6),
    ),
    "Network": (
        lambda: Sequential(
            [
                Conv2D(4, 3, padding=1, bias=False), BatchNorm(), ReLU(), MaxPool2D(2),
                Conv2D(6, 3, activation="relu"), GlobalAveragePool2D(), Dense(3),
            ],
            dtype="float64",
        ),
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
            nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(6, 3),
        ),
        (2, 9, 8),
    ),
    "TransformerBlock": (
        lambda: TransformerBlock(8, 2, 12, dtype="float64"), lambda: encoder(), (5, 8),
    ),
    "TransformerBlock-model": (
        lambda: Sequential(
            [Dense(8), TransformerBlock(8, 2, 12), TransformerBlock(8, 2, 12), LayerNorm(),
             Dense(3)], dtype="float64"),
        lambda: nn.Sequential(
            nn.Linear(6, 8), encoder(), encoder(), nn.LayerNorm(8), nn.Linear(8, 3)),
        (5, 6),
    ),
    "TransformerEncoder": (
        lambda: Sequential([*[TransformerBlock(8, 2, 12) for _ in range(2)], LayerNorm()],
                           dtype="float64"),
        lambda: nn.TransformerEncoder(
            encoder(), 2, nn.LayerNorm(8), enable_nested_tensor=False),
        (5, 8),
    ),
    "Module": (
        lambda: Sequential([Dense(4, activation="relu"), Dense(3)], dtype="float64"),
        lambda: Module(), (5,),
    ),
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


@pytest.mark.parametrize("name", PAIRS)
def test_a_state_dict_goes_without_its_module(name):
    make, peer, shape = PAIRS[name]
    module, states = peer().double(), []
    for source in (module, module.state_dict(), {k: t.numpy() for k, t in
                                                 module.state_dict().items()}):
        layer = built(make(), shape)
        from_torch(source, layer)
        states.append(layer.state_dict())
    for state in states[1:]:
        for key, value in state.items():
            np.testing.assert_array_equal(value, states[0][key])


@pytest.mark.parametrize("name", [name for name in PAIRS if "Pool" not in name])
def test_bfloat16_goes_both_ways(name):
    make, peer, shape = PAIRS[name]
    module, layer = peer().to(torch.bfloat16), built(make(), shape)
    to_torch(layer, module)
    rounded = {key: torch.from_numpy(value).to(torch.bfloat16).double().numpy()
               for key, value in layer.state_dict().items()}
    other = built(make(), shape, seed=7)
    from_torch(module, other)
    ml_dtypes = pytest.importorskip("ml_dtypes")
    again = built(make(), shape, seed=7)
    from_torch({key: tensor.float().numpy().astype(ml_dtypes.bfloat16)
                for key, tensor in module.state_dict().items()}, again)
    for key, value in rounded.items():
        np.testing.assert_array_equal(other.state_dict()[key], value)
        np.testing.assert_array_equal(again.state_dict()[key], value)


@pytest.mark.parametrize(("options", "words"), [
    ({"norm_first": False}, "norm_first=True, but the Trans"),
    ({"nhead": 4}, "heads=2, but .* has 4"),
    ({"activation": "relu"}, "activation='gelu', but .* has 'relu'"),
])
def test_a_block_that_means_something_else_is_refused(options, words):
    layer, module = built(TransformerBlock(8, 2, 12, dtype="float64"), (5, 8)), encoder(**options)
    before = layer.state_dict(), {key: t.clone() for key, t in module.state_dict().items()}
    for call in (lambda: to_torch(layer, module), lambda: from_torch(module, layer)):
        with pytest.raises(ValueError, match=words):
            call()
    for key, value in before[0].items():
        np.testing.assert_array_equal(layer.state_dict()[key], value)
    assert all(torch.equal(before[1][key], t) for key, t in module.state_dict().items())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [n for n in PAIRS if n not in (
    "WeightDropout", "Sequential", "TransformerBlock-model", "TransformerEncoder")])
def test_a_training_pass_gives_the_gradients_of_pytorch(name, dtype):
    make, peer, shape = PAIRS[name]
    layer, module = make(), peer().to(getattr(torch, dtype)).train()
    layer.build(shape, np.random.default_rng(0), dtype)
    to_torch(layer, module)
    rng = np.random.default_rng(1)
    x = torch.tensor(rng.standard_normal((6, *shape)), dtype=getattr(torch, dtype)).requires_grad_()
    expected = module(x)
    dy = rng.standard_normal(expected.shape).astype(dtype)
    expected.backward(torch.from_numpy(dy))
    y, backward = layer.forward(x.detach().numpy(), Context(True, MaskStream(0)))
    dx = backward(dy)
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-11}
    np.testing.assert_allclose(y, expected.detach().numpy(), **close)
    np.testing.assert_allclose(dx, x.grad.numpy(), **close)
    if not layer.parameters():
        return
    # Gradients move as weights do.
    state = make()
    state.build(shape, 0, dtype)
    other = peer().to(getattr(torch, dtype))
    for ours, parameter in zip(state.parameters(), layer.parameters(), strict=True):
        ours.value[...] = parameter.grad if parameter.trainable else parameter.value
    to_torch(state, other)
    slopes = {key: parameter.grad for key, parameter in module.named_parameters()}
    for key, found in other.state_dict().items():
        if "num_batches" not in key:
            wanted = slopes.get(key, module.state_dict()[key])
            np.testing.assert_allclose(found.numpy(), wanted.numpy(), **close)


def test_a_table_of_words():
    layer, module = built(Embedding(6, 3), ()), nn.Embedding(6, 3)
    to_torch(layer, module)
    words = np.array([[0, 5], [2, 2]])
    y = module(torch.from_numpy(words)).detach().numpy()
    np.testing.assert_array_equal(y, layer.forward(words, Context())[0].astype("float32"))


@pytest.mark.parametrize("name", [name for name in PAIRS if "Pool" not in name])
def test_a_state_without_pytorch(name):
    make, _, shape = PAIRS[name]
    layer, other = built(make(), shape), built(make(), shape, seed=7)
    state = layer.torch_state()
    other.load_torch_state({key: value.astype("float32") for key, value in state.items()})
    for key, value in other.torch_state().items():
        np.testing.assert_array_equal(value, state[key].astype("float32"))
    before = other.state_dict()
    for wrong in ({**state, "0.bogus": np.zeros(1)}, {**state, "9.bogus": np.zeros(1)},
                  dict([*state.items()][:-1]), {k: v[..., None] for k, v in state.items()},
                  {k: v.astype(int) for k, v in state.items()}):
        with pytest.raises(ValueError):
            other.load_torch_state(wrong)
        for key, value in before.items():
            np.testing.assert_array_equal(other.state_dict()[key], value)


@pytest.mark.parametrize("make", [GRU, LSTM])
def test_layers_that_hold_others_exchange_the_two_biases_of_recurrent_ones(make):
    layer, other = (
        built(Sequential([WeightDropout(make(4), 0.5), Dense(2)], dtype="float64"), (5, 3), seed)
        for seed in (0, 7)
    )
    peer = getattr(nn, make.__name__)(3, 4, batch_first=True).double()
    module = nn.Sequential(peer, nn.Linear(4, 2).double())
    to_torch(layer, module)
    x = np.random.default_rng(1).standard_normal((2, 5, 3))
    with torch.no_grad():
        expected = module[1](peer(torch.from_numpy(x))[0]).numpy()
        np.testing.assert_allclose(layer(x), expected, rtol=1e-12)
        # Both biases count, however they are shared out.
        first, second = peer.bias_ih_l0, peer.bias_hh_l0
        first[:4] -= 0.75
        second[:4] += 0.75
    from_torch(module, other)
    np.testing.assert_allclose(other(x), expected, rtol=1e-12)
    state = other.torch_state()
    assert [*state] == [*(f"0.{name}" for name in peer.state_dict()), "1.weight", "1.bias"]
    before = other.state_dict()
    with pytest.raises(ValueError, match=r"'0.bias_hh_l0' is float64 \(3,\).*'sequential'"):
        other.load_torch_state(
            {name: 2 * array for name, array in state.items()} | {"0.bias_hh_l0": np.zeros(3)}
        )
    for name, value in before.items():
        np.testing.assert_array_equal(other.state_dict()[name], value)


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
