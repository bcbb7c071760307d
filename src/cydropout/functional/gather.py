"""Rows of a table, and the sum of their gradients."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout.masks import BitMask
from cydropout.masks.base import check_mask


def _check_table(table: ArrayLike, mask: BitMask | None, what: str) -> tuple[np.ndarray, int]:
    array, code = _arrays.as_float_array(table, what)
    if array.ndim != 2:
        raise ValueError(f"{what} needs two axes, rows and columns, not the shape {array.shape}")
    check_mask(mask, array.shape, what)
    return array, code


def _row_plan(mask: BitMask | None) -> tuple[api.Plan | None, BitMask | None]:
    """Return what drops whole rows as they are picked, and a mask that needs a pass of its own."""
    plan = None if mask is None else mask.fused_plan((1,))
    return (plan, None) if plan is not None else (None, mask)


def gather(
    table: ArrayLike, index: ArrayLike, mask: BitMask | None = None, *,
    num_threads: int | None = None,
) -> np.ndarray:
    """y[...] = mask(table)[index[...]]: some rows of a table, each as often as it is named.

    Parameters
    ----------
    table : array of shape (rows, columns)
        float16, bfloat16, float32 or float64.
    index : array of int
        Of any shape.
    mask : Mask of the shape of the table, or None
        One that shares its decisions along axis 1 drops whole rows, of which only those that
        are picked are read.
    num_threads : int, optional
        By default as many as the work is worth.

    Returns
    -------
    array of shape ``(*index.shape, columns)``

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape does not fit, or an index is outside the table.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> functional.gather(np.array([[1.0, 2.0], [3.0, 4.0]]), [1, 0, 1])
    array([[3., 4.],
           [1., 2.],
           [3., 4.]])
    """
    array, code = _check_table(table, mask, "table")
    rows = _arrays.as_index_array(index, len(array), "index")
    threads = check_num_threads(num_threads)
    plan, later = _row_plan(mask)
    if later is not None:
        array = later.apply(array, num_threads=num_threads)
    columns = array.shape[1]
    y = np.empty((*rows.shape, columns), array.dtype.newbyteorder("="))
    api.gather(_arrays.contiguous(array), rows, y, columns, code, plan, threads)
    return y


def scatter_add(
    dy: ArrayLike, index: ArrayLike, out: np.ndarray, mask: BitMask | None = None, *,
    num_threads: int | None = None,
) -> np.ndarray:
    """out += the gradient of `gather` with respect to its table.

    A row is added to in the order of ``index``, whatever the number of threads.

    Parameters
    ----------
    dy : array of shape ``(*index.shape, columns)``
        The gradient of what `gather` gave, of the dtype of ``out``.
    index, mask, num_threads
        As for `gather`.
    out : array of shape (rows, columns)
        float32 or float64, in C order.

    Returns
    -------
    array
        ``out``.

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape does not fit, or an index is outside the table; nothing is changed.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> functional.scatter_add(np.ones((3, 2)), np.array([1, 1, 0]), np.zeros((2, 2)))
    array([[1., 1.],
           [2., 2.]])
    """
    _arrays.check_ndarray("out", out)
    _, code = _check_table(out, mask, "out")
    if code < 2:
        raise TypeError(f"out has dtype {out.dtype}; sums need float32 or float64")
    if not (_arrays.is_ready(out) and out.flags.writeable):
        raise ValueError("out must be writeable, aligned, native and in C order")
    rows = _arrays.as_index_array(index, len(out), "index")
    source, same = _arrays.as_float_array(dy, "dy")
    columns = out.shape[1]
    if source.shape != (*rows.shape, columns) or same != code:
        raise ValueError(
            f"dy has shape {source.shape} and dtype {source.dtype}, but the index and out ask for "
            f"{(*rows.shape, columns)} and {out.dtype}"
        )
    _arrays.check_apart(out=out, dy=source)
    threads = check_num_threads(num_threads)
    plan, later = _row_plan(mask)
    total = out if later is None else np.zeros_like(out)
    api.scatter_add(_arrays.contiguous(source), rows, total, columns, code, plan, threads)
    if later is not None:
        out += later.backward(total, num_threads=num_threads)
    return out
