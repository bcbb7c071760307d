"""Workspace: the arrays of one training step, taken again for the next."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


class Workspace:
    """Uninitialised arrays, and what holds some, that are all free again after `release`.

    A step asks for the same in the same order as the step before it, so after the first nothing is
    allocated: no page is touched for the first time, and the caches still hold what the last step
    left in them. What was taken before `release` must not be used after it.

    Parameters
    ----------
    settled : bool
        Whether between its steps no code runs that could change a layer, such as a callback's. What
        was `decided` in one step then holds in those after it.
    """

    __slots__ = ("_decided", "_made", "_taken", "settled")

    def __init__(self, *, settled: bool = False) -> None:
        self.settled = settled
        self._decided: dict[Hashable, Any] = {}
        self._made: dict[Hashable, list[Any]] = {}
        self._taken: dict[Hashable, int] = {}

    def decided(self, key: Hashable, decide: Callable[[], Any]) -> Any:
        """Return what ``decide`` says, where steps are settled only once for each key."""
        if not self.settled:
            return decide()
        if key not in self._decided:
            self._decided[key] = decide()
        return self._decided[key]

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return an array of this shape and dtype that is not in use."""
        array: Array = self.take((shape, np.dtype(dtype)), lambda: np.empty(shape, dtype))
        return array

    def take(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return what was made under this key and is not in use, or make it."""
        made, place = self._made.setdefault(key, []), self._taken.get(key, 0)
        if place == len(made):
            made.append(make())
        self._taken[key] = place + 1
        return made[place]

    def release(self) -> None:
        """Have all back; keep what was in use, and forget the rest."""
        for key, made in list(self._made.items()):
            del made[self._taken.get(key, 0) :]
            if not made:
                del self._made[key]
        self._taken.clear()

    @property
    def nbytes(self) -> int:
        """Bytes of all that was made."""
        return sum(one.nbytes for made in self._made.values() for one in made)
