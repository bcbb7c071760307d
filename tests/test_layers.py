"""The contract every layer keeps. A layer is a row in ``ROWS``, a dropout one in its own table."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest

from cydropout import MaskStream, layers
from cydropout.layers import (
    GELU,
    GRU,
    LSTM,
    SELU,
    AveragePool2D,
    BatchNorm,
    BatchwiseDropout,
    Context,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    Layer,
    LayerNorm,
    MaxPool2D,
    MultiHeadAttention,
    PositionalEmbedding,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    SimpleRNN,
    Softplus,
    Tanh,
    TransformerBlock,
    WeightDropout,
)
from cydropout.layers._layer import in_order
from cydropout.layers._workspace import Workspace
from cydropout.layers.dropout import _variants


@dataclass(frozen=True)
class Row:
    """A layer, the shape of its input, and what it claims to be."""

    make: Callable[[], Layer]
    shape: tuple[int, ...]
    linear: bool = False  # the map from x to y, for fixed noise
    random: bool = False  # draws from the stream in training
    keeps_dtype: bool = True  # float16 in, float16 out
    exact: bool = True  # the gradient, in training too
    shortens: bool = False  # its output has another shape in training


ROWS = {
    "Dense": Row(lambda: Dense(3), (4, 5), keeps_dtype=False),
    "Dense-no-bias": Row(lambda: Dense(3, bias=False), (4, 5), linear=True, keeps_dtype=False),
    "Dense-sequence": Row(lambda: Dense(3, activation="tanh"), (2, 3, 5), keeps_dtype=False),
    "Dense-relu-dropout": Row(
        lambda: Sequential([Dense(6, activation="relu", init="he"), Dropout(0.5)]),
        (4, 5), False, True, False,
    ),
    "Dense-gelu-dropout": Row(
        lambda: Sequential([Dense(6, activation="gelu"), Dropout(0.25)]),
        (3, 2, 5), False, True, False,
    ),
    "Dense-dropout": Row(
        lambda: Sequential([Dense(6, bias=False), Dropout(0.5)]), (4, 5), True, True, False
    ),
    "LayerNorm": Row(lambda: LayerNorm(), (4, 5), keeps_dtype=False),
    "LayerNorm-sequence": Row(lambda: LayerNorm(epsilon=0.1), (2, 3, 33), keeps_dtype=False),
    "MultiHeadAttention": Row(
        lambda: MultiHeadAttention(2, rate=0.3), (2, 5, 6), False, True, False
    ),
    "MultiHeadAttention-causal": Row(
        lambda: MultiHeadAttention(3, causal=True, bias=False), (2, 4, 6), keeps_dtype=False
    ),
    "MultiHeadAttention-heads": Row(
        lambda: MultiHeadAttention(4, rate=0.2, head_rate=0.4, init="lecun", causal=True),
        (3, 3, 8), False, True, False,
    ),
    "PositionalEmbedding": Row(
        lambda: PositionalEmbedding(7), (2, 4, 5), keeps_dtype=False
    ),
    "PositionalEmbedding-sinusoidal": Row(
        lambda: PositionalEmbedding(4, encoding="sinusoidal"), (2, 4, 5), keeps_dtype=False
    ),
    "Residual": Row(lambda: Residual(Dense(5), Tanh()), (4, 5), keeps_dtype=False),
    "Residual-depth": Row(
        lambda: Residual(LayerNorm(), Dense(5), Dropout(0.3), rate=0.4), (4, 5), False, True, False
    ),
    "Residual-batch": Row(
        lambda: Residual(Dense(5, bias=False), rate=0.4, per="batch"), (4, 5), True, True, False
    ),
    "Residual-nested": Row(
        lambda: Residual(Residual(Dense(5)), Sequential([Tanh(), Dense(5)])), (2, 3, 5),
        keeps_dtype=False,
    ),
    "TransformerBlock": Row(
        lambda: TransformerBlock(6, 2, 7, rate=0.2, depth_rate=0.3, causal=True),
        (2, 4, 6), False, True, False,
    ),
    "TransformerBlock-0": Row(
        lambda: TransformerBlock(4, 1, 3, activation="tanh"), (3, 2, 4), keeps_dtype=False
    ),
    "Sequential-batchwise": Row(
        lambda: Sequential(
            [BatchwiseDropout(0.3), Dense(8, activation="tanh"), BatchwiseDropout(0.5), Dense(3)],
            dtype="float64",
        ),
        (6, 7), False, True, False,
    ),
    "SimpleRNN": Row(lambda: SimpleRNN(5), (2, 4, 3), keeps_dtype=False),
    "SimpleRNN-relu-dropout": Row(
        lambda: SimpleRNN(5, activation="relu", dropout=0.4, recurrent_dropout=0.4, zoneout=0.2),
        (2, 4, 3), False, True, False,
    ),
    "LSTM": Row(lambda: LSTM(5, return_sequences=False), (2, 4, 3), keeps_dtype=False),
    "LSTM-dropout": Row(
        lambda: LSTM(5, dropout=0.4, recurrent_dropout=0.4, zoneout=0.3, zoneout_cell=0.3),
        (2, 4, 3), False, True, False,
    ),
    "LSTM-semeniuta": Row(
        lambda: LSTM(
            5, dropout=0.4, dropout_per="step", recurrent_dropout=0.4, recurrent_per="step",
            recurrent_mode="semeniuta", bias=False, return_sequences=False,
        ),
        (2, 4, 3), False, True, False,
    ),
    "LSTM-weights": Row(
        lambda: WeightDropout(LSTM(5), 0.4, ["recurrent_weight"]), (2, 4, 3), False, True, False
    ),
    "GRU": Row(lambda: GRU(5, return_sequences=False, bias=False), (2, 4, 3), keeps_dtype=False),
    "GRU-dropout": Row(
        lambda: GRU(5, recurrent_dropout=0.4, recurrent_per="step", zoneout=0.3),
        (2, 4, 3), False, True, False,
    ),
    "GRU-semeniuta": Row(
        lambda: GRU(5, dropout=0.4, recurrent_dropout=0.4, recurrent_mode="semeniuta"),
        (2, 4, 3), False, True, False,
    ),
    "Conv2D": Row(lambda: Conv2D(4, 3), (2, 3, 5, 6), keeps_dtype=False),
    "Conv2D-strides": Row(
        lambda: Conv2D(4, (3, 2), strides=(2, 1), padding=(1, 0), bias=False), (2, 3, 6, 4),
        linear=True, keeps_dtype=False,
    ),
    "Conv2D-groups": Row(
        lambda: Conv2D(6, 3, groups=3, padding="same", data_format="channels_last"),
        (2, 4, 3, 6), keeps_dtype=False,
    ),
    "Conv2D-relu": Row(
        lambda: Conv2D(3, 2, strides=2, activation="tanh", init="he", padding="same"),
        (2, 2, 5, 5), keeps_dtype=False,
    ),
    "Conv2D-weights": Row(
        lambda: WeightDropout(Conv2D(4, 3, groups=2), 0.4, ["weight", "bias"]), (2, 4, 4, 4),
        False, True, False,
    ),
    "MaxPool2D": Row(MaxPool2D, (2, 3, 5, 6)),
    "MaxPool2D-last": Row(
        lambda: MaxPool2D(3, strides=2, padding="same", data_format="channels_last"), (2, 6, 5, 3)
    ),
    "AveragePool2D": Row(AveragePool2D, (2, 3, 5, 6), True),
    "AveragePool2D-last": Row(
        lambda: AveragePool2D((3, 2), strides=1, padding=1, data_format="channels_last"),
        (2, 4, 5, 3), True,
    ),
    "GlobalAveragePool2D": Row(GlobalAveragePool2D, (2, 3, 4, 5), True),
    "BatchNorm": Row(BatchNorm, (5, 3, 2, 3), keeps_dtype=False),
    "BatchNorm-last": Row(lambda: BatchNorm(axis=-1), (4, 3, 2, 5), keeps_dtype=False),
    "BatchNorm-features": Row(lambda: BatchNorm(0.5, 1e-3), (7, 4), keeps_dtype=False),
    "Flatten": Row(Flatten, (2, 3, 4), True),
    "Flatten-checked": Row(lambda: Flatten(3, 4), (2, 3, 4), True),
    "ReLU": Row(ReLU, (3, 4), False),
    "Sigmoid": Row(Sigmoid, (3, 4)),
    "Tanh": Row(Tanh, (2, 3, 4)),
    "Softplus": Row(Softplus, (3, 4)),
    "Softplus-sharp": Row(lambda: Softplus(a=7.0), (3, 4)),
    "SELU": Row(SELU, (3, 4)),
    "GELU": Row(GELU, (12,)),
    "Sequential": Row(
        lambda: Sequential([Flatten(), Dense(5), SELU(), Dropout(0.3), Dense(2)], dtype="float64"),
        (3, 2, 4),
        random=True,
        keeps_dtype=False,
    ),
}
CLAIMS = ("linear", "random", "keeps_dtype", "exact", "shortens")
ROWS |= {
    name: Row(partial(_variants.make, layers, variant, case), case.shape,
              **{claim: getattr(case, claim) for claim in CLAIMS})
    for name, (variant, case) in _variants.cases("contract").items()
}


@pytest.fixture(params=ROWS, name="row")
def _row(request: pytest.FixtureRequest) -> Row:
    return ROWS[request.param]


def built(row: Row, dtype: str = "float64") -> Layer:
    layer = row.make()
    layer.build(row.shape[1:], np.random.default_rng(3), dtype)
    for parameter in layer.parameters():  # biases start at 0, which hides mistakes
        parameter.value += np.linspace(-0.3, 0.2, parameter.value.size).reshape(
            parameter.value.shape
        )
    return layer


def draw(shape: tuple[int, ...], seed: int, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def training(draws: int = 5) -> Context:
    """The same noise at every call."""
    return Context(training=True, stream=MaskStream.from_state(0x1234567890ABCDEF, draws))


def differences(loss: Callable[[], float], array: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Central differences of ``loss`` with respect to every entry of ``array``."""
    slopes = np.empty_like(array)
    for place in np.ndindex(array.shape):
        middle = array[place]
        array[place] = middle + step
        above = loss()
        array[place] = middle - step
        below = loss()
        array[place] = middle
        slopes[place] = (above - below) / (2 * step)
    return slopes


