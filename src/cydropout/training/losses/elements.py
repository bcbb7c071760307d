"""Losses of every element by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from cydropout.training.losses.base import Loss
from cydropout.training.losses.targets import Array, check_epsilon, check_probabilities, same_shape


class BinaryCrossEntropy(Loss):
    """``-t log p - (1 - t) log(1 - p)``, with ``p = sigmoid(z)`` of the logits ``z``.

    Parameters
    ----------
    from_logits : bool
        False reads predictions as probabilities ``p``.
    epsilon : float
        Probabilities are read as no closer to 0 or 1 than this (1e-7: float32 can hold it).

    Notes
    -----
    Targets lie between 0 and 1 and have the predictions' shape; ``(n,)`` also fits ``(n, 1)``.
    The mean runs over all elements.
    """

    def __init__(self, from_logits: bool = True, epsilon: float = 1e-7) -> None:
        self.from_logits = bool(from_logits)
        self.epsilon = check_epsilon(epsilon)

    def _value_and_gradient(self, prediction: Array, target: Array) -> tuple[Any, Array]:
        t = same_shape(prediction, target)
        wrong = t[~((t >= 0) & (t <= 1))]
        if wrong.size:
            raise ValueError(f"targets must lie between 0 and 1, got {wrong.flat[0]}")
        if self.from_logits:
            z = prediction
            small = np.exp(-np.abs(z))
            losses = np.maximum(z, 0) - z * t + np.log1p(small)
            gradient = np.where(z >= 0, 1, small) / (1 + small) - t
        else:
            p = np.clip(check_probabilities(prediction), self.epsilon, 1 - self.epsilon)
            losses = -t * np.log(p) - (1 - t) * np.log1p(-p)
            gradient = (p - t) / (p * (1 - p))
        return losses.mean(dtype="float64"), gradient / t.size

    def accuracy(self, prediction: Any, target: Any) -> float:
        """Return the share of elements on the right side of even odds."""
        prediction = np.asarray(prediction)
        t = same_shape(prediction, np.asarray(target))
        return float(((prediction > (0 if self.from_logits else 0.5)) == (t > 0.5)).mean())


class MeanSquaredError(Loss):
    """``(prediction - target)^2``, averaged over all elements.

    Targets have the predictions' shape; ``(n,)`` also fits ``(n, 1)``.
    """

    def _value_and_gradient(self, prediction: Array, target: Array) -> tuple[Any, Array]:
        difference = prediction - same_shape(prediction, target)
        value = np.square(difference).mean(dtype="float64")
        difference *= 2 / difference.size
        return value, difference
