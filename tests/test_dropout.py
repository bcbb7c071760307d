"""The edge-case table of the design: one test or more for each row, for every way to call."""

from itertools import pairwise

import numpy as np
import pytest
import reference
from reference import misaligned

from cydropout import Mask, MaskStream, dropout

SCALINGS = ["inverted", "classic", "sqrt"]
DTYPES = ["float16", "bfloat16", "float32", "float64"]


def by_function(x, rate, **options):
    return dropout(x, rate, rng=0, **options)


def by_mask(x, rate, out=None, **options):
    return MaskStream(0).draw(np.shape(x), rate, **options).apply(x, out=out)


def by_mask_again(x, rate, out=None, **options):
    """Backward: the mask has been used before."""
    mask = MaskStream(0).draw(np.shape(x), rate, **options)
    mask.apply(np.ones(np.shape(x)))
    return mask.apply(x, out=out)


def by_seed(x, rate, out=None, **options):
    return MaskStream(0).draw(np.shape(x), rate, storage="seed", **options).apply(x, out=out)


@pytest.fixture(params=[by_function, by_mask, by_mask_again, by_seed], ids=lambda f: f.__name__)
def drop(request):
    return request.param


@pytest.fixture
def x():
    return np.random.default_rng(1).standard_normal((30, 70)).astype("f4")


def expected(x, rate, scaling="inverted", shared_axes=()):
    kept = reference.keep(MaskStream(0).key, 0, np.shape(x), rate, 0, shared_axes)
    return reference.dropout(np.asarray(x), kept, reference.scale(rate, scaling))


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_kept_is_scaled_and_dropped_is_zero(drop, x, rate, scaling):
    np.testing.assert_array_equal(
        drop(x, rate, scaling=scaling), expected(x, rate, scaling), strict=True
    )


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("rate", [0, 0.0, np.zeros(70), 1e-12])
def test_rate_0_changes_nothing(drop, x, rate, scaling):
    y = drop(x, rate, scaling=scaling)
    np.testing.assert_array_equal(y, x, strict=True)
    assert not np.shares_memory(y, x)


@pytest.mark.parametrize("rate", [0, np.zeros(70)])
def test_rate_0_uses_no_random_number(x, rate):
    stream = MaskStream(0)
    dropout(x, rate, rng=stream)
    assert stream.draw(x.shape, rate).nbytes == stream.next_draw == 0


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("rate", [1, 1.0, np.ones(70)])
def test_rate_1_gives_zeros_even_of_nan(x, rate, training, scaling):
    if scaling == "inverted" and not training:
        pytest.skip("the input itself")
    x[:] = np.nan
    x[::2] = np.inf
    for y in (
        dropout(x, rate, rng=0, scaling=scaling, training=training),
        *(f(x, rate, scaling=scaling) for f in (by_mask, by_mask_again, by_seed) if training),
    ):
        np.testing.assert_array_equal(y, np.zeros_like(x), strict=True)
        assert not np.signbit(y).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_dropped_become_0_and_kept_pass(drop, x, bad):
    x[:] = bad
    y = drop(x, 0.5)
    kept = reference.keep(MaskStream(0).key, 0, x.shape, 0.5)
    assert 0 < kept.sum() < kept.size
    np.testing.assert_array_equal(y, np.where(kept, x, 0), strict=True)


@pytest.mark.parametrize(
    "rate, named",
    [(-0.1, "-0.1"), (1.5, "1.5"), (np.nan, "nan"), (np.inf, "inf"), (np.array([0.1, -2.0]), "-2"),
     (np.full(3, 0.5), r"\(3,\)"), (np.full((2, 30, 70), 0.5), r"\(2, 30, 70\)")],
)
def test_a_bad_rate_is_named(x, rate, named):
    stream = MaskStream(0)
    for call in (
        lambda: dropout(x, rate, rng=stream),
        lambda: dropout(x, rate, rng=stream, training=False),
        lambda: stream.draw(x.shape, rate),
    ):
        with pytest.raises(ValueError, match=named):
            call()
    assert stream.next_draw == 0


@pytest.mark.parametrize("rate", ["half", None, 0.5j, [0.1, "x"]])
def test_a_rate_that_is_no_number_is_named(x, rate):
    with pytest.raises(TypeError, match="rate must be"):
        dropout(x, rate)


@pytest.mark.parametrize(
    "dtype", ["int64", "uint8", "bool", "complex64", "object", "str", "longdouble"]
)
def test_other_dtypes_are_named(drop, dtype):
    with pytest.raises(TypeError, match=r"dtype .*(astype)"):
        drop(np.ones(4).astype(dtype), 0.5)


def test_a_refused_array_costs_no_draw():
    stream = MaskStream(0)
    for x, out in ((np.ones(3, int), None), (np.ones(3), np.ones(4)), (np.ones(3), "y")):
        with pytest.raises((TypeError, ValueError)):
            dropout(x, 0.5, rng=stream, out=out)
    with pytest.raises(ValueError, match="num_threads"):
        dropout(np.ones(3), 0.5, rng=stream, num_threads=0)
    assert stream.next_draw == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_has_the_same_mask(drop, x, dtype):
    x = x.astype(reference.dtype_named(dtype))
    y = drop(x, 0.3)
    assert y.dtype == x.dtype
    assert y.tobytes() == expected(x, 0.3).tobytes()


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2), (0, 0)])
def test_empty(drop, shape):
    assert drop(np.ones(shape, "f4"), 0.5).shape == shape
    assert drop(np.ones(shape, "f4"), 0.5, shared_axes=(0,)).shape == shape


