"""R-Drop: two passes with different masks must agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cydropout._validate import check_number
from cydropout.training._settings import setting
from cydropout.training.losses.base import Loss
from cydropout.training.losses.classes import ClassLoss, SoftmaxCrossEntropy, log_softmax
from cydropout.training.losses.targets import Array, as_arrays


@dataclass(eq=False, repr=False)
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

    Examples
    --------
    >>> import numpy as np
    >>> value, gradient = RDropLoss()(np.zeros((2, 2)), np.array([1]))
    >>> round(value, 4), gradient.shape
    (1.3863, (2, 2))
    """

    passes: ClassVar[int] = 2

    alpha: float = setting(check_number, "[0, inf)", default=1.0)
    label_smoothing: float = setting(check_number, "[0, 1)", default=0.0)

    @property
    def one_pass(self) -> Loss:
        """The cross entropy alone."""
        return SoftmaxCrossEntropy(self.label_smoothing)

    def value_and_gradient(self, prediction: Array, target: Array) -> tuple[Any, Array]:
        """Return the mean loss and its gradient."""
        entropy, gradient = self.one_pass(prediction, _for_both(prediction, target))
        rows = prediction.reshape(2, -1, prediction.shape[-1])
        log_a, log_b = log_softmax(rows)
        a, b = np.exp(log_a), np.exp(log_b)
        # Equal also where both are minus infinity, as at a class that the model rules out.
        ratio = np.where(log_a == log_b, 0, log_a - log_b)
        divergence = _times(a - b, ratio).sum(axis=1).mean(dtype="float64")
        weight = self.alpha / (2 * rows.shape[1])
        both = np.stack([_divergence_gradient(a, b, ratio), _divergence_gradient(b, a, -ratio)])
        gradient = 2 * gradient + weight * both.reshape(prediction.shape)
        return 2 * entropy + self.alpha / 2 * divergence, gradient.astype(prediction.dtype)

    def accuracy(self, prediction: Any, target: Any) -> float:
        """Return the share of positions, of both passes, that are right."""
        return super().accuracy(prediction, _for_both(*as_arrays(prediction, target)))


def _for_both(prediction: Array, target: Array) -> Array:
    if target.ndim == 0 or len(prediction) != 2 * len(target):
        raise ValueError(
            "RDropLoss needs the predictions of two passes below each other, 2 rows for each "
            f"target, got predictions of shape {prediction.shape} and targets of {target.shape}"
        )
    return np.concatenate([target, target])


def _divergence_gradient(p: Array, q: Array, ratio: Array) -> Array:
    """Return the gradient of KL(p || q) + KL(q || p) by the logits of ``p``; ratio: log(p / q)."""
    weighted = _times(p, ratio)
    gradient: Array = weighted - p * weighted.sum(axis=1, keepdims=True) + p - q
    return gradient


def _times(p: Array, ratio: Array) -> Array:
    product: Array = np.where(p == 0, 0, p * ratio)
    return product
