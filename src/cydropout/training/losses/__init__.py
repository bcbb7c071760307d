"""Losses: ``loss(prediction, target)`` returns the mean value and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cydropout._validate import ArgumentTypeError, check_choice, shown
from cydropout._words import our_name
from cydropout.training.losses.base import FunctionLoss, Loss
from cydropout.training.losses.classes import NegativeLogLikelihood, SoftmaxCrossEntropy
from cydropout.training.losses.elements import BinaryCrossEntropy, MeanSquaredError
from cydropout.training.losses.rdrop import RDropLoss

__all__ = [
    "NAMES",
    "BinaryCrossEntropy",
    "FunctionLoss",
    "Loss",
    "MeanSquaredError",
    "NegativeLogLikelihood",
    "RDropLoss",
    "SoftmaxCrossEntropy",
    "get",
]


def get(loss: Loss | str | Callable[..., Any]) -> Loss:
    """Return ``loss`` itself, the one of that name with its default settings, or of a function.

    Examples
    --------
    >>> from cydropout.training import losses
    >>> losses.get("mean_squared_error")
    MeanSquaredError()
    """
    if isinstance(loss, Loss):
        return loss
    if callable(loss) and not isinstance(loss, type):
        return FunctionLoss(loss)
    if not isinstance(loss, str):
        raise ArgumentTypeError(f"loss must be a Loss, a name or a function, not {shown(loss)}")
    return NAMES[check_choice("loss", our_name(loss, NAMES), NAMES)]()


NAMES: dict[str, type[Loss]] = {
    "softmax_cross_entropy": SoftmaxCrossEntropy,
    "negative_log_likelihood": NegativeLogLikelihood,
    "binary_cross_entropy": BinaryCrossEntropy,
    "mean_squared_error": MeanSquaredError,
    "r_drop": RDropLoss,
}