def test_0_d(drop):
    y = drop(np.float32(3), 0.5)
    assert y.shape == () and y.dtype == np.float32
    assert y == expected(np.float32(3), 0.5)


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


LAYOUTS = {
    "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "reversed": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "fortran": np.asfortranarray,
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "read_only": read_only,
    "misaligned": misaligned,
    "byte_swapped": lambda x: x.astype(x.dtype.newbyteorder("S")),
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape),
    "list": lambda x: x.astype(float).tolist(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_have_the_mask_of_the_c_order_array(drop, x, layout):
    other = LAYOUTS[layout](x)
    before = np.array(other)
    y = drop(other, 0.3)
    assert y.dtype == before.dtype
    np.testing.assert_array_equal(y, expected(before, 0.3))
    np.testing.assert_array_equal(other, before)


@pytest.mark.parametrize("layout", ["strided", "reversed", "fortran", "misaligned", "byte_swapped"])
def test_out_may_have_any_layout(drop, x, layout):
    source = x.astype(x.dtype.newbyteorder("S")) if layout == "byte_swapped" else x
    out = LAYOUTS[layout](np.full_like(x, 7))
    assert drop(source, 0.3, out=out) is out
    np.testing.assert_array_equal(out, expected(x, 0.3))
    inside = LAYOUTS[layout](x)
    if inside.flags.writeable:
        assert drop(inside, 0.3, out=inside) is inside
        np.testing.assert_array_equal(inside, expected(x, 0.3))


@pytest.mark.thread_unsafe  # writes its fixture
def test_in_place(drop, x):
    want = expected(x, 0.3)
    assert drop(x, 0.3, out=x) is x
    np.testing.assert_array_equal(x, want)


@pytest.mark.parametrize(
    "make", [lambda x: x[1:], lambda x: np.empty((70, 30), "f4"), lambda x: x.astype("f8"),
             lambda x: read_only(x)],
    ids=["shorter", "shape", "dtype", "read_only"],
)
def test_an_out_that_does_not_fit_is_left_alone(drop, x, make):
    out = make(x)
    before = out.copy()
    with pytest.raises(ValueError, match="out"):
        drop(x, 0.3, out=out)
    np.testing.assert_array_equal(out, before)


def test_an_out_that_partly_overlaps_is_left_alone(drop):
    both = np.arange(100, dtype="f4")
    before = both.copy()
    with pytest.raises(ValueError, match="overlaps"):
        drop(both[:-1], 0.3, out=both[1:])
    np.testing.assert_array_equal(both, before)


def test_inference_returns_the_input_itself(x):
    stream = MaskStream(0)
    assert dropout(x, 0.5, rng=stream, training=False) is x
    assert stream.next_draw == 0
    out = np.empty_like(x)
    assert dropout(x, 0.5, training=False, out=out) is out
    np.testing.assert_array_equal(out, x)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("rate", [0.2, np.linspace(0, 1, 70)])
def test_inference_is_the_mean_of_training(x, scaling, rate):
    y = dropout(x, rate, training=False, scaling=scaling)
    k = reference.threshold(rate) / 2**32
    mean = k * reference.scale(rate, scaling)
    if scaling == "inverted":
        mean = 1.0
    np.testing.assert_allclose(y, x * np.asarray(mean, "f4"), rtol=1e-6)


@pytest.mark.big
def test_over_2_to_the_31_elements():
    size = 2**31 + 4_099
    x = np.ones(size, np.float16)
    assert dropout(x, 0.5, rng=0, out=x) is x
    kept = reference.keep(MaskStream(0).key, 0, (8_000,), 0.5, size - 8_000)
    np.testing.assert_array_equal(x[-8_000:], np.where(kept, np.float16(2), np.float16(0)))
    assert np.count_nonzero(x) == pytest.approx(size / 2, rel=1e-4)


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.01])
def test_the_mean_is_kept(rate):
    n = 1_000_000
    y = dropout(np.ones(n, "f4"), rate, rng=3)
    bound = 5 * np.sqrt(rate * (1 - rate) / n)
    assert abs((y == 0).mean() - rate) < bound
    assert abs(y.mean(dtype="f8") - 1) < bound / (1 - rate)


def test_masks_of_one_draw_are_nested():
    kept = [MaskStream(5).draw(10_000, rate).keep for rate in (0.9, 0.5, 0.4, 0.1)]
    assert all((small <= large).all() for small, large in pairwise(kept))


def test_a_slice_is_computed_alone(x):
    whole = MaskStream(9).draw(x.shape, 0.4).apply(x)
    part = MaskStream(9).draw((10, 70), 0.4, offset=7 * 70).apply(x[7:17])
    np.testing.assert_array_equal(part, whole[7:17])


def test_a_mask_is_its_own_adjoint(x):
    mask, v = MaskStream(0).make(Mask, x.shape, 0.3), x[::-1].copy()
    left = np.vdot(mask.apply(x).astype("f8"), v.astype("f8"))
    assert left == pytest.approx(np.vdot(x.astype("f8"), mask.apply(v).astype("f8")), rel=1e-6)
