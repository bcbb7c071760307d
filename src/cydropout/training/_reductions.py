"""How what several processes have of a batch is added up: fast, or in an order that is fixed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
#: Sums by the parts that they are of, from the first to behind the last.
Nodes = dict[tuple[int, int], Sequence[Array]]


class Fast:
    """One part for each process, and sums in the order that the communicator likes."""

    def __init__(self, comm: Any) -> None:
        self._comm, self._size = comm, comm.size

    def parts(self, total: int) -> tuple[range, int]:
        """Return which parts of a batch of ``total`` samples are this process's, of how many."""
        return range(self._comm.rank, self._comm.rank + 1), self._size

    def total(self, parts: Iterable[Sequence[Array]], samples: int) -> list[Array]:
        """Return the sums over all parts, of all processes, of some arrays of each part."""
        (own,) = parts
        found = [np.empty_like(array) for array in own]
        for array, total in zip(own, found, strict=True):
            self._comm.Allreduce(array, total)
        return found


class Ordered:
    """Twelve parts of every batch, which any number of processes computes alike, one by one.

    They are summed by halves: the sums are the same to the bit, whoever has which parts.
    """

    #: Shared out evenly among 1, 2, 3, 4, 6 and 12 processes.
    count = 12

    def __init__(self, comm: Any) -> None:
        self._comm, self._rank, self._size = comm, comm.rank, comm.size
        if self._size > self.count:
            raise ValueError(
                f"reduction='ordered' cuts a batch into {self.count} parts, which are too few for "
                f"{self._size} processes; use reduction='fast'"
            )

    def parts(self, total: int) -> tuple[range, int]:
        """Return which parts of a batch of ``total`` samples are this process's, of how many."""
        count = min(self.count, total)
        first, last = (place * count // self._size for place in (self._rank, self._rank + 1))
        return range(first, last), count

    def total(self, parts: Iterable[Sequence[Array]], samples: int) -> list[Array]:
        """Return the sums over all parts, of all processes, of some arrays of each part."""
        places, count = self.parts(samples)
        known: Nodes = {}
        for place, arrays in zip(places, parts, strict=True):
            known[place, place + 1] = arrays
            _halves(0, count, known)  # at once, for few of them to be held
        for other in self._comm.allgather(known):
            known |= other
        found = _halves(0, count, known)
        assert found is not None
        return [*found]


def _halves(first: int, last: int, known: Nodes) -> Sequence[Array] | None:
    """Return the sum of a range of parts, that of its halves; None where some are not known."""
    if (first, last) in known or last - first == 1:
        return known.get((first, last))
    middle = (first + last) // 2
    halves = (first, middle), (middle, last)
    left, right = (_halves(*half, known) for half in halves)
    if left is None or right is None:
        return None
    for half in halves:
        known.pop(half)
    known[first, last] = [a + b for a, b in zip(left, right, strict=True)]
    return known[first, last]
