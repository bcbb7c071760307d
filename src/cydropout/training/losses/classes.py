"""Losses of predictions that choose one of several classes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from cydropout import functional
from cydropout._samples import spread
from cydropout._validate import check_integer, check_number, optional
from cydropout.training._settings import setting
from cydropout.training.losses.base import Loss
from cydropout.training.losses.outputs import Outputs
from cydropout.training.losses.targets import (
    Array,
    as_arrays,
    check_probabilities,
    class_targets,
    one_hot,
    predictions_like,
)


def ignored() -> Any:
    """Return the setting of a label that counts for nothing."""
    return setting(partial(optional, check_integer), "(-inf, inf)", default=None)


class ClassLoss(Loss):
    """Base of these losses: the right class is the one of the largest prediction."""

    ignore_index: int | None = None

    @property
    def outputs(self) -> Outputs:
        """What the predictions are, along the last axis."""
        return "logits"

    def counted(
        self, target: Array, shape: tuple[int, ...], weight: Any = None
    ) -> tuple[Array, Array | None]:
        """Return labels of which none is to be ignored, with weights of 0 where one was."""
        target, weights = super().counted(target, shape, weight)
        if self.ignore_index is None or target.shape != shape[: target.ndim] or (
                target.dtype.kind not in "iu" or target.ndim >= len(shape)):
            return target, weights
        counts = target != self.ignore_index
        weights = counts.astype(np.float64) if weights is None else np.where(
            counts, spread(weights, counts.shape), 0.0)
        return np.where(counts, target, target.dtype.type(0)), weights

    def positions(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape without the axis of classes."""
        return shape[:-1]

    def check_targets(self, target: Array, shape: tuple[int, ...], first: int = 0) -> None:
        """Raise if the labels do not fit predictions of ``shape``."""
        like = predictions_like(target, shape)
        class_targets(like, self.counted(target, like.shape)[0], first)

    def hits(self, prediction: Array, target: Array) -> Array:
        """Return where the label's class has the largest prediction."""
        rows, labels, soft = class_targets(prediction, target)
        right = labels if soft is None else soft.argmax(axis=1)
        found: Array = (rows.argmax(axis=1) == right).reshape(prediction.shape[:-1])
        return found

    def labels(self, target: Array, shape: tuple[int, ...]) -> tuple[Array, int]:
        """Return the labels; of one-hot rows the place of the 1."""
        like = predictions_like(target, shape)
        target, _ = self.counted(target, like.shape)
        _, labels, soft = class_targets(like, target)
        if soft is not None:
            if not ((soft == 0) | (soft == 1)).all():
                raise ValueError("class_weight needs labels or one-hot rows; soft labels have "
                                 "several classes, give sample_weight")
            labels = soft.argmax(axis=1)
        return np.asarray(labels).reshape(like.shape[:-1]), shape[-1]


