"""Zoneout and the gated update: the formula to the bit, and PyTorch's LSTM cell beside it."""

import numpy as np
import pytest
import reference
import reference_sequence

from cydropout import MaskStream
from cydropout.functional import gated_update, gated_update_backward, zoneout, zoneout_backward
from cydropout.layers import Context, RecurrentDropout, Zoneout
from cydropout.masks import AlphaMask, InferenceMask, KeepMask

DTYPES = ["float16", "bfloat16", "float32", "float64"]
SHAPES = [(0, 3), (1,), (31,), (3, 11), (4, 512), (33, 2048), (5, 1001)]


def values(seed, shape, dtype):
    x = np.random.default_rng(seed).standard_normal(shape)
    x.flat[seed::7], x.flat[seed + 3 :: 11] = np.nan, -0.0
    return x.astype(dtype)


def training(seed=0, masks=None):
    return Context(training=True, stream=MaskStream(seed), masks=masks)


def masks_of(shape):
    """A drawn one, one drawn again at each use, rates per unit, a slice, shared, and given."""
    rates = np.linspace(0, 1, shape[-1]) if shape[-1] > 1 else 0.5
    yield MaskStream(1).draw(shape, 0.3)
    yield MaskStream(1).draw(shape, 0.3, storage="seed", offset=77)
    yield MaskStream(1).draw(shape, rates)
    yield MaskStream(1).draw(shape, 0.5, shared_axes=(0,))
    yield MaskStream(1).draw(shape, 0.0)
    yield KeepMask(shape, np.random.default_rng(2).random(shape) < 0.5, np.full(shape[0], 1.5))


def spread(scale, shape):
    """A mask's scale, as it lies over the elements."""
    scale = np.asarray(scale)
    return scale.reshape(-1, *[1] * (len(shape) - 1)) if scale.shape == shape[:1] else scale


def same_bits(found, expected):
    assert found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("num_threads", [1, 2, 3])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_zoneout_chooses(build, dtype, shape, num_threads):
    dtype = reference.dtype_named(dtype)
    new, previous, dy = (values(seed, shape, dtype) for seed in range(3))
    for mask in masks_of(shape):
        y = zoneout(new, previous, mask, num_threads=num_threads)
        same_bits(y, reference_sequence.zoneout(new, previous, mask.keep))
        found = zoneout_backward(dy, mask, num_threads=num_threads)
        for part, expected in zip(
            found, reference_sequence.zoneout_backward(dy, mask.keep), strict=True
        ):
            same_bits(part, expected)


@pytest.mark.parametrize("num_threads", [1, 2, 3])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gated_update_is_its_formula(build, dtype, shape, num_threads):
    dy, *inputs = (values(seed, shape, dtype) for seed in range(5))
    for mask in masks_of(shape):
        scale = spread(mask.scale, shape) if isinstance(mask, KeepMask) else mask.scale
        y = gated_update(*inputs, mask, num_threads=num_threads)
        expected = reference_sequence.gated_update(*inputs, mask.keep, scale)
        np.testing.assert_array_equal(y, expected)
        assert y.dtype == dtype
        found = gated_update_backward(dy, *inputs, mask, num_threads=num_threads)
        expected = reference_sequence.gated_update_backward(dy, *inputs, mask.keep, scale)
        for part, whole in zip(found, expected, strict=True):
            np.testing.assert_array_equal(part, whole)
            assert part.dtype == dtype


def test_what_is_dropped_never_enters():
    mask = KeepMask((4,), np.array([True, False, True, False]), 2.0)
    new, previous = np.array([1.0, np.nan, 3.0, np.inf]), np.array([np.nan, 2.0, np.inf, 4.0])
    np.testing.assert_array_equal(zoneout(new, previous, mask), [1, 2, 3, 4])
    ones = np.ones(4)
    np.testing.assert_array_equal(gated_update(ones, ones, ones, new, mask), [3, 1, 7, 1])


def test_without_a_mask_all_is_kept():
    inputs = [values(seed, (3, 5), "float64") for seed in range(4)]
    whole = InferenceMask((3, 5), 0.5)
    for mask in (None, whole):
        np.testing.assert_array_equal(
            gated_update(*inputs, mask), inputs[1] * inputs[0] + inputs[2] * inputs[3])


def test_an_affine_mask_of_the_candidate():
    rng = np.random.default_rng(0)
    dy, p, f, g, c = rng.standard_normal((5, 6, 7))
    mask = MaskStream(0).make(AlphaMask, (6, 7), 0.4)
    np.testing.assert_allclose(gated_update(p, f, g, c, mask), f * p + g * mask.apply(c))
    found = gated_update_backward(dy, p, f, g, c, mask)
    expected = (f * dy, p * dy, mask.apply(c) * dy, mask.backward(g * dy))
    for part, whole in zip(found, expected, strict=True):
        np.testing.assert_allclose(part, whole)
    np.testing.assert_array_equal(zoneout(p, c, mask), np.where(mask.keep, p, c))


