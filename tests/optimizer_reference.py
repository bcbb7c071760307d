"""The optimizers in plain NumPy, one line for each line of their formula."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Array = np.ndarray


def sgd(
    w: Array, lr: float, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
) -> Iterator[Array]:
    """Take gradients by ``send`` and yield the parameters."""
    velocity = np.zeros_like(w)
    while True:
        g = yield w
        g = g + weight_decay * w
        velocity = momentum * velocity + g
        w = w - lr * (g + momentum * velocity if nesterov else velocity)


def adam(
    w: Array,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
) -> Iterator[Array]:
    """Take gradients by ``send`` and yield the parameters."""
    m, v, t = np.zeros_like(w), np.zeros_like(w), 0
    while True:
        g = yield w
        t += 1
        w = w - lr * weight_decay * w
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w = w - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)


def rmsprop(w: Array, lr: float, rho: float = 0.9, epsilon: float = 1e-8) -> Iterator[Array]:
    """Take gradients by ``send`` and yield the parameters."""
    v = np.zeros_like(w)
    while True:
        g = yield w
        v = rho * v + (1 - rho) * g**2
        w = w - lr * g / (np.sqrt(v) + epsilon)