@pytest.mark.parametrize("train", [True, False])
def test_gradient(row: Row, train: bool) -> None:
    if train and not row.exact:
        pytest.skip("a straight-through gradient")
    layer, x = built(row), draw(row.shape, 1)
    y, backward = layer.forward(x, training() if train else Context())
    dy = draw(y.shape, 2)

    def loss() -> float:
        return float((layer.forward(x, training() if train else Context())[0] * dy).sum())

    dx = backward(dy)
    assert dx.shape == x.shape
    np.testing.assert_allclose(dx, differences(loss, x), rtol=1e-6, atol=1e-8)
    for parameter in layer.parameters():
        if not parameter.trainable:
            continue
        expected = differences(loss, parameter.value)
        np.testing.assert_allclose(parameter.grad, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.linear])
def test_adjoint(name: str, train: bool) -> None:
    row = ROWS[name]
    layer, x = built(row), draw(row.shape, 1)
    y, backward = layer.forward(x, training() if train else Context())
    dy = draw(y.shape, 2)
    np.testing.assert_allclose((y * dy).sum(), (x * backward(dy)).sum(), rtol=1e-12)
    doubled = layer.forward(2 * x, training() if train else Context())[0]
    np.testing.assert_array_equal(doubled, 2 * y)


def test_noise(row: Row) -> None:
    layer, x = built(row), draw(row.shape, 1)
    first, *others = (layer.forward(x, training(draws))[0] for draws in range(9))
    assert np.array_equal(first, layer.forward(x, training(0))[0])
    assert all(np.array_equal(first, other) for other in others) != row.random