@pytest.mark.parametrize(
    "call, error, named",
    [
        (lambda x, m: zoneout(x, x[:2], m), ValueError, r"previous has shape \(2, 4\)"),
        (lambda x, m: zoneout(x, x.astype("f4"), m), ValueError, "float32"),
        (lambda x, m: zoneout(x[:2], x[:2], m), ValueError, r"\(3, 4\)"),
        (lambda x, m: zoneout(x.astype(int), x, m), TypeError, "int64"),
        (lambda x, m: zoneout_backward(x.T, m), ValueError, r"\(4, 3\)"),
        (lambda x, m: gated_update(x, x, x, x[:1], m), ValueError, r"candidate .*\(1, 4\)"),
        (lambda x, m: gated_update(*[x.astype("f2")] * 4, m), TypeError, "float16"),
        (lambda x, m: gated_update(*[x[:1]] * 4, m), ValueError, r"\(3, 4\)"),
        (lambda x, m: gated_update_backward(x.T, x, x, x, x, m), ValueError, r"\(4, 3\)"),
        (lambda x, m: zoneout(x, x, m, num_threads=0), ValueError, "0"),
    ],
)
def test_what_does_not_fit_is_named(call, error, named):
    with pytest.raises(error, match=named):
        call(np.ones((3, 4)), MaskStream(0).draw((3, 4), 0.5))


@pytest.mark.parametrize("dtype", DTYPES)
def test_zoneout_at_inference_is_the_mean(dtype):
    dtype = reference.dtype_named(dtype)
    rng = np.random.default_rng(0)
    new, previous = (rng.standard_normal((5, 40)).astype(dtype) for _ in range(2))
    y, backward = Zoneout(0.25).forward(new, Context(), previous=previous)
    wide = 0.75 * new.astype("f8") + 0.25 * previous.astype("f8")
    assert y.dtype == dtype
    tolerance = {2: 1e-2, 4: 1e-6, 8: 1e-14}[y.itemsize]
    np.testing.assert_allclose(y.astype("f8"), wide, rtol=tolerance, atol=tolerance)
    dnew, dprevious = backward(new)
    assert dnew.dtype == dprevious.dtype == dtype
    np.testing.assert_allclose(dnew.astype("f8"), 0.75 * new.astype("f8"), rtol=tolerance)
    np.testing.assert_allclose(dprevious.astype("f8"), 0.25 * new.astype("f8"), rtol=tolerance)


def test_the_mean_of_many_masks_is_what_inference_gives():
    new, previous = np.random.default_rng(0).standard_normal((2, 50))
    layer, stream, draws = Zoneout(0.3), MaskStream(0), 4000
    mean = sum(
        layer.forward(new, Context(training=True, stream=stream), previous=previous)[0]
        for _ in range(draws)
    ) / draws
    error = np.abs(new - previous) * np.sqrt(0.21 / draws)
    expected = layer.forward(new, Context(), previous=previous)[0]
    assert (np.abs(mean - expected) < 5 * error).all()


@pytest.mark.parametrize("previous", [True, False])
def test_zoneout_at_the_ends(previous):
    x, old = np.array([1.0, np.nan, -0.0]), np.array([np.nan, 2.0, np.inf])
    state = {"previous": old} if previous else {}
    for ctx in (training(), Context()):
        y, backward = Zoneout(0.0).forward(x, ctx, **state)
        same_bits(y, x)
        assert not ctx.training or not np.shares_memory(x, y)
        assert ctx.stream is None or ctx.stream.next_draw == 0
        y, backward = Zoneout(1.0).forward(x, ctx, **state)
        same_bits(y, old if previous else np.zeros(3))
        gradients = backward(x)
        np.testing.assert_array_equal(gradients[0] if previous else gradients, np.zeros(3))
        if previous:
            same_bits(gradients[1], x)
    if not previous:
        assert Zoneout(0.0).forward(x, Context())[0] is x


@pytest.mark.parametrize("train", [True, False])
def test_zoneout_gradients_are_those_of_finite_differences(train):
    rng = np.random.default_rng(0)
    new, old, dy = rng.standard_normal((3, 4, 5))
    layer = Zoneout(0.4)
    ctx = Context(training=train, masks={}, stream=MaskStream(0))
    _, backward = layer.forward(new, ctx, previous=old)

    def loss(a, b):
        return (layer.forward(a, ctx, previous=b)[0] * dy).sum()

    h = 1e-6 * rng.standard_normal((2, 4, 5))
    dnew, dprevious = backward(dy)
    slope = (loss(new + h[0], old + h[1]) - loss(new - h[0], old - h[1])) / 2
    np.testing.assert_allclose((dnew * h[0] + dprevious * h[1]).sum(), slope, rtol=1e-8)


