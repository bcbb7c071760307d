"""Bias, activation and dropout in one pass, and backward."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout._validate import check_choice, check_number
from cydropout.masks import BitMask
from cydropout.masks._sums import totals_for
from cydropout.masks.base import check_mask

#: The kernels' number of each activation.
ACTIVATIONS = {
    name: kind
    for kind, name in enumerate(
        ("linear", "relu", "sigmoid", "tanh", "softplus", "selu", "gelu")
    )
}
_TILE = api.TILE_SIZE


def _check_fused(
    z: Any, activation: str, mask: BitMask | None, a: float
) -> tuple[np.ndarray, int, int]:
    z, code = _arrays.as_float_array(z, "z")
    if code < 2:
        raise TypeError(f"z has dtype {z.dtype}; the fused passes need float32 or float64")
    kind = ACTIVATIONS[check_choice("activation", activation, ACTIVATIONS)]
    check_mask(mask, z.shape, "z")
    check_number("a, the sharpness of softplus,", a, "(0, inf)")
    return z, code, kind


def _extended_bias(bias: Any, z: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the bias repeated for a tile past its period, and the period."""
    native = z.dtype.newbyteorder("=")
    if bias is None:
        # -0.0 is what leaves every number as it is, -0.0 too.
        return np.full(_TILE + 1, -0.0, native), 1
    bias = _arrays.contiguous(_arrays.as_float_array(bias, "bias")[0], native)
    if bias.shape != z.shape[-1:]:
        raise ValueError(f"bias has shape {bias.shape}, but z has shape {z.shape}")
    return api.repeated(bias, bias.size + _TILE), max(bias.size, 1)


def fused_plan(mask: BitMask | None, z: np.ndarray) -> tuple[api.Plan, BitMask | None]:
    """Return the plan that runs in the same pass, and the mask that needs one of its own."""
    plan = None if mask is None else mask.fused_plan()
    if plan is not None:
        return plan, None
    return api.Plan(0, 0, 0, z.size, (2**32, 1.0), False), mask


def _place(
    out: np.ndarray | None, **inputs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return the result as the caller gets it, what the kernels write, and what they read."""
    arrays = list(inputs.values())
    if all(api.ready(array, out) >= 0 for array in arrays):
        y = np.empty(arrays[0].shape, arrays[0].dtype) if out is None else out
        return y, y, arrays
    if out is not None:
        for name, array in inputs.items():
            _arrays.check_out(out, array, name)
    sources = [_arrays.contiguous(array) for array in arrays]
    if out is None:
        out = np.empty(arrays[0].shape, arrays[0].dtype)
    y = out if _arrays.is_ready(out) else np.empty(out.shape, out.dtype.newbyteorder("="))
    return out, y, sources


def bias_activation_dropout(
    z: ArrayLike,
    bias: ArrayLike | None,
    activation: str,
    mask: BitMask | None,
    *,
    a: float = 1.0,
    out: np.ndarray | None = None,
    num_threads: int | None = None,
) -> np.ndarray:
    """y = mask(act(z + bias)), in one pass.

    Parameters
    ----------
    z : array of shape (..., n)
        float32 or float64.
    bias : array of shape (n,), or None
        Added to each row.
    activation : str
        "linear", "relu", "sigmoid", "tanh", "softplus", "selu" or "gelu".
    mask : Mask of the shape of z, or None
        The dropout that follows.
    a : float
        The sharpness of softplus, ``log(1 + exp(a x)) / a``.
    out : array, optional
        Where y goes; may be ``z``.
    num_threads : int, optional
        By default as many as the work is worth.

    Raises
    ------
    TypeError, ValueError
        If a dtype, a shape or the name of the activation does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, functional
    >>> z = np.array([[-1.0, 2.0, 3.0, 4.0]])
    >>> mask = MaskStream(0).draw(z.shape, 0.5)
    >>> functional.bias_activation_dropout(z, np.ones(4), "relu", mask)
    array([[0., 6., 0., 0.]])
    """
    z, code, kind = _check_fused(z, activation, mask, a)
    extended, columns = _extended_bias(bias, z)
    count = check_num_threads(num_threads)
    out, y, (z,) = _place(out, z=z)
    plan, later = fused_plan(mask, z)
    plan.forward(z, extended, y, code, kind, a, columns, count)
    if later is not None:
        later.apply(y, out=y, num_threads=num_threads)
    if y is not out:
        out[...] = y
    return out


def bias_activation_dropout_backward(
    dy: ArrayLike,
    z: ArrayLike,
    bias: ArrayLike | None,
    activation: str,
    mask: BitMask | None,
    *,
    a: float = 1.0,
    out: np.ndarray | None = None,
    num_threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """dz = act'(z + bias) mask(dy) and dbias = the sum of dz over its rows, in one pass.

    Parameters are those of `bias_activation_dropout`, with ``dy`` the gradient of its result and
    ``out`` the place for dz, which may be ``dy``.

    Returns
    -------
    dz : array of the shape of z
    dbias : array of shape (n,), or None without a bias
        The same to the bit for any number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, functional
    >>> z = np.array([[-1.0, 2.0, 3.0, 4.0]])
    >>> mask = MaskStream(0).draw(z.shape, 0.5)
    >>> dz, dbias = functional.bias_activation_dropout_backward(
    ...     np.ones((1, 4)), z, np.zeros(4), "relu", mask)
    >>> dz
    array([[0., 2., 0., 0.]])
    """
    z, code, kind = _check_fused(z, activation, mask, a)
    dy, same = _arrays.as_float_array(dy, "dy")
    if dy.shape != z.shape or same != code:
        raise ValueError(
            f"dy has shape {dy.shape} and dtype {dy.dtype}, but z has {z.shape} and {z.dtype}"
        )
    extended, columns = _extended_bias(bias, z)
    count = check_num_threads(num_threads)
    out, dz, (dy, z) = _place(out, dy=dy, z=z)
    plan, later = fused_plan(mask, z)
    if later is not None:
        dy = later.backward(dy, num_threads=num_threads)
    totals = totals_for(z.size, columns, dz.dtype)
    plan.backward(dy, z, extended, dz, totals, code, kind, a, columns, count)
    if dz is not out:
        out[...] = dz
    if bias is None:
        return out, None
    return out, api.folded(totals, columns)[: z.shape[-1]]