@dataclass(eq=False, repr=False)
class SoftmaxCrossEntropy(ClassLoss):
    """``-sum_c t_c log softmax(z)_c``, from logits ``z``; the gradient is ``softmax(z) - t``.

    Parameters
    ----------
    label_smoothing : float
        ``t`` becomes ``(1 - s) t + s / C`` for ``C`` classes.
    ignore_index : int, optional
        Positions of this label have the weight 0.

    Notes
    -----
    Predictions are ``(n, ..., C)``. Targets are integer labels ``(n, ...)``, or one-hot or soft
    labels ``(n, ..., C)`` that sum to 1. The mean runs over all positions, of shape ``(n, ...)``;
    with weights it is divided by their sum, and not by the number of positions.

    Examples
    --------
    >>> import numpy as np
    >>> value, gradient = SoftmaxCrossEntropy()(np.zeros((1, 2)), np.array([1]))
    >>> round(value, 4), gradient
    (0.6931, array([[ 0.5, -0.5]]))
    """

    label_smoothing: float = setting(check_number, "[0, 1)", default=0.0)
    ignore_index: int | None = ignored()

    @property
    def kernel(self) -> str | None:
        """The function of `functional` that is this loss, of labels without weights, if one is."""
        own = vars(self)
        # A subclass may define the loss anew.
        plain = type(self) is SoftmaxCrossEntropy and own["ignore_index"] is None
        return "softmax_cross_entropy" if plain and not own["label_smoothing"] else None

    def measured(
        self, prediction: Any, target: Any, weight: Any = None
    ) -> tuple[float, Array, float | None, float | None]:
        """Return value, gradient and `accuracy`, of labels all in one pass."""
        z, labels = as_arrays(prediction, target)
        if weight is None and self._is_plain(z, labels):
            return (*functional.softmax_cross_entropy(z, labels, num_threads=1), None)
        return super().measured(prediction, target, weight)

    def _is_plain(self, z: Array, target: Array) -> bool:
        """Whether one kernel does it: labels of logits of whole precision."""
        return (
            self.kernel is not None and target.ndim > 0 and z.shape[:-1] == target.shape
            and z.size > 0 and target.dtype.kind in "iu"
            and z.dtype.char in "fd" and z.dtype.isnative
        )

    def value_and_gradient(self, prediction: Array, target: Array) -> tuple[Any, Array]:
        """Return the mean loss and its gradient."""
        if self._is_plain(prediction, target):
            return functional.softmax_cross_entropy(prediction, target, num_threads=1)[:2]
        return super().value_and_gradient(prediction, target)

    def losses_and_gradient(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        """Return the loss of each position and its gradient."""
        rows, labels, soft = class_targets(prediction, target)
        z = rows - rows.max(axis=1, keepdims=True)
        gradient = np.exp(z)
        total = gradient.sum(axis=1, keepdims=True)
        gradient /= total
        soft = one_hot(labels, rows) if soft is None else soft.astype(rows.dtype)
        smooth = self.label_smoothing
        soft = soft * (1 - smooth) + smooth / rows.shape[1] if smooth else soft
        # A label of 0 counts for nothing, also where the logit is infinitely small.
        losses = np.where(soft == 0, 0, soft * (np.log(total) - z)).sum(axis=1)
        gradient -= soft
        return losses.reshape(prediction.shape[:-1]), gradient.reshape(prediction.shape)


@dataclass(eq=False, repr=False)
class NegativeLogLikelihood(ClassLoss):
    """``-sum_c t_c log p_c``, from probabilities ``p``; the gradient is ``-t / p``.

    Parameters
    ----------
    epsilon : float
        Probabilities below it are read as it, which keeps value and gradient finite.
    ignore_index : int, optional
        Positions of this label have the weight 0.

    Notes
    -----
    Shapes and targets are those of `SoftmaxCrossEntropy`, which is the better choice where
    logits are at hand.

    Examples
    --------
    >>> import numpy as np
    >>> value, gradient = NegativeLogLikelihood()(np.array([[0.75, 0.25]]), np.array([1]))
    >>> round(value, 4), gradient
    (1.3863, array([[ 0., -4.]]))
    """

    epsilon: float = setting(check_number, "(0, 0.5)", default=1e-12)
    ignore_index: int | None = ignored()

    @property
    def outputs(self) -> Outputs:
        """What the predictions are, along the last axis."""
        return "probabilities"

    def losses_and_gradient(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        """Return the loss of each position and its gradient."""
        rows, labels, soft = class_targets(prediction, target)
        p = np.maximum(check_probabilities(rows), rows.dtype.type(self.epsilon))
        if labels is None and soft is not None:
            soft = soft.astype(rows.dtype)
            losses = -(soft * np.log(p)).sum(axis=1)
            gradient = -soft / p
        else:
            index = np.arange(len(rows))
            picked = p[index, labels]
            losses = -np.log(picked)
            gradient = np.zeros_like(rows)
            gradient[index, labels] = -1 / picked
        return losses.reshape(prediction.shape[:-1]), gradient.reshape(prediction.shape)
