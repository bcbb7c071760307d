"""Checks of arguments that several modules share, and samples cut into batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def pair(x: Any, y: Any, what: str) -> tuple[Array, Array]:
    """Return samples and targets as arrays that are equally long and not empty."""
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError(f"{what} must have a first axis of samples, got {x.shape} and {y.shape}")
    if len(x) != len(y):
        raise ValueError(f"{what} must be equally long, got {len(x)} samples and {len(y)} targets")
    if len(x) == 0:
        raise ValueError(f"{what} must hold at least one sample, got none")
    return x, y


def check_samples(x: Any) -> Array:
    """Return samples as an array that is not empty."""
    array: Array = np.asarray(x)
    if array.ndim == 0 or len(array) == 0:
        raise ValueError(f"x must hold at least one sample, got shape {array.shape}")
    return array


def batches(count: int, size: int, order: Array | None = None, skip: int = 0) -> Iterator[Any]:
    """Yield where each batch from ``skip`` on has its samples: a slice, or a part of ``order``."""
    for start in range(skip * size, count, size):
        rows = slice(start, min(start + size, count))
        yield rows if order is None else order[rows]


def one_of(name: str, value: Any, known: Iterable[str]) -> None:
    """Refuse a value that is not among those known."""
    known = tuple(known)
    if value not in known:
        raise ValueError(f"{name} {value!r} is unknown; use one of {', '.join(known)}")


def positive(name: str, value: int) -> None:
    """Refuse anything but an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
