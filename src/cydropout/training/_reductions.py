"""How what several processes have of a batch is added up: fast, or in an order that is fixed."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from cydropout.layers._layer import Parameter

Array = np.ndarray[Any, Any]
#: Sums by the parts that they are of, from the first to behind the last.
Nodes = dict[tuple[int, int], Sequence[Array]]


class Flat:
    """Gradients that lie side by side, so that those of all parameters are summed as one."""

    def __init__(self) -> None:
        self.arrays: list[Array] = []
        self._places: list[tuple[Parameter, Array]] = []

    def of(self, parameters: Sequence[Parameter]) -> list[Array]:
        """Return the gradients of parameters, an array for each dtype."""
        if [one for one, _ in self._places] != [*parameters]:
            self._lay_out(parameters)
        for one, place in self._places:
            one.move_gradient(place)
        return self.arrays

    def _lay_out(self, parameters: Sequence[Parameter]) -> None:
        sizes: Counter[Any] = Counter()
        self._places = []
        begins = []
        for one in parameters:
            begins.append(sizes[one.value.dtype])
            sizes[one.value.dtype] += -(-one.value.size // 16) * 16  # each at a line of the cache
        found = {dtype: np.zeros(size, dtype) for dtype, size in sizes.items()}
        self.arrays = [*found.values()]
        for one, first in zip(parameters, begins, strict=True):
            place = found[one.value.dtype][first : first + one.value.size]
            self._places.append((one, place.reshape(one.value.shape)))


class Fast:
    """One part for each process, and sums in the order that the communicator likes."""

    def __init__(self, comm: Any) -> None:
        self._comm, self._size = comm, comm.size
        # That of mpi4py, by which nothing is copied.
        self._in_place = getattr(sys.modules.get(type(comm).__module__), "IN_PLACE", None)

    def parts(self, total: int) -> tuple[range, int]:
        """Return which parts of a batch of ``total`` samples are this process's, of how many."""
        return range(self._comm.rank, self._comm.rank + 1), self._size

    def total(self, parts: Iterable[Sequence[Array]], samples: int) -> list[Array]:
        """Return the sums over all parts, of all processes, of some arrays of each part.

        They may take the place of the arrays.
        """
        (own,) = parts
        return [self._sum(array) for array in own]

    def _sum(self, array: Array) -> Array:
        # MPI knows no floats of 16 bits.
        array = array if array.itemsize > 2 else array.astype(np.float32)
        if self._in_place is not None:
            self._comm.Allreduce(self._in_place, array)
            return array
        total = np.empty_like(array)
        self._comm.Allreduce(array, total)
        return total


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
            known[place, place + 1] = [array.copy() for array in arrays]
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
