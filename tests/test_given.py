"""Masks that are given: bits of any layout, a scale for each sample, and factors."""

import copy
import pickle

import numpy as np
import pytest
import reference

from cydropout import MaskStream
from cydropout.masks import FactorMask, KeepMask

DTYPES = ["float16", "bfloat16", "float32", "float64"]


def values(shape, dtype="float64"):
    x = np.random.default_rng(0).standard_normal(shape)
    x.flat[::7] = np.nan
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("per_place", [False, True])
@pytest.mark.parametrize(
    "shape, compact",
    [
        ((5,), (5,)),
        ((3, 41), (3, 41)),
        ((3, 5000), (3, 5000)),
        ((4, 3, 6, 7), (4, 3, 6, 7)),
        ((4, 3, 60, 7), (4, 1, 60, 7)),
        ((4, 12, 9, 5), (4, 12, 1, 1)),
        ((4, 2, 30, 20), (4, 2, 1, 1)),
        ((6, 4, 5), (1, 4, 5)),
        ((6, 1, 1), (6, 1, 1)),
        ((9, 300), (9, 1)),
        ((7, 3), (1, 1)),
        ((0, 3), (0, 3)),
    ],
)
def test_the_formula(build, dtype, shape, compact, per_place):
    rng = np.random.default_rng(1)
    keep, x = rng.random(compact) < 0.6, values(shape, reference.dtype_named(dtype))
    scale = rng.random(shape[0]) if per_place else 1.25
    mask = KeepMask(shape, keep, scale)
    spread = scale.reshape(-1, *[1] * (len(shape) - 1)) if per_place else scale
    expected = reference.dropout(x, np.broadcast_to(keep, shape), spread)
    for threads in (1, 3):
        assert mask.apply(x, num_threads=threads).tobytes() == expected.tobytes()
        assert mask.backward(x, num_threads=threads).tobytes() == expected.tobytes()
    assert mask.apply(x, out=x) is x and x.tobytes() == expected.tobytes()
    np.testing.assert_array_equal(mask.keep, np.broadcast_to(keep, shape))
    if keep.size:
        assert mask.effective_rate == pytest.approx(1 - keep.mean())


def test_bits_give_the_mask_that_drew_them():
    drawn = MaskStream(0).draw((6, 5, 7), 0.4, shared_axes=(1,))
    mask = KeepMask.from_bits((6, 5, 7), drawn.bits.copy(), drawn.scale, shared_axes=(1,))
    x = values((6, 5, 7))
    np.testing.assert_array_equal(mask.apply(x), drawn.apply(x))
    assert mask.nbytes == drawn.nbytes


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize(
    "mask",
    [
        KeepMask((3, 4), np.eye(3, 4, dtype=bool), [1.0, 2.0, 3.0]),
        MaskStream(0).draw((3, 4), 0.5).with_keep(np.eye(3, 4, dtype=bool)),
        FactorMask((3, 4), np.arange(4.0)),
    ],
    ids=["KeepMask", "with_keep", "FactorMask"],
)
def test_a_copy_is_the_same_map(mask, clone):
    x = np.random.default_rng(0).standard_normal((3, 4))
    np.testing.assert_array_equal(clone(mask).apply(x), mask.apply(x))
    assert repr(clone(mask)) == repr(mask)


@pytest.mark.parametrize(
    "make, error, named",
    [
        (lambda: KeepMask((3, 4), np.ones((3, 4))), TypeError, "float64"),
        (lambda: KeepMask((3, 4), np.ones((4, 3), bool)), ValueError, r"\(4, 3\)"),
        (lambda: KeepMask((3,), np.ones((2, 3), bool)), ValueError, r"\(2, 3\)"),
        (lambda: KeepMask(3, np.ones(3, bool), -1.0), ValueError, "-1.0"),
        (lambda: KeepMask(3, np.ones(3, bool), np.nan), ValueError, "nan"),
        (lambda: KeepMask(3, np.ones(3, bool), [1.0, 2.0]), ValueError, r"\(2,\)"),
        (lambda: FactorMask((3,), np.ones(4)), ValueError, r"\(4,\)"),
        (lambda: FactorMask((3,), np.ones(3, int)), TypeError, "int64"),
        (lambda: MaskStream(0).draw(3, 0.5).with_keep(np.ones(4, bool)), ValueError, r"\(4,\)"),
        (lambda: MaskStream(0).draw((2, 3), 0.5, shared_axes=1).with_keep(
            np.eye(2, 3, dtype=bool)), ValueError, r"axes \(1,\)"),
        (lambda: FactorMask((3,), np.ones(3)).over((4,)), ValueError, r"\(4,\)"),
    ],
)
def test_what_does_not_fit_is_named(make, error, named):
    with pytest.raises(error, match=named):
        make()


def test_a_shared_axis_may_have_another_length():
    mask = MaskStream(0).draw((4, 6, 5), 0.5, shared_axes=(1,))
    longer = mask.over((4, 9, 5))
    np.testing.assert_array_equal(longer.keep[:, 0], mask.keep[:, 0])
    assert longer.apply(np.ones((4, 9, 5))).shape == (4, 9, 5)
    with pytest.raises(ValueError, match=r"\(4, 6, 7\)"):
        mask.over((4, 6, 7))
    with pytest.raises(ValueError, match=r"\(4, 6\)"):
        mask.over((4, 6))


@pytest.mark.parametrize("dtype", DTYPES)
def test_factors_multiply(dtype):
    x = values((3, 4), reference.dtype_named(dtype))
    y = FactorMask((3, 4), np.float32([1, 2, 0.5, -1])).apply(x)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(
        y.astype("f8"), x.astype("f8") * [1, 2, 0.5, -1]
    )


def test_a_dense_layer_uses_the_masks_of_its_context():
    from cydropout.layers import Context, Dense, Dropout, ReLU, Sequential

    inner = Sequential([Dropout(0.5)])
    model = Sequential([Dense(6), Dropout(0.5), Dense(6), ReLU(), Dropout(0.5), inner])
    model.build((4,), rng=0)
    x, masks = np.random.default_rng(0).standard_normal((8, 4)).astype("f4"), {}
    stream = MaskStream(3)
    y, _ = model.forward(x, Context(training=True, stream=stream, masks=masks))
    assert len(masks) == 3 and stream.next_draw == 3
    assert set(masks) == {model.layers[1], model.layers[4], inner.layers[0]}
    again, _ = model.forward(x, Context(training=True, stream=stream, masks=masks))
    np.testing.assert_array_equal(again, y)
    zeros = {layer: np.zeros((8, 6), bool) for layer in masks}
    assert not model.forward(x, Context(training=True, stream=stream, masks=zeros))[0].any()
    plain = model.forward(x, Context())[0]
    np.testing.assert_array_equal(model.forward(x, Context(masks=masks))[0], plain)
