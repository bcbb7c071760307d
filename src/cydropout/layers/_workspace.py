"""Workspace: the arrays of one training step, taken again for the next."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Key: TypeAlias = tuple[tuple[int, ...], np.dtype[Any]]


class Workspace:
    """Uninitialised arrays that are all free again after `release`.

    A step asks for the same shapes in the same order as the step before it, so after the first
    none is allocated: no page is touched for the first time, and the caches still hold what the
    last step left in them. What was taken before `release` must not be used after it.
    """

    __slots__ = ("_arrays", "_taken")

    def __init__(self) -> None:
        self._arrays: dict[Key, list[Array]] = {}
        self._taken: dict[Key, int] = {}

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return an array of this shape and dtype that is not in use."""
        key = (shape, np.dtype(dtype))
        arrays, place = self._arrays.setdefault(key, []), self._taken.get(key, 0)
        if place == len(arrays):
            arrays.append(np.empty(shape, dtype))
        self._taken[key] = place + 1
        return arrays[place]

    def release(self) -> None:
        """Have all arrays back; keep those that were in use, and forget the others."""
        for key, arrays in list(self._arrays.items()):
            del arrays[self._taken.get(key, 0) :]
            if not arrays:
                del self._arrays[key]
        self._taken.clear()

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(a.nbytes for arrays in self._arrays.values() for a in arrays)
