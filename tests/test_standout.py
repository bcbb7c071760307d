"""Standout: its decisions are those of the words, its passes the formulas; and the layer."""

import numpy as np
import pytest
import reference
import reference_noise

from cydropout import MaskStream
from cydropout.functional import standout, standout_backward
from cydropout.layers import Context, Standout
from cydropout.masks import FactorMask, KeepMask

KEY, DRAW = 0x299F31D0A4093822, 0x370734413198A2E
SHAPES = [(1,), (31,), (32,), (3, 11), (5, 2048), (7, 333), (2, 3, 5), (0, 4)]


def stream():
    return MaskStream.from_state(KEY, DRAW)


def arrays(shape, dtype="float64"):
    return (a.astype(dtype) for a in np.random.default_rng(0).standard_normal((3, *shape)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_kept_is_below_its_probability(build, shape, dtype):
    z, r, _ = arrays(shape, dtype)
    y, mask = standout(z, r, alpha=2.0, beta=-0.5, rng=stream())
    words = reference.words(KEY, DRAW, 0, z.size).reshape(shape) / reference.ONE
    k = reference_noise.sigmoid(2 * r.astype("f8") - 0.5)
    sure = np.abs(words - k) > 1e-6
    assert np.count_nonzero(~sure) < 2
    np.testing.assert_array_equal(mask.keep[sure], (words < k)[sure])
    np.testing.assert_array_equal(y, np.where(mask.keep & (z > 0), z, 0))
    for threads in (1, 2, 3):
        again, other = standout(z, r, alpha=2.0, beta=-0.5, rng=stream(), num_threads=threads)
        assert again.tobytes() == y.tobytes() and other.bits.tobytes() == mask.bits.tobytes()


@pytest.mark.parametrize("beta, k", [(0.0, 0.5), (200.0, 1.0), (-86.0, 0.0)])
def test_both_dtypes_decide_alike_where_the_probability_is_the_same(build, beta, k):
    z = np.random.default_rng(0).standard_normal(10_007)
    words = reference.words(KEY, DRAW, 0, z.size)
    for dtype in ("float32", "float64"):
        kept = standout(z.astype(dtype), alpha=0.0, beta=beta, rng=stream())[1].keep
        np.testing.assert_array_equal(kept, words < k * 2.0**32)


def test_the_share_that_is_kept():
    r = np.repeat([-4.0, -1.0, 0.3, 2.0], 2**18)
    kept = standout(np.ones_like(r), r, rng=stream())[1].keep.reshape(4, -1)
    k = reference_noise.sigmoid(np.array([-4.0, -1.0, 0.3, 2.0]))
    assert (np.abs(kept.mean(axis=1) - k) < 5 * np.sqrt(k * (1 - k) / 2**18)).all()


def test_builds_agree_to_the_bit(each_build):
    found = set()
    z, r, dy = arrays((300, 101))
    for _ in each_build:
        results = []
        for dtype in ("float32", "float64"):
            a, b, c = (v.astype(dtype) for v in (z, r, dy))
            for activation in ("relu", "tanh", "softplus"):
                y, mask = standout(a, b, activation, rng=stream())
                results += [y, mask.bits, *standout_backward(c, a, b, activation, mask)]
                results.append(standout(a, None, activation, training=False)[0])
        found.add(b"".join(array.tobytes() for array in results))
    assert len(found) == 1


@pytest.mark.parametrize("activation", reference_noise.ACTIVATE)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_formula(build, shape, dtype, tied, training, activation):
    z, r, dy = arrays(shape, dtype)
    path, settings = (None if tied else r), {"alpha": 0.7, "beta": 0.4}
    y, mask = standout(z, path, activation, rng=stream(), training=training, **settings)
    assert (mask is None) != training and y.dtype == z.dtype
    exact = reference_noise.standout(
        *(a.astype("f8") for a in (z, z if tied else r)), mask.keep if training else None,
        activation, dy.astype("f8"), 0.7, 0.4)
    close = {"rtol": 2e-6, "atol": 2e-6} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-13}
    np.testing.assert_allclose(y, exact[0], **close)
    for threads in (1, 3):
        dz, dr = standout_backward(dy, z, path, activation, mask, num_threads=threads, **settings)
        if tied:
            assert dr is None
            np.testing.assert_allclose(dz, exact[1] + exact[2], **close)
        else:
            np.testing.assert_allclose(dz, exact[1], **close)
            np.testing.assert_allclose(dr, exact[2], **close)


def test_what_is_not_finite():
    z = np.array([np.nan, np.inf, -np.inf, np.nan])
    mask = KeepMask(4, np.array([True, True, True, False]))
    y, _ = standout(z, np.zeros(4), mask=mask)
    np.testing.assert_array_equal(y, [np.nan, np.inf, 0, 0])
    drawn = standout(np.ones(1000), np.full(1000, np.nan), rng=stream())[1]
    assert drawn.keep.all()


def test_layouts_give_the_same():
    z, r, dy = arrays((12, 7))
    y, mask = standout(z, r, rng=stream())
    for other in (np.asfortranarray, lambda a: a[::-1].copy()[::-1], lambda a: a.astype(">f8")):
        again, same = standout(other(z), other(r), rng=stream())
        np.testing.assert_array_equal(again, y)
        np.testing.assert_array_equal(same.keep, mask.keep)
        for a, b in zip(standout_backward(other(dy), other(z), other(r), "relu", mask),
                        standout_backward(dy, z, r, "relu", mask), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"z": np.ones(3, "f2")}, TypeError, "float16"),
        ({"z": np.ones(3, int)}, TypeError, "int64"),
        ({"r": np.ones(4)}, ValueError, r"\(4,\)"),
        ({"r": np.ones(3, "f4")}, ValueError, "float32"),
        ({"activation": "swish"}, ValueError, "swish"),
        ({"alpha": np.nan}, ValueError, "nan"),
        ({"beta": np.inf}, ValueError, "inf"),
        ({"num_threads": 0}, ValueError, "0"),
        ({"mask": KeepMask(4, np.ones(4, bool))}, ValueError, r"\(4,\)"),
        ({"mask": FactorMask(3, np.ones(3))}, TypeError, "FactorMask"),
    ],
)
def test_bad_arguments_take_no_draw(arguments, error, message):
    draws = stream()
    with pytest.raises(error, match=message):
        standout(**{"z": np.ones(3), "rng": draws, **arguments})
    assert draws.next_draw == DRAW