def test_inference(row: Row) -> None:
    layer, x = built(row), draw(row.shape, 1)
    stream = MaskStream(0)
    before = stream.next_draw
    y, backward = layer.forward(x, Context(training=False, stream=stream))
    np.testing.assert_array_equal(y, layer.forward(x, Context())[0])
    assert stream.next_draw == before
    assert backward(np.ones_like(y)).shape == x.shape


def test_input_is_left_alone(row: Row) -> None:
    layer, x = built(row), draw(row.shape, 1)
    x.flags.writeable = False
    y, backward = layer.forward(x, training())
    dy = draw(y.shape, 2)
    dy.flags.writeable = False
    backward(dy)


def test_reentrant(row: Row) -> None:
    """Two passes under way at once, ended in the other order, give what each gives alone."""
    layer = built(row)
    inputs = [draw(row.shape, 1), draw(row.shape, 2)]
    alone = []
    for place, x in enumerate(inputs):
        y, backward = layer.forward(x, training(place))
        alone.append((y, backward(draw(y.shape, 9))))
    total = [parameter.grad.copy() for parameter in layer.parameters()]
    for parameter in layer.parameters():
        parameter.zero_grad()
    passes = [layer.forward(x, training(place)) for place, x in enumerate(inputs)]
    for (y, backward), (y_alone, dx_alone) in list(zip(passes, alone, strict=True))[::-1]:
        np.testing.assert_array_equal(y, y_alone)
        np.testing.assert_array_equal(backward(draw(y.shape, 9)), dx_alone)
    for parameter, expected in zip(layer.parameters(), total, strict=True):
        np.testing.assert_allclose(parameter.grad, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("train", [True, False])
def test_a_workspace_changes_nothing(row: Row, train: bool) -> None:
    """Results that lie in arrays of the last step are those that lie in new ones."""
    found, workspace = [], Workspace()
    for room in (None, workspace):
        layer = built(row)
        for step in (1, 2):
            ctx = training(step) if train else Context()
            if room is not None:
                room.release()
            for parameter in layer.parameters():
                parameter.zero_grad()
            y, backward = layer.forward(draw(row.shape, step), replace(ctx, workspace=room))
            dx = backward(draw(y.shape, 9))
            arrays = [y, dx, *(parameter.grad for parameter in layer.parameters())]
            found.append([array.copy() for array in arrays])
    for with_room, without in zip(found[2:], found[:2], strict=True):
        for one, other in zip(with_room, without, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("train", [True, False])
def test_dtype(row: Row, dtype: str, train: bool) -> None:
    layer, x = built(row, dtype), draw(row.shape, 1, dtype)
    y, backward = layer.forward(x, training() if train else Context())
    dx = backward(np.ones_like(y))
    assert (y.dtype, dx.dtype) == (x.dtype, x.dtype)
    assert all(p.value.dtype == p.grad.dtype == x.dtype for p in layer.parameters())
    wide = built(row).forward(x.astype("float64"), training() if train else Context())[0]
    np.testing.assert_allclose(y, wide, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.keeps_dtype])
def test_half_precision(name: str, dtype: str) -> None:
    row = ROWS[name]
    kind = np.dtype("float16") if dtype == "float16" else pytest.importorskip("ml_dtypes").bfloat16
    layer, x = built(row), draw(row.shape, 1, "float32").astype(kind)
    y, backward = layer.forward(x, training())
    assert y.dtype == backward(np.ones_like(y)).dtype == kind
    wide = layer.forward(x.astype("float32"), training())[0]
    np.testing.assert_allclose(y.astype("float32"), wide, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("layout", ["F", "reversed", "strided", "swapped"])
def test_layout(row: Row, layout: str) -> None:
    layer, x = built(row), draw(row.shape, 1)
    y, backward = layer.forward(x, training())
    dy = draw(y.shape, 2)
    other = {
        "F": lambda v: np.asfortranarray(v),
        "reversed": lambda v: np.ascontiguousarray(v[::-1])[::-1],
        "strided": lambda v: np.repeat(v, 2, axis=-1)[..., ::2],
        "swapped": lambda v: v.astype(v.dtype.newbyteorder()),
    }[layout]
    y_other, backward_other = layer.forward(other(x), training())
    np.testing.assert_allclose(y_other, y, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(backward_other(other(dy)), backward(dy), rtol=1e-12, atol=1e-14)


def test_empty_batch(row: Row) -> None:
    layer = built(row)
    x = np.empty((0, *row.shape[1:]))
    y, backward = layer.forward(x, training())
    assert y.shape == (0, *layer.output_shape(row.shape[1:])) or row.shortens
    assert layer.forward(x, Context())[0].shape == (0, *layer.output_shape(row.shape[1:]))
    assert backward(y).shape == x.shape
    assert all(not parameter.grad.any() for parameter in layer.parameters())


def test_state(row: Row) -> None:
    layer, other, x = built(row), row.make(), draw(row.shape, 1)
    other.build(row.shape[1:], np.random.default_rng(99), "float64")
    other.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(layer.forward(x, training())[0], other.forward(x, training())[0])
    for name in layer.state_dict():
        state = layer.state_dict()
        state[name] = state[name][..., None]
        with pytest.raises(ValueError, match=name):
            other.load_state_dict(state)
        del state[name]
        with pytest.raises(ValueError, match="missing"):
            other.load_state_dict(state)
    with pytest.raises(ValueError, match="bogus"):
        other.load_state_dict({**layer.state_dict(), "bogus": np.zeros(1)})


def test_build_is_idempotent_and_seeded(row: Row) -> None:
    layer, twin = row.make(), row.make()
    for each in (layer, twin):
        each.build(row.shape[1:], np.random.default_rng(3), "float64")
    before = layer.state_dict()
    layer.build(row.shape[1:], np.random.default_rng(4), "float64")
    for name, value in twin.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
        np.testing.assert_array_equal(value, layer.state_dict()[name])


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_copies_are_independent(row: Row, duplicate: Callable[[Layer], Layer]) -> None:
    layer, x = built(row), draw(row.shape, 1)
    twin = duplicate(layer)
    y = layer.forward(x, training())[0]
    for parameter in layer.parameters():
        parameter.value[...] = 0
    np.testing.assert_array_equal(twin.forward(x, training())[0], y)


@pytest.mark.parametrize("train", [True, False])
def test_parts_do_what_the_layer_does(row: Row, train: bool) -> None:
    layer, x = built(row), draw(row.shape, 1)
    ctx = training() if train else Context()
    y, whole = layer.forward(x, training() if train else Context())
    parts, back = in_order(layer.parts(), layer.convert(x), ctx)
    np.testing.assert_array_equal(parts, y)
    np.testing.assert_array_equal(back(y), whole(y))


def test_settings(row: Row) -> None:
    layer = row.make()
    assert type(layer).__name__ in repr(layer)
    for key in layer.get_config():
        assert key in repr(layer) or isinstance(layer, (Flatten, Sequential))


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "complex64", "object"])
def test_wrong_dtype(row: Row, dtype: str) -> None:
    layer = built(row)
    with pytest.raises(TypeError, match=dtype):
        layer.forward(np.ones(row.shape).astype(dtype), training())


def test_wrong_gradient_shape(row: Row) -> None:
    y, backward = built(row).forward(draw(row.shape, 1), training())
    with pytest.raises(ValueError):
        backward(np.ones((*y.shape, 2)))
