"""Which samples of a batch each of several processes takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
#: Where the samples of a batch lie in an epoch's order, and which rows of how many they are.
Place = tuple[slice, tuple[int, int, int]]


class Shares:
    """All processes have all samples: each takes its rows of every batch.

    Parameters
    ----------
    parallel : Parallel
        The processes.
    """

    def __init__(self, parallel: Any) -> None:
        self._parallel = parallel

    def total(self, count: int) -> int:
        """Return how many samples all have, of which this process has ``count``."""
        return count

    def gather(self, values: Array) -> Array:
        """Return the values of all samples, of which this process has some."""
        return values

    def places(self, samples: int, size: int, skip: int) -> Iterator[Place]:
        """Yield what the process takes of each batch from ``skip`` on, of ``samples`` in all."""
        for begin in range(skip * size, samples, size):
            total = min(size, samples - begin)
            start, stop = self._parallel.rows(total)
            yield slice(begin + start, begin + stop), (start, stop, total)


class Sharded(Shares):
    """Each process has samples of its own, and takes of them its share of every batch.

    That of a process with a quarter of the samples is a quarter, to one sample more or less.
    """

    def total(self, count: int) -> int:
        """Return how many samples all have, of which this process has ``count``."""
        self._counts = self._parallel.exchange(count)
        return int(sum(self._counts))

    def gather(self, values: Array) -> Array:
        """Return the values of all samples, of which this process has some."""
        return np.concatenate(self._parallel.exchange(values))

    def places(self, samples: int, size: int, skip: int) -> Iterator[Place]:
        """Yield what the process takes of each batch from ``skip`` on, of ``samples`` in all."""
        taken, rank = self.taken(samples, size), self._parallel.rank
        ends = np.cumsum(taken, axis=0)
        places = np.cumsum(taken[rank])
        for step in range(skip, taken.shape[1]):
            own, stop, total = (int(one) for one in (taken[rank, step], ends[rank, step],
                                                     ends[-1, step]))
            place = int(places[step])
            yield slice(place - own, place), (stop - own, stop, total)

    def taken(self, samples: int, size: int) -> Array:
        """Return how many samples each process brings to each batch, (processes, batches).

        Raises
        ------
        ValueError
            If one has none for a batch.
        """
        steps = -(-samples // size)
        done = np.minimum(np.arange(steps + 1) * size, samples)  # samples of all, batch by batch
        before = np.cumsum([0, *self._counts])
        # Cut where its share of each batch's end lies: the parts of a batch add up to all of it.
        ends = before[:, None] * done // before[-1]
        taken: Array = np.diff(np.diff(ends, axis=0), axis=1)
        if taken.min() < 1:
            rank, step = np.unravel_index(taken.argmin(), taken.shape)
            raise ValueError(
                f"process {rank} has {self._counts[rank]} of {before[-1]} samples, none for batch "
                f"{step + 1} of {steps} of batch_size {size}; give all processes about as many "
                "samples, or use drop_last=True or a larger batch_size"
            )
        return taken
