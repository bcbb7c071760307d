"""Noise with a parameter, and standout, once more in plain NumPy."""

import numpy as np
import reference


def logistics(key, draw, offset, size):
    """log(u / (1 - u)) of the words, in float64."""
    u = (reference.words(key, draw, offset, size) + 0.5) / reference.ONE
    return np.log(u) - np.log1p(-u)


def sigmoid(x):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def gaussian(n, sigma):
    """Factor and slope, in the precision of n."""
    return 1 + np.asarray(sigma).astype(n.dtype) * n, n


def concrete(n, logit, temperature):
    """Factor and slope, in the precision of n."""
    kind = n.dtype.type
    p = sigmoid(np.asarray(logit, np.float64))
    scale = (1 + np.exp(np.asarray(logit, np.float64))).astype(n.dtype)
    z = sigmoid((np.asarray(logit).astype(n.dtype) + n) * kind(1 / temperature))
    kept = sigmoid(-(np.asarray(logit).astype(n.dtype) + n) * kind(1 / temperature))
    f = kept * scale
    return f, f * (p.astype(n.dtype) - z * kind(1 / temperature))


def summed(array, shape):
    """The sums of an array that belong to each element of a shape that broadcasts to it."""
    array = array.sum(axis=tuple(range(array.ndim - len(shape))))
    return array.sum(axis=tuple(a for a, n in enumerate(shape) if n == 1), keepdims=True).reshape(
        shape)


ACTIVATE = {
    "linear": (lambda z: z, np.ones_like),
    "relu": (lambda z: np.where(z <= 0, 0, z), lambda z: np.where(z <= 0, 0.0, 1.0)),
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z))),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "softplus": (lambda z: np.logaddexp(0, z), sigmoid),
}


def standout(z, r, m, activation, dy, a, b):
    """y, dz and dr; m is the decision, or None for its mean."""
    activate, slope = (f(z) for f in ACTIVATE[activation])
    k = sigmoid(a * r + b)
    gate = k if m is None else m
    return gate * activate, gate * slope * dy, a * dy * activate * k * (1 - k)
