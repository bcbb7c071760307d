"""Products with a matrix that is masked for all rows or for each: the formula, to the bit."""

import numpy as np
import pytest
import reference
import reference_drop_connect as formula

from cydropout import MaskStream
from cydropout.functional import dropconnect, dropconnect_backward
from cydropout.masks import AlphaMask, GaussianMask, KeepMask

SIZES = [
    (rows, inputs, units) for rows in (0, 1, 3, 20) for inputs in (1, 7, 64)
    for units in (1, 5, 32, 33, 100)
]
LARGE = [(5, 70, 520), (3, 2, 20001), (6, 90, 2048)]


def operands(rows, inputs, units, dtype, nan=False):
    rng = np.random.default_rng(rows + inputs + units)
    arrays = [rng.standard_normal(shape).astype(dtype)
              for shape in ((rows, inputs), (inputs, units), (rows, units))]
    if nan:
        for array in arrays:
            array.flat[3::41], array.flat[5::53] = np.nan, np.inf
    return arrays


def check(mask, keep, x, weight, dy, threads):
    expected = (formula.forward(x, weight, keep, mask.scale),
                *formula.backward(dy, x, weight, keep, mask.scale))
    for count in threads:
        found = (dropconnect(x, weight, mask, num_threads=count),
                 *dropconnect_backward(dy, x, weight, mask, num_threads=count))
        for array, truth in zip(found, expected, strict=True):
            assert array.dtype == x.dtype and array.shape == truth.shape
            np.testing.assert_array_equal(array, truth)
        dx, dweight = dropconnect_backward(
            dy, x, weight, mask, input_gradient=False, num_threads=count
        )
        assert dx is None
        np.testing.assert_array_equal(dweight, found[2])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_products_are_the_formula_to_the_bit(build, size, dtype):
    x, weight, dy = operands(*size, dtype)
    mask = MaskStream(3).draw(size, 0.4, storage="seed")
    keep = reference.keep(mask.key, mask.draw, size, 0.4)
    check(mask, keep, x, weight, dy, (1, 3))