def layer_of(**settings):
    layer = Standout(6, **settings)
    layer.build((4,), 0, "float64")
    return layer, np.random.default_rng(1).standard_normal((9, 4))


@pytest.mark.parametrize("tied", [True, False])
def test_autograd_of_the_straight_through_formula_agrees(tied):
    torch = pytest.importorskip("torch")
    layer, x = layer_of(tied=tied, activation="tanh", alpha=0.8, beta=0.3)
    masks = {}
    y, backward = layer.forward(x, Context(training=True, stream=stream(), masks=masks))
    dy = np.random.default_rng(2).standard_normal(y.shape)
    dx = backward(dy)
    values = {n: torch.tensor(v, requires_grad=True) for n, v in layer.state_dict().items()}
    tx = torch.tensor(x, requires_grad=True)
    z = tx @ values["weight"] + values["bias"]
    r = z if tied else tx @ values["rate_weight"] + values["rate_bias"]
    k = torch.sigmoid(0.8 * r + 0.3)
    act = torch.tanh(z)
    m = torch.from_numpy(masks[layer].keep.astype("f8"))
    # The value of m act(z), with the derivative of m by act(z) and of k by k.
    ty = m * act + (k - k.detach()) * act.detach()
    ty.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(y, ty.detach(), rtol=1e-12)
    np.testing.assert_allclose(dx, tx.grad, rtol=1e-10, atol=1e-13)
    for name, parameter in layer.named_parameters():
        np.testing.assert_allclose(parameter.grad, values[name].grad, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("tied", [True, False])
def test_inference_is_the_mean_over_decisions(tied):
    layer, x = layer_of(tied=tied, alpha=1.5)
    y, draws, count = layer.forward(x, Context())[0], stream(), 2000
    many = np.stack([
        layer.forward(x, Context(training=True, stream=draws))[0] for _ in range(count)])
    assert (np.abs(many.mean(axis=0) - y) <= 5 * many.std(axis=0) / np.sqrt(count) + 1e-12).all()


def test_the_decisions_can_be_had_and_brought_back():
    layer, x = layer_of()
    masks, draws = {}, stream()
    y, backward = layer.forward(x, Context(training=True, stream=draws, masks=masks))
    assert list(masks) == [layer] and draws.next_draw == DRAW + 1
    held = Context(training=True, stream=draws, masks=masks)
    brought = Context(training=True, stream=draws)
    for ctx, mask in ((held, None), (brought, masks[layer]), (brought, masks[layer].keep)):
        again, back = layer.forward(x, ctx, mask)
        assert again.tobytes() == y.tobytes() and back(y).tobytes() == backward(y).tobytes()
    assert draws.next_draw == DRAW + 1
    assert not layer.forward(x, brought, np.zeros((9, 6), bool))[0].any()
    mean = layer.forward(x, Context())[0]
    np.testing.assert_array_equal(layer.forward(x, Context(masks=masks))[0], mean)
    with pytest.raises(ValueError, match="stream"):
        layer.forward(x, Context(training=True))
    with pytest.raises(TypeError, match="int64"):
        layer.forward(x, brought, np.ones((9, 6), int))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"alpha": np.inf}, "inf"),
        ({"beta": [1.0, 2.0]}, "beta"),
        ({"activation": "swish"}, "swish"),
        ({"units": 0}, "0"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Standout(**{"units": 3, **settings})
