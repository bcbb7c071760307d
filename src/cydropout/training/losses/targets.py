"""Targets and predictions, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cydropout._samples import place_of
from cydropout._validate import check_array

Array = npt.NDArray[Any]


def as_arrays(prediction: Any, target: Any) -> tuple[Array, Array]:
    """Return both as arrays; raise if one is masked."""
    if type(prediction) is type(target) is np.ndarray:
        return prediction, target
    return check_array("prediction", prediction), check_array("target", target)


def predictions_like(target: Array, shape: tuple[int, ...]) -> Array:
    """Return predictions for as many samples, each of ``shape``, which take no memory."""
    if target.ndim == 0:
        raise ValueError("targets need a first axis of samples")
    return np.broadcast_to(np.float32(0), (len(target), *shape))


def class_targets(
    prediction: Array, target: Array, first: int = 0
) -> tuple[Array, Array | None, Array | None]:
    """Return predictions as rows, and either flat labels or soft rows.

    ``first`` is the place of the first sample, where they are a part of all.
    """
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
            row = place_of(place, target.shape[:-1], first).removeprefix("position ")
            raise ValueError(
                f"one-hot or soft labels must be non-negative and sum to 1; row {row} "
                f"sums to {sums[place]:g} and its smallest entry is {soft[place].min():g}"
            )
        return rows, None, soft
    if target.shape != prediction.shape[:-1]:
        flat = target.shape == (*prediction.shape[:-1], 1)
        raise ValueError(
            f"targets of shape {target.shape} do not fit predictions of shape {prediction.shape}: "
            f"give labels of shape {prediction.shape[:-1]} or one-hot rows of {prediction.shape}"
            + (", as with y[..., 0]" if flat else "")
        )
    if not integer:
        convert = "y.astype('int64')"
        if target.dtype.kind not in "bf":
            convert = "names, y = np.unique(y, return_inverse=True)"
        raise TypeError(
            f"labels must be integers, got dtype {target.dtype}; convert them first: {convert}"
        )
    labels = target.reshape(-1)
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        place = int(np.argmax(wrong))
        raise ValueError(
            f"label {labels[place]} at {place_of(place, target.shape, first)} is out of range for "
            f"{classes} classes (0 to {classes - 1})"
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
