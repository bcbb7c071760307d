"""What predictions are, and the probabilities that they stand for."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from cydropout.training.losses.targets import Array

#: What the predictions of a loss are, as `cydropout.predict_mc` reads them.
Outputs = Literal["values", "logits", "probabilities", "binary_logits", "binary_probabilities"]
OUTPUTS: tuple[Outputs, ...] = get_args(Outputs)


def log_softmax(z: Array) -> Array:
    """Return ``z - log sum_c exp(z_c)`` along the last axis, stable for large ``|z|``."""
    z = z - z.max(axis=-1, keepdims=True)
    logarithms: Array = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    return logarithms


def probabilities_of(prediction: Array, outputs: Outputs) -> Array | None:
    """Return the probabilities that predictions stand for, or None where they are values.

    Examples
    --------
    >>> probabilities_of(np.zeros((1, 2)), "logits")
    array([[0.5, 0.5]])
    """
    if outputs == "values":
        return None
    if outputs == "logits":
        softmax: Array = np.exp(log_softmax(prediction))
        return softmax
    if outputs == "binary_logits":
        small = np.exp(-abs(prediction))
        sigmoid: Array = np.where(prediction >= 0, 1, small) / (1 + small)
        return sigmoid
    return prediction
