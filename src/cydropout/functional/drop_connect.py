"""The product of DropConnect: a matrix of which entries are dropped, for all rows or for each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout._validate import check_flag
from cydropout.masks import BitMask

#: The kernels work on so many columns at a time.
_WORD = 32


def dropconnect(
    x: ArrayLike, weight: ArrayLike, mask: BitMask, *, num_threads: int | None = None
) -> np.ndarray:
    """y[n] = x[n] mask(W), or with a mask for each row y[n] = x[n] mask[n](W).

    With a mask for each row, a dropped product is 0 by selection, whatever its factors are, and
    the sum goes over ascending inputs. The masked matrices never exist: bits that are not stored
    are drawn on the way.

    Parameters
    ----------
    x : array of shape (n, inputs)
        float32 or float64.
    weight : array of shape (inputs, units)
        Of the dtype of x.
    mask : Mask or KeepMask of shape (inputs, units) or (n, inputs, units)
        With a row for each sample it must have one scale for all, and share no axis.
    num_threads : int, optional
        By default as many as the work is worth. A product with one matrix for all rows runs on the
        threads of BLAS.

    Returns
    -------
    array of shape (n, units)

    Raises
    ------
    TypeError, ValueError
        If a dtype, a shape or the mask does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, functional
    >>> x, weight = np.ones((2, 3)), np.ones((3, 2))
    >>> mask = MaskStream(0).draw((2, 3, 2), 0.5)
    >>> functional.dropconnect(x, weight, mask)
    array([[4., 2.],
           [2., 2.]])
    """
    x, weight, code, scale, plan = _checked(x, weight, mask)
    count = check_num_threads(num_threads)
    if plan is None:
        if not np.any(scale):  # not NaN times 0 where all is dropped
            return np.zeros((x.shape[0], weight.shape[1]), x.dtype)
        matrix = mask.apply(weight, num_threads=num_threads)
        product: np.ndarray = np.matmul(x, matrix)
        return product
    units = weight.shape[1]
    wide = _padded(weight)
    y = np.zeros((x.shape[0], wide.shape[1]), x.dtype)
    if y.size:
        api.connect(plan, _times(x, scale), wide, y, code, units, count)
    return np.ascontiguousarray(y[:, :units])


def dropconnect_backward(
    dy: ArrayLike,
    x: ArrayLike,
    weight: ArrayLike,
    mask: BitMask,
    *,
    input_gradient: bool = True,
    weight_gradient: bool = True,
    num_threads: int | None = None,
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """dx[n] = dy[n] mask[n](W).T and dW = the sum over n of mask[n](x[n].T dy[n]).

    Parameters are those of `dropconnect`, with ``dy`` the gradient of its result.

    Returns
    -------
    dx : array of the shape of x, or None without ``input_gradient``
    dweight : array of the shape of weight, or None without ``weight_gradient``
        With a mask for each row, the same to the bit for any number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, functional
    >>> x, weight = np.ones((2, 3)), np.ones((3, 2))
    >>> mask = MaskStream(0).draw((2, 3, 2), 0.5)
    >>> dx, dweight = functional.dropconnect_backward(np.ones((2, 2)), x, weight, mask)
    >>> dweight
    array([[2., 2.],
           [0., 0.],
           [4., 2.]])
    """
    x, weight, code, scale, plan = _checked(x, weight, mask)
    check_flag("input_gradient", input_gradient)
    check_flag("weight_gradient", weight_gradient)
    dy = _native(_arrays.as_float_array(dy, "dy")[0])
    if dy.shape != (x.shape[0], weight.shape[1]) or dy.dtype != x.dtype:
        raise ValueError(
            f"dy has shape {dy.shape} and dtype {dy.dtype}, but the product "
            f"{(x.shape[0], weight.shape[1])} and {x.dtype}"
        )
    count = check_num_threads(num_threads)
    if plan is None:
        dweight = None
        if weight_gradient:
            product: np.ndarray = np.matmul(x.T, dy)
            dweight = mask.backward(product, out=product, num_threads=num_threads)
        if not input_gradient:
            return None, dweight
        if not np.any(scale):
            return np.zeros(x.shape, x.dtype), dweight
        return np.matmul(dy, mask.apply(weight, num_threads=num_threads).T), dweight
    units = weight.shape[1]
    wide = _padded(weight)
    summed = np.zeros(wide.shape, x.dtype)
    dx = np.zeros(x.shape, x.dtype) if input_gradient else None
    if x.size and units:
        api.connect_backward(
            plan, _padded(_times(dy, scale)), _arrays.contiguous(x), wide, dx, summed, code,
            units, count,
        )
    return dx, np.ascontiguousarray(summed[:, :units]) if weight_gradient else None


def _checked(
    x: Any, weight: Any, mask: Any
) -> tuple[np.ndarray, np.ndarray, int, Any, api.Plan | None]:
    """Return the operands, their dtype's number, the scale, and the plan of a mask of each row."""
    x, code = _arrays.as_float_array(x, "x")
    weight, other = _arrays.as_float_array(weight, "weight")
    if code < 2 or other != code:
        raise TypeError(
            f"x has dtype {x.dtype} and weight {weight.dtype}; both must be float32, or float64"
        )
    if x.ndim != 2 or weight.ndim != 2 or x.shape[1] != weight.shape[0]:
        raise ValueError(
            f"x has shape {x.shape} and weight {weight.shape}; they must be (n, inputs) and "
            "(inputs, units)"
        )
    if not isinstance(mask, BitMask):
        raise TypeError(f"mask must be a Mask or a KeepMask, not {type(mask).__name__}")
    if mask.shape not in (weight.shape, (x.shape[0], *weight.shape)):
        raise ValueError(
            f"the mask has shape {mask.shape}; it must be {weight.shape}, or for a mask of each "
            f"row {(x.shape[0], *weight.shape)}"
        )
    scale, plan = mask.scale, None
    if len(mask.shape) == 3:
        plan = mask.fused_plan()
        if plan is None or not isinstance(scale, float):
            raise ValueError(f"a mask of each row must have one scale and no shared axes: {mask!r}")
    return _native(x), _native(weight), code, scale, plan


def _native(x: np.ndarray) -> np.ndarray:
    return x.astype(x.dtype.newbyteorder("="), copy=False)


def _times(x: np.ndarray, scale: float) -> np.ndarray:
    """Return x times what kept entries are multiplied by, as the kernels want it."""
    with np.errstate(over="ignore", invalid="ignore"):
        y: np.ndarray = _arrays.contiguous(x) * x.dtype.type(scale)
    return y


def _padded(x: np.ndarray) -> np.ndarray:
    """Return x with a multiple of 32 columns, as the kernels want it."""
    rows, columns = x.shape
    if columns % _WORD == 0:
        return _arrays.contiguous(x)
    wide = np.zeros((rows, -(-columns // _WORD) * _WORD), x.dtype)
    wide[:, :columns] = x
    return wide
