"""Softmax of attention scores with dropout of the weights, in one pass, and backward."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout._validate import check_array, check_flag, check_number, check_shape
from cydropout.masks import BitMask
from cydropout.masks.base import check_mask


class AttentionMask:
    """Which keys each query sees, checked and packed: to be used by more than one pass.

    Parameters
    ----------
    seen : array of bool
        True where a key is seen. It broadcasts to ``shape``.
    shape : tuple of ints
        The shape of the scores, (..., queries, keys).

    Raises
    ------
    TypeError
        If ``seen`` is not of dtype bool.
    ValueError
        If it does not broadcast to ``shape``.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> functional.AttentionMask([True, True, False], (2, 3)).shape
    (2, 3)
    """

    def __init__(self, seen: ArrayLike, shape: tuple[int, ...]) -> None:
        array, shape = check_array("attention_mask", seen), check_shape(shape)
        if not shape:
            raise ValueError("shape must end with the number of keys, not be ()")
        if array.dtype != np.bool_:
            raise TypeError(
                "attention_mask must be an array of bool, True where a key is seen, not of "
                f"{array.dtype}; what is to be added, add to the scores"
            )
        try:
            np.broadcast_to(array, shape)
        except ValueError:
            raise ValueError(
                f"attention_mask has shape {array.shape}, which does not broadcast to {shape}"
            ) from None
        self.shape, keys = shape, shape[-1]
        rows = np.broadcast_to(array, (*array.shape[:-1], keys))
        octets = np.zeros((*rows.shape[:-1], (keys + 31) // 32 * 4), np.uint8)
        octets[..., : (keys + 7) // 8] = np.packbits(rows, axis=-1, bitorder="little")
        words = octets.view("<u4").astype(np.uint32, copy=False)
        places = np.arange(np.prod(words.shape[:-1], dtype=np.int64), dtype=np.uint64)
        #: Rows of packed bits, and which of them each row of the scores takes.
        self.bits = words.reshape(places.size, words.shape[-1])
        which = np.broadcast_to(places.reshape(words.shape[:-1]), shape[:-1])
        self.which = np.ascontiguousarray(which)


def softmax_dropout(
    scores: ArrayLike,
    mask: Any = None,
    *,
    attention_mask: ArrayLike | AttentionMask | None = None,
    causal: bool = False,
    scale: float = 1.0,
    out: np.ndarray | None = None,
    num_threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """y = mask(softmax(scale * scores)) along the last axis, in one pass.

    Of a key that a query does not see, neither the score nor its NaN counts, and the weight is 0;
    a query that sees no key, or none above -inf, has the weights 0.

    Parameters
    ----------
    scores : array of shape (..., queries, keys)
        float16, bfloat16, float32 or float64; 16 bits are computed in float32 and rounded once.
    mask : Mask of the shape of scores, or None
        The dropout of the weights. One that draws a bit for each element runs in the same pass;
        others get a pass of their own.
    attention_mask : array of bool or AttentionMask, optional
        True where a key is seen; it broadcasts to the scores.
    causal : bool
        Query ``i`` sees the keys 0 to ``i`` alone.
    scale : float
        Of the scores, such as ``features ** -0.5``.
    out : array, optional
        Where y goes; may be ``scores``, which a backward pass then lacks.
    num_threads : int, optional
        By default as many as the work is worth.

    Returns
    -------
    y : array
        The weights, of the shape and dtype of ``scores``.
    statistics : array of shape (..., queries, 2)
        For each row ``m``, the greatest of ``scale * scores``, and ``1 / sum(exp(scale * scores -
        m))``: what the backward pass needs. Both are 0 where nothing is seen.

    Raises
    ------
    TypeError, ValueError
        If a dtype, a shape or the scale does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> y, _ = functional.softmax_dropout(np.zeros((2, 2)), causal=True)
    >>> y
    array([[1. , 0. ],
           [0.5, 0.5]])
    """
    given, x, code = _check_scores(scores, causal, scale)
    threads = check_num_threads(num_threads)
    bits, which = _seen(attention_mask, x.shape)
    if out is not None:
        _arrays.check_out(out, given, "scores")
    keep, factor, later = _within(mask, x.shape, threads)
    fits = out is not None and out.dtype == x.dtype and _arrays.is_ready(out)
    y = out if out is not None and fits else np.empty_like(x)
    statistics = np.zeros((*x.shape[:-1], 2), x.dtype)
    api.softmax(x, y, statistics, keep, bits, which, causal, scale, factor, code, threads)
    if later is not None:
        later.apply(y, out=y, num_threads=num_threads)
    if out is None:
        return y.astype(given.dtype, copy=False), statistics
    if y is not out:
        out[...] = y
    return out, statistics


def softmax_dropout_backward(
    dy: ArrayLike,
    scores: ArrayLike,
    statistics: np.ndarray,
    mask: Any = None,
    *,
    attention_mask: ArrayLike | AttentionMask | None = None,
    causal: bool = False,
    scale: float = 1.0,
    num_threads: int | None = None,
) -> np.ndarray:
    """dscores = scale * p * (g - sum(p * g)), with p the softmax anew and g = mask(dy).

    Parameters are those of `softmax_dropout`, with ``dy`` the gradient of its result and
    ``statistics`` what it returned. Where a key is not seen the gradient is 0.

    Returns
    -------
    array
        Of the shape and dtype of ``scores``.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> scores = np.zeros((2, 2))
    >>> y, statistics = functional.softmax_dropout(scores)
    >>> functional.softmax_dropout_backward(np.eye(2), scores, statistics)
    array([[ 0.25, -0.25],
           [-0.25,  0.25]])
    """
    given, x, code = _check_scores(scores, causal, scale)
    threads = check_num_threads(num_threads)
    gradient, _ = _arrays.as_float_array(dy, "dy")
    if gradient.shape != x.shape:
        raise ValueError(f"dy has shape {gradient.shape}, but the scores have shape {x.shape}")
    rows, same = _arrays.as_float_array(statistics, "statistics")
    if rows.shape != (*x.shape[:-1], 2) or same != code:
        raise ValueError(
            f"statistics have dtype {rows.dtype} and shape {rows.shape}, but the scores need "
            f"{x.dtype} and {(*x.shape[:-1], 2)}: those that softmax_dropout returned"
        )
    bits, which = _seen(attention_mask, x.shape)
    keep, factor, later = _within(mask, x.shape, threads)
    if later is not None:
        gradient = later.backward(gradient, num_threads=num_threads)
    g, dx = _arrays.contiguous(gradient, x.dtype), np.empty_like(x)
    rows = _arrays.contiguous(rows)
    api.softmax_backward(g, x, dx, rows, keep, bits, which, causal, scale, factor, code, threads)
    return dx.astype(given.dtype, copy=False)


def _check_scores(scores: Any, causal: bool, scale: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the scores as they came and as the kernels read them, and the kernels' dtype."""
    given, code = _arrays.as_float_array(scores, "scores")
    check_flag("causal", causal)
    if given.ndim < 1 + bool(causal):
        raise ValueError(f"scores need the axes (..., queries, keys), not the shape {given.shape}")
    check_number("scale", scale)
    x = _arrays.contiguous(given, np.float64 if code == 3 else np.float32)
    return given, x, _arrays.dtype_code(x.dtype)


def _seen(
    attention_mask: ArrayLike | AttentionMask | None, shape: tuple[int, ...]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    if attention_mask is None:
        return None, None
    if not isinstance(attention_mask, AttentionMask):
        attention_mask = AttentionMask(attention_mask, shape)
    elif attention_mask.shape != shape:
        raise ValueError(
            f"attention_mask is for scores of shape {attention_mask.shape}, not {shape}"
        )
    return attention_mask.bits, attention_mask.which


def _within(
    mask: Any, shape: tuple[int, ...], threads: int
) -> tuple[np.ndarray | None, float, Any]:
    """Return the bits and the scale that run in the same pass, or the mask that cannot."""
    check_mask(mask, shape, "scores")
    if mask is None:
        return None, 1.0, None
    plan = mask.fused_plan() if isinstance(mask, BitMask) else None
    if plan is None or not isinstance(mask.scale, float):
        return None, 1.0, mask
    return plan.bits(threads), mask.scale, None
