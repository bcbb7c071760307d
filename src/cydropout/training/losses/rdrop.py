"""R-Drop: two passes with different masks must agree."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from cydropout.training.losses.base import Loss
from cydropout.training.losses.classes import ClassLoss, SoftmaxCrossEntropy, log_softmax
from cydropout.training.losses.targets import Array


class RDropLoss(ClassLoss):
    """``CE(a) + CE(b) + alpha / 2 (KL(a || b) + KL(b || a))``, from the logits of two passes.

    ``CE`` is `SoftmaxCrossEntropy`, and with ``p = softmax(a)``, ``q = softmax(b)`` the bracket is
    ``sum_c (p_c - q_c) (log p_c - log q_c)``. The gradient flows into both passes. `Trainer` runs
    each batch twice, each time with masks of its own; `evaluate` reports the cross entropy of one
    pass without dropout, which is about half of the training loss.

    Parameters
    ----------
    alpha : float
        Weight of the divergence, at least 0; the paper uses 0.1 to 5.
    label_smoothing : float
        That of the cross entropy.

    Notes
    -----
    Predictions are ``(2 n, ..., C)``: the first ``n`` rows are pass a of the samples, the last
    ``n`` pass b. Targets are the ``n`` targets of `SoftmaxCrossEntropy`. The mean runs over the
    ``n`` samples (and all positions of each), so that the cross entropies of both passes add up,
    as in the paper's equation.

    References
    ----------
    Wu et al. 2021, "R-Drop: regularized dropout for neural networks".
    """

    passes: ClassVar[int] = 2

    def __init__(self, alpha: float = 1.0, label_smoothing: float = 0.0) -> None:
        if not 0 <= alpha < np.inf:
            raise ValueError(f"alpha must be finite and not negative, got {alpha}")
        self.alpha = float(alpha)
        self.label_smoothing = SoftmaxCrossEntropy(label_smoothing).label_smoothing

    @property
    def one_pass(self) -> Loss:
        """The cross entropy alone."""
        return SoftmaxCrossEntropy(self.label_smoothing)

    def _value_and_gradient(self, prediction: Array, target: Array) -> tuple[Any, Array]:
        entropy, gradient = self.one_pass(prediction, _for_both(prediction, target))
        rows = prediction.reshape(2, -1, prediction.shape[-1])
        log_a, log_b = log_softmax(rows)
        a, b = np.exp(log_a), np.exp(log_b)
        # Equal also where both are minus infinity, as at a class that the model rules out.
        apart = np.where(log_a == log_b, 0, log_a - log_b)
        divergence = _times(a - b, apart).sum(axis=1).mean(dtype="float64")
        weight = self.alpha / (2 * rows.shape[1])
        parts = np.stack([_slope(a, b, apart), _slope(b, a, -apart)])
        gradient = 2 * gradient + weight * parts.reshape(prediction.shape)
        return 2 * entropy + self.alpha / 2 * divergence, gradient.astype(prediction.dtype)

    def accuracy(self, prediction: Any, target: Any) -> float:
        """Return the share of positions, of both passes, that are right."""
        return super().accuracy(prediction, _for_both(np.asarray(prediction), np.asarray(target)))


def _for_both(prediction: Array, target: Array) -> Array:
    if target.ndim == 0 or len(prediction) != 2 * len(target):
        raise ValueError(
            "RDropLoss needs the predictions of two passes below each other, 2 rows for each "
            f"target, got predictions of shape {prediction.shape} and targets of {target.shape}"
        )
    return np.concatenate([target, target])


def _slope(p: Array, q: Array, apart: Array) -> Array:
    """Return the gradient of KL(p || q) + KL(q || p) with respect to the logits of ``p``."""
    weighted = _times(p, apart)
    slope: Array = weighted - p * weighted.sum(axis=1, keepdims=True) + p - q
    return slope


def _times(p: Array, apart: Array) -> Array:
    product: Array = np.where(p == 0, 0, p * apart)
    return product
