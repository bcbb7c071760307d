"""Sums over columns, split by the size alone: the same to the bit for any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np

from cydropout._kernels import api
from cydropout._rates import size_of

_TILE = api.TILE_SIZE


def totals_for(size: int, columns: int, dtype: Any) -> np.ndarray:
    """Return where a kernel adds up ``size`` elements over ``columns``: a row for each chunk."""
    return np.zeros((api.chunks_for(size), columns + _TILE), dtype)


def spread_axes(parameter: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the trailing axes of ``shape`` over which an array that broadcasts to it differs."""
    lengths = list(parameter)
    while lengths and lengths[0] == 1:
        del lengths[0]
    return shape[len(shape) - len(lengths) :]


def summed_to(
    totals: np.ndarray, parameter: tuple[int, ...], shape: tuple[int, ...]
) -> np.ndarray:
    """Return the sums over ``shape`` that belong to each element of an array broadcast to it."""
    spread = spread_axes(parameter, shape)
    columns = size_of(spread)
    if not columns:
        return np.zeros(parameter, totals.dtype)
    sums = api.folded(totals, columns).reshape(spread)
    own = parameter[len(parameter) - len(spread) :]
    axes = tuple(a for a, n in enumerate(own) if n == 1)
    result: np.ndarray = sums.sum(axis=axes, keepdims=True).reshape(parameter)
    return result