@pytest.mark.parametrize("storage", ["seed", "bits"])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("size", LARGE, ids=str)
def test_blocks_of_the_matrix_and_nan(build, size, rate, storage):
    x, weight, dy = operands(*size, "float32", nan=True)
    mask = MaskStream(3).draw(size, rate, storage=storage)
    check(mask, mask.keep, x, weight, dy, (1, 2, 5))
    assert mask.nbytes == (0 if storage == "seed" or rate == 0 else (mask.keep.size + 31) // 32 * 4)


@pytest.mark.parametrize("offset", [1, 2047, 2048, 2**39 - 77])
def test_slices_of_a_draw(build, offset):
    size = (6, 40, 100)
    x, weight, dy = operands(*size, "float64")
    mask = MaskStream(3).draw(size, 0.3, offset=offset, storage="seed")
    check(mask, reference.keep(mask.key, 0, size, 0.3, offset), x, weight, dy, (1, 2))


def test_rows_of_a_batch_have_the_masks_of_the_whole():
    x, weight, _ = operands(9, 30, 70, "float32")
    whole = dropconnect(x, weight, MaskStream(3).draw((9, 30, 70), 0.5))
    part = MaskStream(3).draw((5, 30, 70), 0.5, offset=4 * 30 * 70)
    assert dropconnect(x[4:], weight, part).tobytes() == whole[4:].tobytes()


def test_masks_that_are_given():
    size = (4, 7, 33)
    x, weight, dy = operands(*size, "float32")
    drawn = MaskStream(3).draw(size, 0.5)
    for mask in (KeepMask(size, drawn.keep, 2.0), drawn.with_keep(drawn.keep)):
        check(mask, drawn.keep, x, weight, dy, (1,))


@pytest.mark.parametrize("layout", ["F", "reversed", "swapped"])
def test_any_layout(layout):
    arrays = operands(4, 7, 32, "float64")
    mask = MaskStream(3).draw((4, 7, 32), 0.5)
    other = {
        "F": np.asfortranarray,
        "reversed": lambda v: np.ascontiguousarray(v[::-1])[::-1],
        "swapped": lambda v: v.astype(v.dtype.newbyteorder()),
    }[layout]
    x, weight, dy = map(other, arrays)
    np.testing.assert_array_equal(dropconnect(x, weight, mask), dropconnect(*arrays[:2], mask))
    for a, b in zip(dropconnect_backward(dy, x, weight, mask),
                    dropconnect_backward(arrays[2], *arrays[:2], mask), strict=True):
        np.testing.assert_array_equal(a, b)


def test_one_mask_for_all_rows():
    x, weight, dy = operands(6, 7, 5, "float64", nan=True)
    x, dy = np.nan_to_num(x, posinf=1.0), np.nan_to_num(dy, posinf=1.0)
    mask = MaskStream(3).draw((7, 5), 0.5).with_keep(np.isfinite(weight))
    thinned = np.where(mask.keep, weight * 2, 0)
    np.testing.assert_allclose(dropconnect(x, weight, mask), x @ thinned, rtol=1e-12)
    dx, dweight = dropconnect_backward(dy, x, weight, mask)
    np.testing.assert_allclose(dx, dy @ thinned.T, rtol=1e-12)
    np.testing.assert_allclose(dweight, np.where(mask.keep, 2 * x.T @ dy, 0), rtol=1e-12)
    nothing = MaskStream(3).draw((7, 5), 1.0)
    dirty = np.full((6, 7), np.nan)
    assert not dropconnect(dirty, weight, nothing).any()
    assert not any(a.any() for a in dropconnect_backward(dirty[:, :5], dirty, weight, nothing))


@pytest.mark.parametrize(
    "change, error, named",
    [
        ({"x": np.ones((3, 4), "f2")}, TypeError, "float16"),
        ({"x": np.ones((3, 4), "f4")}, TypeError, "float32"),
        ({"x": np.ones((3, 5))}, ValueError, r"\(3, 5\)"),
        ({"x": np.ones(4)}, ValueError, r"\(4,\)"),
        ({"mask": MaskStream(0).draw((4, 5), 0.5)}, ValueError, r"\(4, 5\)"),
        ({"mask": MaskStream(0).draw((2, 4, 6), 0.5)}, ValueError, r"\(2, 4, 6\)"),
        ({"mask": MaskStream(0).draw((3, 4, 6), 0.5, shared_axes=0)}, ValueError, "no shared axes"),
        ({"mask": MaskStream(0).draw((3, 4, 6), [0.1] * 5 + [0.2])}, ValueError, "one scale"),
        ({"mask": KeepMask((3, 4, 6), np.ones((3, 4, 6), bool), [1.0, 2.0, 3.0])}, ValueError,
         "one scale"),
        ({"mask": MaskStream(0).make(AlphaMask, (3, 4, 6), 0.5)}, ValueError, "one scale"),
        ({"mask": MaskStream(0).make(GaussianMask, (4, 6), 0.5)}, TypeError, "GaussianMask"),
        ({"num_threads": 0}, ValueError, "0"),
    ],
)
def test_what_does_not_fit_is_named(change, error, named):
    call = {"x": np.ones((3, 4)), "weight": np.ones((4, 6)),
            "mask": MaskStream(0).draw((3, 4, 6), 0.5), **change}
    with pytest.raises(error, match=named):
        dropconnect(**call)
    with pytest.raises(error, match=named):
        dropconnect_backward(np.ones((3, 6)), **call)


def test_a_gradient_of_another_shape_is_refused():
    mask = MaskStream(0).draw((3, 4, 6), 0.5)
    for dy in (np.ones((3, 5)), np.ones((3, 6), "f4")):
        with pytest.raises(ValueError, match="dy has shape"):
            dropconnect_backward(dy, np.ones((3, 4)), np.ones((4, 6)), mask)


def test_builds_agree_to_the_bit(each_build):
    x, weight, dy = operands(33, 130, 301, "float32")
    mask, found = MaskStream(1).draw((33, 130, 301), 0.3), set()
    for _ in each_build:
        found.add(b"".join(a.tobytes() for a in (
            dropconnect(x, weight, mask), *dropconnect_backward(dy, x, weight, mask))))
    assert len(found) == 1
