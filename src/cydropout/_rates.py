"""Rates as thresholds, scales and counts: arithmetic on arguments that were checked."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from cydropout._validate import check_scaling

Scaling = Literal["inverted", "classic", "sqrt"]
#: 2**32: an element is kept if its 32 random bits are below its threshold.
ONE = 2**32
_TRAINING_POWER = {"inverted": 1.0, "classic": 0.0, "sqrt": 0.5}
_INFERENCE_POWER = {"inverted": 0.0, "classic": 1.0, "sqrt": 0.5}


def size_of(shape: tuple[int, ...]) -> int:
    """Return the number of elements, exactly, however large."""
    return math.prod(shape)


def periodic(rate: float | np.ndarray, shape: tuple[int, ...]) -> float | np.ndarray:
    """Return the scalar rate, or one for each element of the trailing axes that it spans."""
    if isinstance(rate, float):
        return rate
    if rate.ndim > len(shape) or any(
        n not in (1, m) for n, m in zip(rate.shape[::-1], shape[::-1], strict=False)
    ):
        raise ValueError(
            f"rate has shape {rate.shape}, which does not broadcast to the mask's shape {shape} "
            "(1 along shared axes)"
        )
    trailing = rate.shape
    while trailing and trailing[0] == 1:
        trailing = trailing[1:]
    own = rate.reshape(trailing)
    rate = np.broadcast_to(own, shape[len(shape) - len(trailing) :])
    if rate.size == 0:  # no element, but of a rate above 0, unless all are 0
        return float(own.max(initial=0.0)) if own.size else 1.0
    first = float(rate.flat[0])
    return first if (rate == first).all() else np.ascontiguousarray(rate).ravel()


def threshold(rate: float | np.ndarray) -> int | np.ndarray:
    """q = round((1 - rate) * 2**32): kept when 32 random bits are below it."""
    if isinstance(rate, float):
        return round((1.0 - rate) * ONE)
    return np.rint((1.0 - rate) * ONE).astype(np.uint64)


def training_scale(q: Any, scaling: str) -> Any:
    """1 / k, 1 or 1 / sqrt(k) for the realised keep probability k = q / 2**32; 0 where k is 0."""
    power = _TRAINING_POWER[check_scaling(scaling)]
    if isinstance(q, int):
        return (ONE / q) ** power if q else 0.0
    return np.divide(ONE, q, out=np.zeros(q.shape), where=q > 0) ** power * (q > 0)


def inference_scale(q: Any, scaling: str) -> Any:
    """The mean over masks: 1, k or sqrt(k)."""
    power = _INFERENCE_POWER[check_scaling(scaling)]
    return (q / ONE) ** power


def kept_count(rate: float, size: int) -> int:
    """Return how many of ``size`` items stay at ``rate``: rounded, but not 0 unless all go."""
    return 0 if rate == 1 or size == 0 else max(1, round((1.0 - rate) * size))


def share_scale(kept: int, size: int, scaling: str) -> float:
    """(size / kept) to the power of 1, 0 or 1/2; 0 where nothing is kept."""
    power = _TRAINING_POWER[check_scaling(scaling)]
    return float((size / kept) ** power) if kept else 0.0


def feature_count(features: int | str | None, rate: float, size: int) -> int:
    """Return how many of ``size`` columns stay: ``features``, or where it is None by ``rate``.

    Raises
    ------
    ValueError
        If there are fewer columns than ``features``.
    """
    if features is None:
        return kept_count(rate, size)
    if isinstance(features, str):
        root = math.isqrt(size) if features == "sqrt" else size.bit_length() - 1
        return min(size, max(1, root))
    if features > size:
        raise ValueError(f"features is {features}, but there are only {size}")
    return features