def test_a_held_mask_zones_out_the_same_units():
    new, old, masks = np.ones((3, 50)), np.zeros((3, 50)), {}
    layer = Zoneout(0.5)
    first = layer.forward(new, training(0, masks), previous=old)[0]
    np.testing.assert_array_equal(masks[layer].keep, first == 1)
    again = layer.forward(new, training(9, masks), previous=old)[0]
    np.testing.assert_array_equal(again, first)
    brought = layer.forward(new, training(9), mask=first == 0, previous=old)[0]
    np.testing.assert_array_equal(brought, 1 - first)


def test_zoneout_is_what_torch_makes_of_the_formula():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    new, old, dy = rng.standard_normal((3, 8, 30))
    layer, masks = Zoneout(0.3), {}
    y, backward = layer.forward(new, training(0, masks), previous=old)
    a, b = (torch.tensor(v, requires_grad=True) for v in (new, old))
    zoned = torch.tensor(~masks[layer].keep).double()
    expected = zoned * b + (1 - zoned) * a
    expected.backward(torch.tensor(dy))
    np.testing.assert_array_equal(y, expected.detach().numpy())
    for found, tensor in zip(backward(dy), (a, b), strict=True):
        np.testing.assert_array_equal(found, tensor.grad.numpy())


@pytest.mark.parametrize("train", [True, False])
def test_an_lstm_cell_with_recurrent_dropout_is_torchs(train):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    z, (c, dy) = rng.standard_normal((4, 8, 30)), rng.standard_normal((2, 8, 30))
    layer, masks = RecurrentDropout(0.3), {}
    ctx = training(0, masks) if train else Context()
    zt, ct = (torch.tensor(v, requires_grad=True) for v in (z, c))
    i, f, g = torch.sigmoid(zt[0]), torch.sigmoid(zt[1]), torch.tanh(zt[2])
    arrays = [v.detach().numpy() for v in (f, i, g)]
    y, backward = layer.update(c, *arrays, ctx)
    m = torch.tensor(masks[layer].keep * masks[layer].scale) if train else 1.0
    expected = f * ct + i * (m * g)
    for gate in (i, f, g):
        gate.retain_grad()
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    for found, tensor in zip(backward(dy), (ct, f, i, g), strict=True):
        np.testing.assert_allclose(found, tensor.grad.numpy(), rtol=1e-12, atol=1e-14)


def test_recurrent_dropout_per_step_and_per_sequence():
    x = np.ones((4, 6, 50))
    steps = RecurrentDropout(0.5).forward(x, training())[0]
    np.testing.assert_array_equal(
        steps != 0, reference.keep(MaskStream(0).key, 0, x.shape, 0.5))
    whole = RecurrentDropout(0.5, per="sequence").forward(x, training())[0]
    np.testing.assert_array_equal(
        whole != 0, reference.keep(MaskStream(0).key, 0, x.shape, 0.5, 0, (1,)))


def test_steps_that_come_one_by_one_share_a_held_mask():
    layer, masks = RecurrentDropout(0.5, per="sequence"), {}
    ctx, ones = training(0, masks), np.ones((4, 50))
    state = [layer.update(ones, ones, ones, ones, ctx)[0] for _ in range(3)]
    np.testing.assert_array_equal(state[0], state[2])
    assert ctx.stream.next_draw == 1
    masks.clear()
    assert not np.array_equal(layer.update(ones, ones, ones, ones, ctx)[0], state[0])


@pytest.mark.parametrize(
    "call, named",
    [
        (lambda: RecurrentDropout(0.5, per="batch"), "'batch'"),
        (lambda: RecurrentDropout(0.5).forward(np.ones(3), training()), r"\(3,\)"),
        (lambda: RecurrentDropout(0.5).forward(np.ones((1, 2, 3, 4)), Context()), "1, 2, 3, 4"),
    ],
)
def test_bad_settings_are_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()


def test_states_that_do_not_fit_take_no_draw():
    stream, x = MaskStream(0), np.ones((3, 4))
    ctx = Context(training=True, stream=stream)
    with pytest.raises(ValueError, match=r"\(2, 4\)"):
        Zoneout(0.5).forward(x, ctx, previous=x[:2])
    with pytest.raises(ValueError, match="float32"):
        RecurrentDropout(0.5).update(x, x.astype("f4"), x, x, ctx)
    with pytest.raises(TypeError, match="float16"):
        RecurrentDropout(0.5).update(*[x.astype("f2")] * 4, ctx)
    assert stream.next_draw == 0
