"""Layer normalization along the last axis, in one pass, and backward."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout._validate import check_number


def layer_norm(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike,
    *,
    epsilon: float = 1e-5,
    num_threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """y = (x - mean) / sqrt(variance + epsilon) * weight + bias, with those of each row.

    A row lies along the last axis; its variance is the mean square of the deviations.

    Parameters
    ----------
    x : array of shape (..., n)
        float32 or float64.
    weight, bias : array of shape (n,)
        Of the dtype of ``x``.
    epsilon : float
        Above 0, so that a row whose elements are alike becomes ``bias``.
    num_threads : int, optional
        By default as many as the work is worth.

    Returns
    -------
    y : array
        Of the shape and dtype of ``x``.
    statistics : array of shape (..., 2)
        For each row the mean and ``1 / sqrt(variance + epsilon)``: what the backward pass needs.

    Raises
    ------
    TypeError, ValueError
        If a dtype, a shape or epsilon does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> y, _ = functional.layer_norm(np.array([[1.0, 3.0]]), np.ones(2), np.zeros(2))
    >>> y.round(3)
    array([[-1.,  1.]])
    """
    array, code = _check_rows(x, "x")
    check_epsilon(epsilon)
    scale, shift = (_padded(p, name, array) for p, name in ((weight, "weight"), (bias, "bias")))
    threads = check_num_threads(num_threads)
    y, statistics = np.empty_like(array), np.empty((*array.shape[:-1], 2), array.dtype)
    api.layer_norm(array, y, statistics, scale, shift, epsilon, code, threads)
    return y, statistics


def layer_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    statistics: np.ndarray,
    weight: ArrayLike,
    *,
    num_threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dx = s (g - mean(g) - z mean(g z)), with z the normalized row, g = weight dy, in one pass.

    Parameters are those of `layer_norm`, with ``dy`` the gradient of its result, ``statistics``
    what it returned, and s the second of them.

    Returns
    -------
    dx : array of the shape of x
    dweight, dbias : array of shape (n,)
        The sums of ``dy z`` and of ``dy`` over the rows; the same to the bit for any number of
        threads.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> x, weight = np.array([[1.0, 3.0, 2.0]]), np.ones(3)
    >>> y, statistics = functional.layer_norm(x, weight, np.zeros(3))
    >>> dx, dweight, dbias = functional.layer_norm_backward(np.ones((1, 3)), x, statistics, weight)
    >>> dbias
    array([1., 1., 1.])
    """
    array, code = _check_rows(x, "x")
    gradient, _ = _check_rows(dy, "dy")
    if gradient.shape != array.shape or gradient.dtype != array.dtype:
        raise ValueError(
            f"dy has shape {gradient.shape} and dtype {gradient.dtype}, but x has {array.shape} "
            f"and {array.dtype}"
        )
    rows = _arrays.contiguous(_arrays.as_float_array(statistics, "statistics")[0])
    if rows.shape != (*array.shape[:-1], 2) or rows.dtype != array.dtype:
        raise ValueError(
            f"statistics have dtype {rows.dtype} and shape {rows.shape}, but x needs "
            f"{array.dtype} and {(*array.shape[:-1], 2)}: those that layer_norm returned"
        )
    scale = _padded(weight, "weight", array)
    threads = check_num_threads(num_threads)
    dx = np.empty_like(array)
    totals = np.zeros((api.chunks_for(array.size), 2, scale.size), array.dtype)
    api.layer_norm_backward(gradient, array, dx, totals, rows, scale, code, threads)
    dweight, dbias = totals.sum(axis=0)[:, : array.shape[-1]]
    return dx, dweight, dbias


def check_epsilon(epsilon: float) -> float:
    """Return ``epsilon`` as a float, or raise naming the value that cannot be one."""
    return check_number("epsilon", epsilon, "(0, inf)")


def _check_rows(x: ArrayLike, what: str) -> tuple[np.ndarray, int]:
    array, code = _arrays.as_float_array(x, what)
    if code < 2:
        raise TypeError(f"{what} has dtype {array.dtype}; layer_norm needs float32 or float64")
    if not array.ndim or not array.shape[-1]:
        raise ValueError(f"{what} needs features along its last axis, not the shape {array.shape}")
    return _arrays.contiguous(array), code


def _padded(parameter: ArrayLike, name: str, x: np.ndarray) -> np.ndarray:
    """Return a parameter followed by zeros, up to a whole number of 64 bytes."""
    given, code = _arrays.as_float_array(parameter, name)
    if given.shape != x.shape[-1:] or code != _arrays.dtype_code(x.dtype):
        raise ValueError(
            f"{name} has shape {given.shape} and dtype {given.dtype}, but x needs {x.shape[-1:]} "
            f"and {x.dtype}"
        )
    group = 64 // x.itemsize
    padded = np.zeros(-(-given.size // group) * group, x.dtype)
    padded[: given.size] = given
    return padded
