"""The contract every layer keeps. A layer is a row in ``ROWS`` of `layer_cases`."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from layer_cases import ROWS, Row, built, draw, training

from cydropout import MaskStream
from cydropout.layers import Context, Flatten, Layer, Sequential
from cydropout.layers._layer import in_order
from cydropout.layers._workspace import Workspace


@pytest.fixture(params=ROWS, name="row")
def _row(request: pytest.FixtureRequest) -> Row:
    return ROWS[request.param]


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
    for shape in ((*y.shape, 2), (*y.shape, 1), (1, *y.shape), y.shape[1:]):
        with pytest.raises(ValueError):
            backward(np.ones(shape))


@pytest.mark.parametrize("train", [True, False])
def test_wrong_gradient(row: Row, train: bool) -> None:
    layer = built(row)
    y, backward = layer.forward(draw(row.shape, 1), training() if train else Context())
    wrong = [np.ones(y.shape).astype(kind) for kind in ("i8", "?", "c16", "O", "U1")]
    for dy in (*wrong, np.ma.masked_array(y, y > 0)):
        masked = isinstance(dy, np.ma.MaskedArray)
        with pytest.raises(TypeError, match="masked array" if masked else dy.dtype.name):
            backward(dy)
    assert not any(parameter.grad.any() for parameter in layer.parameters())
