"""The optimizers in plain NumPy, one line for each line of their formula, and the table of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from cydropout.training.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop

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


# Ours, the reference, and PyTorch's class, or None, with its names for the same settings.
Case: TypeAlias = tuple[
    Callable[[], Optimizer], Callable[[Any], Any], str | None, dict[str, Any]]
CASES: dict[str, Case] = {
    "sgd": (lambda: SGD(0.1), lambda w: sgd(w, 0.1), "SGD", {"lr": 0.1}),
    "sgd-decay": (
        lambda: SGD(0.1, weight_decay=0.02),
        lambda w: sgd(w, 0.1, weight_decay=0.02),
        "SGD",
        {"lr": 0.1, "weight_decay": 0.02},
    ),
    "momentum": (
        lambda: SGD(0.05, momentum=0.9, weight_decay=0.01),
        lambda w: sgd(w, 0.05, 0.9, weight_decay=0.01),
        "SGD",
        {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01},
    ),
    "nesterov": (
        lambda: SGD(0.05, momentum=0.9, nesterov=True),
        lambda w: sgd(w, 0.05, 0.9, True),
        "SGD",
        {"lr": 0.05, "momentum": 0.9, "nesterov": True},
    ),
    "adam": (lambda: Adam(0.01), lambda w: adam(w, 0.01), "Adam", {"lr": 0.01}),
    "adam-settings": (
        lambda: Adam(0.01, beta1=0.5, beta2=0.9, epsilon=1e-3),
        lambda w: adam(w, 0.01, 0.5, 0.9, 1e-3),
        "Adam",
        {"lr": 0.01, "betas": (0.5, 0.9), "eps": 1e-3},
    ),
    "adamw": (
        lambda: AdamW(0.01, weight_decay=0.1),
        lambda w: adam(w, 0.01, weight_decay=0.1),
        "AdamW",
        {"lr": 0.01, "weight_decay": 0.1},
    ),
    "rmsprop": (
        lambda: RMSprop(0.01),
        lambda w: rmsprop(w, 0.01),
        "RMSprop",
        {"lr": 0.01, "alpha": 0.9},
    ),
    "rmsprop-settings": (
        lambda: RMSprop(0.01, rho=0.99, epsilon=1e-3),
        lambda w: rmsprop(w, 0.01, 0.99, 1e-3),
        "RMSprop",
        {"lr": 0.01, "alpha": 0.99, "eps": 1e-3},
    ),
}
IN_TORCH = [name for name, row in CASES.items() if row[2]]
#: What makes each of them, for the tests that hold for every optimizer.
OPTIMIZERS = {name: make for name, (make, *_) in CASES.items()}
