"""Losses of every element by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cydropout import functional
from cydropout._samples import check_each
from cydropout._validate import check_flag, check_number
from cydropout.training._settings import setting
from cydropout.training.losses.base import Loss
from cydropout.training.losses.outputs import Outputs
from cydropout.training.losses.targets import (
    Array,
    check_probabilities,
    predictions_like,
    same_shape,
)

_BETWEEN = "targets must lie between 0 and 1"


@dataclass(eq=False, repr=False)
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
    The mean runs over all elements, each of which can have a weight.

    Examples
    --------
    >>> import numpy as np
    >>> value, gradient = BinaryCrossEntropy()(np.zeros(2), np.array([0, 1]))
    >>> round(value, 4), gradient
    (0.6931, array([ 0.25, -0.25]))
    """

    from_logits: bool = setting(check_flag, default=True)
    epsilon: float = setting(check_number, "(0, 0.5)", default=1e-7)

    @property
    def outputs(self) -> Outputs:
        """What the predictions are, of a yes each."""
        return "binary_logits" if self.from_logits else "binary_probabilities"

    def check_output(self, activation: str | None) -> None:
        """Raise if logits are wanted, and a sigmoid has made probabilities of them."""
        if self.from_logits and activation == "sigmoid":
            raise ValueError(
                "BinaryCrossEntropy takes logits, but the model ends with a sigmoid: leave it out, "
                "or use BinaryCrossEntropy(from_logits=False)"
            )

    def check_targets(self, target: Array, shape: tuple[int, ...], first: int = 0) -> None:
        """Raise if the targets have another shape, or are no probabilities."""
        t = same_shape(predictions_like(target, shape), target)
        check_each(target, (t >= 0) & (t <= 1), _BETWEEN, first)

    def losses_and_gradient(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        """Return the loss of each element and its gradient."""
        t = same_shape(prediction, target)
        check_each(t, (t >= 0) & (t <= 1), _BETWEEN)
        if self.from_logits:
            z = prediction
            small = np.exp(-np.abs(z))
            losses = np.maximum(z, 0) - z * t + np.log1p(small)
            return losses, np.where(z >= 0, 1, small) / (1 + small) - t
        p = np.clip(check_probabilities(prediction), self.epsilon, 1 - self.epsilon)
        return -t * np.log(p) - (1 - t) * np.log1p(-p), (p - t) / (p * (1 - p))

    def hits(self, prediction: Array, target: Array) -> Array:
        """Return which elements are on the right side of even odds."""
        t = same_shape(prediction, target)
        found: Array = (prediction > (0 if self.from_logits else 0.5)) == (t > 0.5)
        return found

    def labels(self, target: Array, shape: tuple[int, ...]) -> tuple[Array, int]:
        """Return the targets, which must be 0 or 1."""
        t = same_shape(predictions_like(target, shape), target)
        check_each(target, (t == 0) | (t == 1), "class_weight needs targets of 0 and 1")
        return t.astype(np.int64), 2


class MeanSquaredError(Loss):
    """``(prediction - target)^2``, averaged over all elements, each of which can have a weight.

    Targets have the predictions' shape; ``(n,)`` also fits ``(n, 1)``.

    Examples
    --------
    >>> import numpy as np
    >>> MeanSquaredError()(np.array([1.0, 2.0]), np.array([0, 0]))
    (2.5, array([1., 2.]))
    """

    def check_targets(self, target: Array, shape: tuple[int, ...], first: int = 0) -> None:
        """Raise if the targets have another shape, or are not finite."""
        t = same_shape(predictions_like(target, shape), target)
        check_each(target, np.isfinite(t), "targets must be finite", first)

    @property
    def kernel(self) -> str | None:
        """The function of `functional` that is this loss, if none has defined it anew."""
        return "mean_squared_error" if type(self) is MeanSquaredError else None

    def value_and_gradient(self, prediction: Array, target: Array) -> tuple[Any, Array]:
        """Return the mean loss and its gradient."""
        if self.kernel is None or not prediction.ndim:
            return super().value_and_gradient(prediction, target)
        return functional.mean_squared_error(
            prediction, same_shape(prediction, target), num_threads=1)

    def losses_and_gradient(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        """Return the loss of each element and its gradient."""
        difference = prediction - same_shape(prediction, target)
        losses = np.square(difference)
        difference += difference
        return losses, difference
