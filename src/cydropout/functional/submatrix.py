"""Some rows and columns of a matrix: gathered into a block of their own, and put back."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout._validate import check_array, check_number, check_shape

#: Rows, columns, how many of both there are, and the length of a row of the matrix.
Settings: TypeAlias = tuple[np.ndarray | None, np.ndarray | None, int, int, int]


class Submatrix:
    """Where a block lies in a matrix: in some of its rows, and some of its columns.

    Parameters
    ----------
    shape : tuple of ints
        The shape of the matrix, or ``(n,)`` for a vector, which counts as a row.
    rows, columns : array of int, or None
        Their numbers, ascending; None takes them all. A vector takes columns alone.

    Raises
    ------
    TypeError, ValueError
        If a number is no integer, lies outside the matrix, or does not rise.

    Attributes
    ----------
    block_shape : tuple of ints
        The shape of the block.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> functional.Submatrix((3, 4), rows=[0, 2], columns=[1])
    Submatrix(shape=(3, 4), block_shape=(2, 1))
    """

    __slots__ = ("block_shape", "columns", "rows", "settings", "shape")

    def __init__(
        self, shape: tuple[int, ...], rows: Any = None, columns: Any = None
    ) -> None:
        shape = check_shape(shape)
        if not 1 <= len(shape) <= 2 or (rows is not None and len(shape) == 1):
            raise ValueError(f"a submatrix lies in a matrix, or a vector without rows, not {shape}")
        height, width = (1, *shape)[-2:]
        self._set(
            shape, _check_sorted(rows, height, "rows"), _check_sorted(columns, width, "columns")
        )

    @classmethod
    def from_sorted(
        cls, shape: tuple[int, ...], rows: np.ndarray | None = None,
        columns: np.ndarray | None = None,
    ) -> Submatrix:
        """Return the same, of int64 arrays that are known to be right."""
        submatrix = cls.__new__(cls)
        submatrix._set(shape, rows, columns)
        return submatrix

    def _set(
        self, shape: tuple[int, ...], rows: np.ndarray | None, columns: np.ndarray | None
    ) -> None:
        self.shape, self.rows, self.columns = shape, rows, columns
        height, width = (1, *shape)[-2:]
        block = (
            height if self.rows is None else self.rows.size,
            width if self.columns is None else self.columns.size,
        )
        self.block_shape = block[-len(self.shape) :]
        self.settings: Settings = (self.rows, self.columns, *block, width)

    def check(self, name: str, array: Any, block: Any) -> int:
        """Return the kernels' number of the dtype; raise unless an array, of that name, fits."""
        for what, found, shape in ((name, array, self.shape), ("block", block, self.block_shape)):
            _arrays.check_ndarray(what, found)
            if found.dtype not in (np.float32, np.float64):
                raise TypeError(f"{what} must be of float32 or float64, not {found.dtype}")
            if found.shape != shape:
                raise ValueError(f"{what} has shape {found.shape}, but the submatrix takes {shape}")
            if not _arrays.is_ready(found):
                raise ValueError(f"{what} must be contiguous, aligned and native")
        if array.dtype != block.dtype:
            raise ValueError(f"{name} has dtype {array.dtype}, but the block {block.dtype}")
        return _arrays.dtype_code(array.dtype)

    def __repr__(self) -> str:
        return f"Submatrix(shape={self.shape}, block_shape={self.block_shape})"


def check_submatrix(submatrix: Any) -> None:
    """Raise unless it is a `Submatrix`."""
    if not isinstance(submatrix, Submatrix):
        raise TypeError(f"submatrix must be a functional.Submatrix, not {submatrix!r}")


def _check_sorted(index: Any, length: int, what: str) -> np.ndarray | None:
    if index is None:
        return None
    array = check_array(what, index)
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise TypeError(f"{what} must be integers along one axis, not {array.dtype} {array.shape}")
    array = np.array(array, np.int64)  # one that nobody else can change
    if array.size:
        if not (array[1:] > array[:-1]).all():
            raise ValueError(f"{what} must rise, not {array}")
        for value in (int(array[0]), int(array[-1])):
            if not 0 <= value < length:
                raise ValueError(f"{what} must lie between 0 and {length - 1}, not {value}")
    return array


def gather_submatrix(
    x: np.ndarray, submatrix: Submatrix, scale: float = 1.0, *, num_threads: int | None = None
) -> np.ndarray:
    """block[i, j] = scale x[rows[i], columns[j]].

    Parameters
    ----------
    x : array
        float32 or float64, in C order, of the submatrix's shape.
    submatrix : Submatrix
        Which rows and columns.
    scale : float
        A factor of all.
    num_threads : int, optional
        By default as many as the work is worth.

    Raises
    ------
    TypeError, ValueError
        If ``x`` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> x = np.arange(6.0).reshape(2, 3)
    >>> functional.gather_submatrix(x, functional.Submatrix((2, 3), columns=[0, 2]))
    array([[0., 2.],
           [3., 5.]])
    """
    check_submatrix(submatrix)
    _arrays.check_ndarray("x", x)
    check_number("scale", scale)
    block = np.empty(submatrix.block_shape, x.dtype.newbyteorder("="))
    code, threads = submatrix.check("x", x, block), check_num_threads(num_threads)
    api.gather_submatrix(x, block, *submatrix.settings, scale, code, threads)
    return block


def scatter_submatrix(
    block: np.ndarray, out: np.ndarray, submatrix: Submatrix, scale: float = 1.0, *,
    num_threads: int | None = None,
) -> np.ndarray:
    """out[rows[i], columns[j]] += scale block[i, j]; all else stays.

    Parameters
    ----------
    block : array
        Of the submatrix's ``block_shape`` and the dtype of ``out``.
    out : array
        float32 or float64, in C order, of the submatrix's shape.
    submatrix, scale, num_threads
        As for `gather_submatrix`.

    Returns
    -------
    array
        ``out``.

    Raises
    ------
    TypeError, ValueError
        If an array does not fit; nothing is changed.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> part = functional.Submatrix((2, 3), columns=[0, 2])
    >>> functional.scatter_submatrix(np.ones((2, 2)), np.zeros((2, 3)), part)
    array([[1., 0., 1.],
           [1., 0., 1.]])
    """
    check_submatrix(submatrix)
    check_number("scale", scale)
    code, threads = submatrix.check("out", out, block), check_num_threads(num_threads)
    _arrays.check_apart(out=out, block=block)
    if not out.flags.writeable:
        raise ValueError("out is read-only; pass a writeable array")
    api.scatter_submatrix(block, out, *submatrix.settings, scale, code, threads)
    return out
