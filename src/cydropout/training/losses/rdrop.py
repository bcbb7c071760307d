"""R-Drop: two passes with different masks must agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cydropout._validate import check_number
from cydropout.training._settings import setting
from cydropout.training.losses.base import Loss
from cydropout.training.losses.classes import ClassLoss, SoftmaxCrossEntropy, ignored
from cydropout.training.losses.outputs import log_softmax
from cydropout.training.losses.targets import Array


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
    label_smoothing, ignore_index : float, int
        Those of the cross entropy.

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
    ignore_index: int | None = ignored()

    @property
    def one_pass(self) -> Loss:
        """The cross entropy alone."""
        return SoftmaxCrossEntropy(self.label_smoothing, self.ignore_index)

    def counted(
        self, target: Array, shape: tuple[int, ...], weight: Any = None
    ) -> tuple[Array, Array | None]:
        """Return labels of which none is to be ignored, with weights of 0 where one was."""
        return super().counted(target, (shape[0] // 2, *shape[1:]), weight)

    def check_targets(self, target: Array, shape: tuple[int, ...], first: int = 0) -> None:
        """Raise if the labels do not fit predictions of ``shape``."""
        self.one_pass.check_targets(target, shape, first)

    def labels(self, target: Array, shape: tuple[int, ...]) -> tuple[Array, int]:
        """Return the labels; of one-hot rows the place of the 1."""
        return self.one_pass.labels(target, shape)

    def losses_and_gradient(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        """Return the loss of each position, and the gradients of both passes."""
        entropy, gradient = SoftmaxCrossEntropy(self.label_smoothing).losses_and_gradient(
            prediction, _for_both(prediction, target))
        rows = prediction.reshape(2, -1, prediction.shape[-1])
        log_a, log_b = log_softmax(rows)
        a, b = np.exp(log_a), np.exp(log_b)
        # Equal also where both are minus infinity, as at a class that the model rules out.
        ratio = np.where(log_a == log_b, 0, log_a - log_b)
        divergence = _times(a - b, ratio).sum(axis=1).reshape(target.shape[: prediction.ndim - 1])
        both = np.stack([_divergence_gradient(a, b, ratio), _divergence_gradient(b, a, -ratio)])
        gradient += self.alpha / 2 * both.reshape(prediction.shape)
        losses = entropy.reshape(2, *divergence.shape).sum(axis=0) + self.alpha / 2 * divergence
        return losses, gradient

    def hits(self, prediction: Array, target: Array) -> Array:
        """Return which positions of both passes are right."""
        return super().hits(prediction, _for_both(prediction, target))


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
