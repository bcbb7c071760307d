"""Targets and predictions, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def class_targets(prediction: Array, target: Array) -> tuple[Array, Array | None, Array | None]:
    """Return predictions as rows, and either flat labels or soft rows."""
    if prediction.ndim < 2 or not prediction.shape[-1]:
        raise ValueError(
            f"predictions must be (n, classes), of at least one class, got shape {prediction.shape}"
        )
    classes = prediction.shape[-1]
    rows = prediction.reshape(-1, classes)
    integer = target.dtype.kind in "iu"
    if target.shape == prediction.shape and (integer or target.dtype.kind in "bf"):
        soft = target.reshape(-1, classes)
        sums = soft.sum(axis=1, dtype="float64")
        wrong = ~((soft >= 0).all(axis=1) & (np.abs(sums - 1) < 1e-3))
        if wrong.any():
            place = int(np.argmax(wrong))
            raise ValueError(
                f"one-hot or soft labels must be non-negative and sum to 1; row {place} "
                f"sums to {sums[place]:g} and its smallest entry is {soft[place].min():g}"
            )
        return rows, None, soft
    if target.shape != prediction.shape[:-1]:
        raise ValueError(
            f"targets of shape {target.shape} do not fit predictions of shape {prediction.shape}: "
            f"give labels of shape {prediction.shape[:-1]} or one-hot rows of {prediction.shape}"
        )
    if not integer:
        raise TypeError(f"labels must be integers, got dtype {target.dtype}; convert them first")
    labels = target.reshape(-1)
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        place = int(np.argmax(wrong))
        raise ValueError(
            f"label {labels[place]} at position {place} is out of range for {classes} classes "
            f"(0 to {classes - 1})"
        )
    return rows, labels, None


def one_hot(labels: Array | None, like: Array) -> Array:
    """Return rows like those of ``like`` that are 1 at the label and 0 elsewhere."""
    rows = np.zeros_like(like)
    rows[np.arange(len(rows)), labels] = 1
    return rows


def same_shape(prediction: Array, target: Array) -> Array:
    """Return the target in the prediction's dtype and shape; shapes are never broadcast."""
    if target.dtype.kind not in "biuf" and target.dtype.name != "bfloat16":
        raise TypeError(f"targets must be real numbers, got dtype {target.dtype}")
    if target.shape != prediction.shape and (*target.shape, 1) != prediction.shape:
        raise ValueError(
            f"targets of shape {target.shape} do not fit predictions of shape {prediction.shape}"
        )
    return target.reshape(prediction.shape).astype(prediction.dtype, copy=False)


def check_probabilities(p: Array) -> Array:
    """Return ``p``, or raise naming a value that is no probability."""
    wrong = (p < 0) | (p > 1 + 1e-3)
    if wrong.any():
        raise ValueError(
            f"probabilities must lie between 0 and 1, got {p[wrong].flat[0]:g}; for logits use "
            "SoftmaxCrossEntropy or BinaryCrossEntropy(from_logits=True)"
        )
    return p
