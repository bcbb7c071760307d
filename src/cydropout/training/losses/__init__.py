"""Losses: ``loss(prediction, target)`` returns the mean value and its gradient."""

from __future__ import annotations

from cydropout._validate import check_choice
from cydropout.training.losses.base import Loss
from cydropout.training.losses.classes import NegativeLogLikelihood, SoftmaxCrossEntropy
from cydropout.training.losses.elements import BinaryCrossEntropy, MeanSquaredError
from cydropout.training.losses.rdrop import RDropLoss

__all__ = [
    "NAMES",
    "BinaryCrossEntropy",
    "Loss",
    "MeanSquaredError",
    "NegativeLogLikelihood",
    "RDropLoss",
    "SoftmaxCrossEntropy",
    "get",
]


def get(loss: Loss | str) -> Loss:
    """Return ``loss`` itself, or the one of that name with its default settings.

    Examples
    --------
    >>> from cydropout.training import losses
    >>> losses.get("mean_squared_error")
    MeanSquaredError()
    """
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str):
        raise TypeError(f"loss must be a Loss or a name, got {loss!r}")
    return NAMES[check_choice("loss", loss, NAMES)]()


NAMES: dict[str, type[Loss]] = {
    "softmax_cross_entropy": SoftmaxCrossEntropy,
    "negative_log_likelihood": NegativeLogLikelihood,
    "binary_cross_entropy": BinaryCrossEntropy,
    "mean_squared_error": MeanSquaredError,
    "r_drop": RDropLoss,
}
