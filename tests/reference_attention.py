"""Softmax with dropout, its backward, and whole heads, once more in plain NumPy."""

import numpy as np


def seen(shape, attention_mask=None, causal=False):
    allowed = np.ones(shape, bool) if attention_mask is None else attention_mask
    if causal:
        allowed = allowed & np.tri(shape[-2], shape[-1], dtype=bool)
    return np.broadcast_to(allowed, shape)


def softmax(scores, allowed, scale=1.0):
    """Stable, in float64 from the exponent on, which has the rounding of the scores' dtype."""
    t = np.where(allowed, scores * scores.dtype.type(scale), -np.inf).astype(scores.dtype)
    top = t.max(axis=-1, keepdims=True, initial=-np.inf)
    with np.errstate(invalid="ignore"):
        e = np.exp((t - np.where(top == -np.inf, 0, top)).astype(scores.dtype).astype("f8"))
        total = e.sum(axis=-1, keepdims=True)
        return e / np.where(total == 0, 1, total)


def softmax_dropout(scores, kept, factor, allowed, scale=1.0):
    return np.where(kept, softmax(scores, allowed, scale) * factor, 0)


def softmax_dropout_backward(dy, scores, kept, factor, allowed, scale=1.0):
    """The gradient of the scores, and how large the terms are that it is the difference of."""
    p = softmax(scores, allowed, scale)
    g = np.where(kept & allowed, dy.astype("f8") * factor, 0)
    dot = (p * g).sum(axis=-1, keepdims=True)
    size = abs(p * scale) * (abs(g) + abs(p * g).sum(axis=-1, keepdims=True))
    return np.where(allowed, scale * p * (g - dot), 0), size


def drop_head(x, kept):
    """``kept`` has shape (samples, heads), ``x`` (samples, heads, ...)."""
    scale = [row.size / row.sum() if row.any() else 0 for row in kept]
    y = np.zeros_like(x)
    for n, h in zip(*np.nonzero(kept), strict=True):
        y[n, h] = x[n, h] * x.dtype.type(scale[n])
    return y
