"""Exact subsets: the plain algorithm, the right counts, and every pair equally likely."""

import numpy as np
import pytest
import reference_sequence
from reference import dtype_named

from cydropout import MaskStream
from cydropout._kernels import api
from cydropout.masks import ColumnMask, TokenMask, subset

KEY, DRAW = 0x299F31D0A4093822, 0x370734413198A2E
tokens = TokenMask.from_indices
DTYPES = ["float16", "bfloat16", "float32", "float64"]


@pytest.mark.parametrize("offset", [0, 1, 63, 130, 2**39 - 77])
@pytest.mark.parametrize(
    "rows, size, count",
    [(1, 1, 1), (1, 5, 0), (3, 7, 7), (1, 64, 3), (5, 10, 9), (70, 13, 4), (9, 197, 98), (0, 4, 2)],
)
def test_selection_sampling(build, rows, size, count, offset):
    expected = reference_sequence.subset(KEY, DRAW, rows, size, count, offset)
    flags = np.zeros((rows, size), bool)
    np.put_along_axis(flags, expected, True, axis=1)
    for threads in (1, 2, 3):
        found = api.subset(KEY, DRAW, offset, rows, size, count, False, threads)
        assert found.dtype == np.int64 and found.shape == (rows, count)
        np.testing.assert_array_equal(found, expected)
        found = api.subset(KEY, DRAW, offset, rows, size, count, True, threads)
        assert found.dtype == bool and found.shape == (rows, size)
        np.testing.assert_array_equal(found, flags)
        options = {"offset": offset, "num_threads": threads}
        np.testing.assert_array_equal(subset(KEY, DRAW, rows, size, count, **options), expected)
        np.testing.assert_array_equal(
            subset(KEY, DRAW, rows, size, count, flags=True, **options), flags)
        stream = MaskStream.from_state(KEY, DRAW)
        mask = stream.make(ColumnMask, (rows, size), count, per_sample=True, num_threads=threads)
        assert stream.next_draw == DRAW + (0 < count < size)
        assert mask.draw == (DRAW if 0 < count < size else None)


def test_rows_can_be_drawn_alone():
    whole = subset(KEY, DRAW, 10, 30, 7)
    np.testing.assert_array_equal(subset(KEY, DRAW, 4, 30, 7, offset=6 * 30), whole[6:])


def test_each_pair_is_as_likely_as_any_other():
    rows, size, count = 100_000, 9, 4
    chosen = np.zeros((rows, size))
    taken = subset(MaskStream(0).key, 0, rows, size, count)
    assert (np.diff(taken, axis=1) > 0).all()
    np.put_along_axis(chosen, taken, 1, axis=1)
    together = chosen.T @ chosen / rows
    one, two = count / size, count * (count - 1) / (size * (size - 1))
    expected = np.full((size, size), two)
    np.fill_diagonal(expected, one)
    bound = 5 * np.sqrt(expected * (1 - expected) / rows)
    assert (np.abs(together - expected) < bound).all()
    # And rows do not know of each other.
    neighbours = chosen[:-1].T @ chosen[1:] / (rows - 1)
    assert (np.abs(neighbours - one**2) < 5 * np.sqrt(one**2 * (1 - one**2) / rows)).all()


@pytest.mark.parametrize(
    "rows, size, count, error, named",
    [
        (1, 3, 4, ValueError, "4 of 3"),
        (-1, 3, 2, ValueError, "-1"),
        (1, 3, -2, ValueError, "-2"),
        (1, 2**33, 2, ValueError, str(2**33)),
        (1, 3, 1.5, TypeError, "1.5"),
    ],
)
def test_bad_numbers_are_named_and_take_no_draw(rows, size, count, error, named):
    stream = MaskStream(0)
    with pytest.raises(error, match=named):
        subset(KEY, DRAW, rows, size, count)
    with pytest.raises(error, match=named):
        stream.make(TokenMask, (rows, size), count)
    assert stream.next_draw == 0


@pytest.mark.parametrize("per_sample", [False, True])
def test_a_column_mask_keeps_so_many_columns(per_sample):
    mask = MaskStream(0).make(ColumnMask, (40, 11), 4, 2.75, per_sample=per_sample)
    chosen = reference_sequence.subset(MaskStream(0).key, 0, 40 if per_sample else 1, 11, 4)
    keep = np.zeros((len(chosen), 11), bool)
    np.put_along_axis(keep, chosen, True, axis=1)
    np.testing.assert_array_equal(mask.keep, np.broadcast_to(keep, (40, 11)))
    np.testing.assert_array_equal(mask.apply(np.ones((40, 11))), 2.75 * mask.keep)


@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.parametrize("token", [(), (1,), (5,), (40, 3), (3000,), (0,)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_tokens_and_their_gradients(build, dtype, token, num_threads):
    dtype = dtype_named(dtype)
    shape = (6, 11, *token)
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    x[:, ::3] = np.nan
    mask = MaskStream(0).make(TokenMask, shape, 4, prefix=2)
    assert mask.indices.shape == (6, 6) and (mask.indices[:, :2] == [0, 1]).all()
    rows = np.arange(6)[:, None]
    y = mask.apply(x, num_threads=num_threads)
    assert y.dtype == dtype and y.tobytes() == x[rows, mask.indices].tobytes()
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    expected = np.zeros(shape, dtype)
    expected[rows, mask.indices] = dy
    assert mask.backward(dy, num_threads=num_threads).tobytes() == expected.tobytes()
    for other in (np.asfortranarray(x), x[::-1].copy()[::-1], x.astype(x.dtype.newbyteorder())):
        assert mask.apply(other).dtype == other.dtype
        np.testing.assert_array_equal(mask.apply(other).astype("f8"), y.astype("f8"))


@pytest.mark.parametrize(
    "call, error, named",
    [
        (lambda: tokens((2, 5), [[0, 1], [0, 5]]), ValueError, "5"),
        (lambda: tokens((2, 5), [[0, 1], [-1, 1]]), ValueError, "-1"),
        (lambda: tokens((2, 5), [[0, 1], [3, 3]]), ValueError, "token 3"),
        (lambda: tokens((2, 5), [[0.0], [1.0]]), TypeError, "float64"),
        (lambda: tokens((2, 5), [0, 1]), ValueError, r"\(2,\)"),
        (lambda: tokens((2, 5), [[0, 1]]), ValueError, r"\(1, 2\)"),
        (lambda: tokens((5,), [[0, 1]]), ValueError, r"\(5,\)"),
        (lambda: tokens((1, 2), [[1]]).apply(np.ones((2, 2))), ValueError, r"\(2, 2\)"),
        (lambda: tokens((1, 2), [[1]]).apply(np.ones((1, 2), int)), TypeError, "int64"),
        (lambda: tokens((1, 2), [[1]]).backward(np.ones((1, 2))), ValueError, r"\(1, 1\)"),
    ],
)
def test_what_does_not_fit_is_named(call, error, named):
    with pytest.raises(error, match=named):
        call()
