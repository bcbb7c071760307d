"""Samples and targets as rows of which batches are made: of arrays, sparse matrices and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cydropout._validate import ArgumentTypeError, check_array, shown

Array = np.ndarray[Any, Any]


class SparseRows:
    """The rows of a sparse matrix, made dense where they are taken.

    Examples
    --------
    >>> from scipy.sparse import csc_array
    >>> rows = SparseRows("x", csc_array([[0, 1], [2, 0]]))
    >>> rows.shape, rows[1:]
    ((2, 2), array([[2, 0]]))
    """

    def __init__(self, name: str, matrix: Any) -> None:
        if matrix.ndim != 2:
            raise ValueError(f"{name} must be a sparse matrix, not of shape {matrix.shape}")
        self.matrix = matrix.tocsr()
        self.shape, self.dtype, self.ndim = self.matrix.shape, self.matrix.dtype, 2

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: Any) -> Array:
        dense: Array = self.matrix[rows].toarray()
        return dense

    def take(self, rows: Array, axis: int, out: Array, mode: str) -> Array:
        """Return the rows, in ``out``; the arguments are those of an array's method."""
        dense: Array = self.matrix[rows].toarray(out=out)
        return dense


def as_rows(name: str, values: Any) -> Any:
    """Return an array, or of a sparse matrix its rows; raise if ``values`` has no one meaning.

    Examples
    --------
    >>> as_rows("x", [[1.0, 2.0]])
    array([[1., 2.]])
    """
    if isinstance(values, SparseRows):
        return values
    if isinstance(values, (str, Mapping, set)):
        raise ArgumentTypeError(
            f"{name} must be an array, not a {type(values).__name__}; give the arrays in it apart"
        )
    if hasattr(values, "tocsr"):
        return SparseRows(name, values)
    try:
        array: Array = check_array(name, values)
    except ArgumentTypeError:
        raise
    except ValueError as error:
        raise ValueError(f"{name} must have samples of one shape: {error}") from None
    if array.dtype.kind in "OUST" and hasattr(values, "columns"):
        words = {
            str(column): str(values[column].dtype) for column in values.columns
            if np.asarray(values[column]).dtype.kind not in "biuf"
        }
        raise ArgumentTypeError(
            f"{name} has columns that are no numbers, {words or [*map(str, values.columns)]}; "
            "drop or encode them, and make all of one dtype"
        )
    return array


def check_pair(x: Any, y: Any, what: str) -> tuple[Any, Array]:
    """Return samples and targets as rows that are equally long and not empty."""
    names = ("x", "y") if what.startswith("x and y") else (f"{what}[0]", f"{what}[1]")
    x, y = map(as_rows, names, (x, y))
    if isinstance(y, SparseRows):
        y = y[:]
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError(f"{what} must have a first axis of samples, got {x.shape} and {y.shape}")
    if len(x) != len(y):
        raise ValueError(f"{what} must be equally long, got {len(x)} samples and {len(y)} targets")
    if len(x) == 0:
        raise ValueError(f"{what} must hold at least one sample, got none")
    return x, y


def check_samples(x: Any) -> Any:
    """Return samples as rows that are not empty."""
    rows = as_rows("x", x)
    if rows.ndim == 0 or len(rows) == 0:
        raise ValueError(f"x must hold at least one sample, got shape {rows.shape}")
    return rows


def check_each(targets: Array, right: Array, wanted: str, first: int = 0) -> None:
    """Raise, naming the first one and its place, if a target is not right."""
    if not right.all():
        place = int(np.argmin(right))
        value = targets.reshape(-1)[place]
        raise ValueError(f"{wanted}, got {value} at {place_of(place, targets.shape, first)}")


def check_weights(name: str, weight: Any, count: int | None = None) -> Array:
    """Return weights as float64, of ``count`` samples; raise, naming the first that is none.

    Examples
    --------
    >>> check_weights("sample_weight", [1, 2], 2)
    array([1., 2.])
    """
    array = check_array(name, weight)
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise ArgumentTypeError(f"{name} must be real numbers, not of dtype {array.dtype}")
    if array.ndim == 0:
        raise ValueError(f"{name} needs a number for each sample, not {shown(weight)} alone")
    if count is not None and len(array) != count:
        raise ValueError(f"{name} must have one for each of {count} samples, not {len(array)}")
    wide = array.astype(np.float64)
    check_each(array, (wide >= 0) & (wide < np.inf), f"{name} must be finite and at least 0")
    return wide


def spread(weight: Array, shape: tuple[int, ...], name: str = "weight") -> Array:
    """Return a weight for each position; one of a sample holds for all positions in it."""
    if weight.shape != shape[: weight.ndim]:
        raise ValueError(
            f"{name} of shape {weight.shape} does not fit; there can be one for each sample, "
            f"{shape[:1]}, or for each position, {shape}"
        )
    return np.broadcast_to(along(weight, len(shape)), shape)


def check_ends(name: str, lengths: Any, shape: tuple[int | None, ...] = (None, None)) -> Array:
    """Return the lengths of sequences as int64; raise, naming the first that cannot be one.

    ``shape`` begins with the number of sequences and of their positions, padding included, where
    these are known.

    Examples
    --------
    >>> check_ends("lengths", [3, 1], (2, 4))
    array([3, 1])
    """
    array = check_array(name, lengths)
    if array.dtype.kind not in "iu":
        hint = "; of a mask take mask.sum(axis=1)" if array.dtype.kind == "b" else ""
        raise ArgumentTypeError(f"{name} must be integers, not of dtype {array.dtype}{hint}")
    if array.ndim != 1:
        raise ValueError(f"{name} needs a number for each sequence, not shape {array.shape}")
    if len(shape) < 2:
        raise ValueError(f"{name} belong to sequences (n, time, ...), not to shape {shape}")
    count, time = shape[:2]
    if count is not None and len(array) != count:
        raise ValueError(f"{name} must have one for each of {count} samples, not {len(array)}")
    wide = array.astype(np.int64)
    right = (array >= 1) & (wide >= 1) if time is None else (array >= 1) & (array <= time)
    most = "" if time is None else f", and at most the {time} positions that there are"
    check_each(array, right, f"{name} must be at least 1{most}")
    return wide


def within(lengths: Array, time: int) -> Array:
    """Return which positions of sequences, ``(n, time)``, are no padding.

    Examples
    --------
    >>> within(np.array([2, 1]), 3)
    array([[ True,  True, False],
           [ True, False, False]])
    """
    inside: Array = np.arange(time) < lengths[:, None]
    return inside


def along(real: Array, ndim: int) -> Array:
    """Return what is known of each position with axes of 1 behind, to broadcast to ``ndim``."""
    shaped: Array = real.reshape(real.shape + (1,) * (ndim - real.ndim))
    return shaped


def unpadded(array: Array, real: Array) -> Array:
    """Return an array whose padding holds what is at the start, which fits whatever reads it."""
    filled: Array = np.where(along(real, array.ndim), array, array[:, :1])
    return filled


def place_of(place: int, shape: tuple[int, ...], first: int) -> str:
    """Return where a target lies: its number, or its numbers along several axes."""
    row, *rest = (int(index) for index in np.unravel_index(place, shape))
    return f"position {(row + first, *rest) if rest else row + first}"
