"""Whole heads: dropped by sample, what is kept scaled by the count of each sample."""

import copy
import pickle

import numpy as np
import pytest
import reference
import reference_attention

from cydropout import MaskStream
from cydropout.layers import Context, DropHead
from cydropout.masks import HeadMask

SHAPES = [((6, 12, 9, 5), 1), ((6, 9, 12, 5), 2), ((6, 9, 5, 12), -1), ((5, 7), 1), ((3, 1, 4), 1),
          ((8, 8, 30, 64), 1), ((0, 3, 4), 1), ((4, 3, 0), 1), ((4, 0, 3), 1)]


def drawn(shape, axis, rate, key=5, draw=0):
    return reference.keep(key, draw, (shape[0], shape[axis]), rate)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape, axis", SHAPES)
def test_the_formula(build, shape, axis, dtype):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    x.reshape(-1)[::5] = np.nan
    mask = MaskStream.from_state(5, 0).make(HeadMask, shape, 0.4, axis=axis)
    kept = drawn(shape, axis, 0.4)
    heads = np.moveaxis(x.astype("f4") if dtype == "float16" else x, axis, 1)
    want = np.moveaxis(reference_attention.drop_head(heads, kept), 1, axis).astype(dtype)
    for threads in (1, 3):
        y, dx = mask.apply(x, num_threads=threads), mask.backward(x, num_threads=threads)
        np.testing.assert_array_equal(y, want)
        assert y.tobytes() == dx.tobytes() and y.dtype == dtype
    spread = np.expand_dims(kept, [a for a in range(x.ndim) if a not in (0, axis % x.ndim)])
    np.testing.assert_array_equal(mask.keep, np.broadcast_to(spread, shape))


def test_a_sample_keeps_the_sum_of_equal_heads_or_is_0():
    mask = MaskStream(0).make(HeadMask, (4000, 4, 3), 0.6)
    total = mask.apply(np.ones((4000, 4, 3))).sum(axis=1)
    lost = (total == 0).all(axis=1)
    np.testing.assert_allclose(total[~lost], 4)
    chance = 0.6**4
    assert abs(lost.mean() - chance) < 5 * np.sqrt(chance * (1 - chance) / 4000)


def test_the_rate():
    kept = MaskStream(1).make(HeadMask, (5000, 8, 2), 0.2).keep[..., 0]
    assert abs(kept.mean() - 0.8) < 5 * np.sqrt(0.16 / kept.size)
    assert MaskStream(1).make(HeadMask, (50, 8, 2), 0.2).effective_rate == 1 - kept[:50].mean()


def test_the_decisions_are_those_of_the_plain_layer():
    x = np.ones((6, 5, 4, 3))
    masks = [
        DropHead(0.5, axis=2, scaling=scaling).forward(
            x, Context(training=True, stream=MaskStream(3)))[0] != 0
        for scaling in ("heads", "inverted")
    ]
    np.testing.assert_array_equal(*masks)


def test_bools_that_are_brought_are_counted():
    keep = np.array([[True, False, True], [False, False, False]])[:, :, None]
    layer, x = DropHead(0.5), np.ones((2, 3, 4))
    ctx = Context(training=True, stream=MaskStream(0))
    y, backward = layer.forward(x, ctx, mask=np.broadcast_to(keep, x.shape))
    want = np.where(keep, 1.5, 0) * x
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(backward(x), want)
    np.testing.assert_array_equal(layer.forward(x, ctx, mask=keep)[0], want)
    with pytest.raises(ValueError, match=r"\(2,\)"):
        layer.forward(x, ctx, mask=np.eye(3, 4, dtype=bool)[None].repeat(2, axis=0))
    assert ctx.stream.next_draw == 0


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_is_the_same_map(clone):
    mask, x = MaskStream(2).make(HeadMask, (5, 4, 3), 0.5), np.ones((5, 4, 3))
    twin = clone(mask)
    np.testing.assert_array_equal(twin.apply(x), mask.apply(x))
    np.testing.assert_array_equal(twin.with_keep(mask.keep).apply(x), mask.apply(x))
    assert repr(twin) == repr(mask) and (mask.key, mask.draw) == (MaskStream(2).key, 0)
    longer = mask.over((5, 4, 7))
    np.testing.assert_array_equal(longer.with_keep(longer.keep).apply(np.ones((5, 4, 7)))[..., :3],
                                  mask.apply(x))


@pytest.mark.parametrize(
    "make, error, named",
    [
        (lambda s: s.make(HeadMask, (3, 4, 5), 0.5, axis=0), ValueError, "axis 0"),
        (lambda s: s.make(HeadMask, (3, 4, 5), 0.5, axis=-3), ValueError, "axis -3"),
        (lambda s: s.make(HeadMask, (3, 4, 5), 0.5, axis=3), ValueError, "axis 3"),
        (lambda s: s.make(HeadMask, (3,), 0.5), ValueError, r"\(3,\)"),
        (lambda s: s.make(HeadMask, (3, 4), 1.5), ValueError, "1.5"),
        (lambda s: s.make(HeadMask, (3, 4), [0.5, 0.1]), TypeError, "one rate"),
        (lambda s: DropHead(0.5, axis=0), ValueError, "axis 0"),
        (lambda s: DropHead(0.5, scaling="sqrt"), ValueError, "'sqrt'"),
        (lambda s: DropHead(0.5, axis=3).forward(
            np.ones((3, 4)), Context(training=True, stream=s)), ValueError, "axis 3"),
    ],
)
def test_what_does_not_fit_is_named(make, error, named):
    stream = MaskStream(0)
    with pytest.raises(error, match=named):
        make(stream)
    assert stream.next_draw == 0
