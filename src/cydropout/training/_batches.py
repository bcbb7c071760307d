"""The batches of a run: cut from arrays, or brought by the caller, in an order that repeats."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np

from cydropout._samples import check_pair, check_weights
from cydropout._validate import ArgumentTypeError, Array, check_count, check_number

#: Samples and targets, and their weights where there are some.
Batch = tuple[Array, ...]
#: Makes the generator of an epoch, from 1: the order of the batches depends on nothing else.
Generators = Callable[[int], np.random.Generator]


# Independent generators from one key, by NumPy's spawn keys.
_WEIGHTS, _SHUFFLE = 0, 1


def weights_of(key: int) -> np.random.Generator:
    """Return the generator of the weights."""
    return np.random.default_rng(np.random.SeedSequence(key, spawn_key=(_WEIGHTS,)))


def order_of(key: int, epoch: int) -> np.random.Generator:
    """Return the generator of the order of an epoch's samples."""
    return np.random.default_rng(np.random.SeedSequence(key, spawn_key=(_SHUFFLE, epoch)))


def batches(count: int, size: int, order: Array | None = None, skip: int = 0) -> Iterator[Any]:
    """Yield where each batch from ``skip`` on has its samples: a slice, or a part of ``order``."""
    for start in range(skip * size, count, size):
        rows = slice(start, min(start + size, count))
        yield rows if order is None else order[rows]


class ArrayBatches:
    """Rows of arrays, read a batch at a time: a `numpy.memmap` is never loaded whole.

    A shuffled batch holds until the next is taken, which lies in the same place. With ``drop_last``
    the samples that are left over when the batches are cut are not used in that epoch.
    """

    def __init__(
        self, x: Any, y: Array, size: int, shuffle: bool, drop_last: bool = False,
        weight: Any = None, name: str = "sample_weight",
    ) -> None:
        self.x, self.size, self.shuffle = x, size, shuffle
        self.own = [y]
        if weight is not None:
            self.own.append(check_weights(name, weight, len(x)))
            if not self.own[1].any():
                raise ValueError(f"{name} must not be 0 for all samples")
        self.drop_last = drop_last
        self._cut(0, len(x))
        self.run = {"samples": len(x), "sample_shape": list(x.shape[1:]),
                    "target_shape": list(y.shape[1:]), "batch_size": int(size),
                    "sample_weight": [list(one.shape[1:]) for one in self.own[1:]],
                    "shuffle": bool(shuffle), "drop_last": bool(drop_last)}

    def _cut(self, first: int, count: int) -> None:
        """Use so many of the rows, from the first on."""
        self.first_row, self.count = first, count
        self.samples: int | None = count - (count % self.size if self.drop_last else 0)
        if not self.samples:
            raise ValueError(
                f"drop_last leaves no batch: batch_size is {self.size}, and there are {count} "
                "samples"
            )

    @property
    def smallest(self) -> int | None:
        """Samples in the smallest batch, where that is known."""
        return ((self.samples or 0) - 1) % self.size + 1

    def split_off(self, share: float, size: int) -> ArrayBatches:
        """Return batches, in order, of a share of the rows, the last, and keep the others."""
        held, whole, count = copy.copy(self), self.count, int(self.count * share)
        if not 0 < count < whole:
            raise ValueError(
                f"validation_split={share:g} of {whole} samples holds {count} back; hold more back"
            )
        held.size, held.shuffle, held.drop_last = size, False, False
        held.run = {}  # the share says it all
        held._cut(whole - count, count)
        self._cut(0, whole - count)
        return held

    def first(self, number: int, generators: Generators) -> Batch:
        """Return some samples, for their shape."""
        return self.x[:1], *(part[:1] for part in self.own)

    def targets(self) -> Iterator[tuple[int, Batch]]:
        """Yield targets and weights in parts, each with the place of its first."""
        for rows in self._slices(self.count, 4096):
            yield rows.start, tuple(part[rows] for part in self.own)

    def _slices(self, count: int, size: int, skip: int = 0) -> Iterator[slice]:
        for rows in batches(count, size, None, skip):
            yield slice(self.first_row + rows.start, self.first_row + rows.stop)

    def epoch(self, number: int, generators: Generators, skip: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from 1, without the first ``skip``."""
        if not self.shuffle:
            for rows in self._slices(self.samples or 0, self.size, skip):
                yield self.x[rows], *[part[rows] for part in self.own]
            return
        room = np.empty((min(self.size, len(self.x)), *self.x.shape[1:]), self.x.dtype)
        order = generators(number).permutation(self.count)
        for rows in batches(self.samples or 0, self.size, order, skip):
            # Without the check of the numbers, which would need a second buffer.
            x = self.x.take(rows, axis=0, out=room[: len(rows)], mode="clip")
            yield x, *[part[rows] for part in self.own]


class OwnBatches:
    """Batches that the caller brings, each of its own size."""

    samples: int | None = None
    smallest: int | None = None

    def targets(self) -> Iterator[tuple[int, Batch]]:
        """Yield nothing: those of a batch are checked when it is taken."""
        yield from ()


class SequenceBatches(OwnBatches):
    """Batches that can be had by their place, as of a list; their order is shuffled."""

    def __init__(self, source: Sequence[Any], shuffle: bool) -> None:
        if not len(source):
            raise ValueError("there must be at least one batch, got none")
        self.source, self.shuffle = source, shuffle
        self.run = {"batches": len(source), "shuffle": bool(shuffle)}

    def first(self, number: int, generators: Generators) -> Batch:
        """Return a batch."""
        return _checked(self.source[0])

    def epoch(self, number: int, generators: Generators, skip: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from 1, without the first ``skip``, which are not read."""
        count = len(self.source)
        order = generators(number).permutation(count).tolist() if self.shuffle else range(count)
        for place in order[skip:]:
            yield _checked(self.source[place])


class StreamBatches(OwnBatches):
    """Batches that can only be had one after the other; those to skip are read and left."""

    def __init__(self, source: Any, epochs: int) -> None:
        if isinstance(source, Iterator) and epochs > 1:
            raise ValueError(
                f"{source!r} can be read once, but there are {epochs} epochs: give a list, or a "
                "function that takes the generator of an epoch and returns its batches"
            )
        self.source = source
        self.run = {"batches": "stream"}
        self._open: tuple[int, Batch, Iterator[Batch]] | None = None

    def first(self, number: int, generators: Generators) -> Batch:
        """Return the first batch of an epoch, which is not lost to `epoch`."""
        if self._open is None or self._open[0] != number:
            batches = self._read(number, generators)
            first = next(batches, None)
            if first is None:
                raise ValueError("there must be at least one batch, got none")
            self._open = number, first, batches
        return self._open[1]

    def epoch(self, number: int, generators: Generators, skip: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from 1, without the first ``skip``."""
        opened, self._open = self._open, None
        if opened and opened[0] == number:
            yield from islice(chain([opened[1]], opened[2]), skip, None)
        else:
            yield from islice(self._read(number, generators), skip, None)

    def _read(self, number: int, generators: Generators) -> Iterator[Batch]:
        source = self.source(generators(number)) if callable(self.source) else self.source
        return map(_checked, source)


Batches = ArrayBatches | SequenceBatches | StreamBatches


def as_batches(
    x: Any, y: Any, size: int, shuffle: bool, epochs: int, what: str, drop_last: bool = False,
    weight: Any = None,
) -> Batches:
    """Return where the batches come from: arrays, or with ``y=None`` what yields batches."""
    if y is not None:
        return ArrayBatches(*check_pair(x, y, what), size, shuffle, drop_last, weight)
    if weight is not None:
        raise ValueError("sample_weight belongs to x and y; your own batches are then (x, y, w)")
    if drop_last:
        raise ValueError("drop_last cuts batches from x and y; of your own, leave the last one out")
    whole = isinstance(x, (np.ndarray, str, Mapping)) or hasattr(x, "tocsr") or hasattr(x, "dtypes")
    if whole or not (callable(x) or isinstance(x, Iterable)):
        raise ArgumentTypeError(
            f"{what}: give the targets too, or batches (x, y) or (x, y, w); got only "
            f"the {type(x).__name__}"
        )
    if hasattr(x, "__len__") and hasattr(x, "__getitem__") and not callable(x):
        return SequenceBatches(x, shuffle)
    return StreamBatches(x, epochs)


def split_off(share: float, data: Batches, held: Batches | None) -> Batches | None:
    """Return what is held out, or split off from the data that are trained with."""
    if not check_number("validation_split", share, "[0, 1)"):
        return held
    if held is not None:
        raise ValueError("give validation_data or validation_split, and not both")
    if isinstance(data, OwnBatches):
        raise ValueError(
            "validation_split cuts x and y; hold back some of your own batches, as validation_data"
        )
    return data.split_off(share, 1024)


def held_out(data: Any, size: int, epochs: int) -> Batches:
    """Return the batches to measure: of two or three arrays, or those that ``data`` yields."""
    listed = isinstance(data, (tuple, list)) and len(data) in (2, 3)
    pair = isinstance(data, tuple) and len(data) == 2
    if pair or (listed and not isinstance(data[0], (tuple, list))):
        x, y = check_pair(data[0], data[1], "validation_data")
        return ArrayBatches(x, y, size, False, weight=data[2] if len(data) == 3 else None,
                            name="validation_data: sample_weight")
    return as_batches(data, None, size, False, epochs, "validation_data")


def shuffled(
    batches: Iterable[Any], buffer: int, rng: np.random.Generator
) -> Iterator[Any]:
    """Yield batches in another order, holding ``buffer`` of them: one at random, then the next.

    Parameters
    ----------
    batches : iterable
        Read once, one after the other.
    buffer : int
        How many are held, at least 1: the more, the better they are mixed.
    rng : numpy.random.Generator
        Decides the order.

    Examples
    --------
    >>> import numpy as np
    >>> sorted(shuffled(range(5), 3, np.random.default_rng(0)))
    [0, 1, 2, 3, 4]
    """
    check_count("buffer", buffer)
    return _shuffled(batches, buffer, rng)


def _shuffled(
    batches: Iterable[Any], buffer: int, rng: np.random.Generator
) -> Iterator[Any]:
    held: list[Any] = []
    for batch in batches:
        if len(held) < buffer:
            held.append(batch)
            continue
        place = int(rng.integers(buffer))
        yield held[place]
        held[place] = batch
    for place in rng.permutation(len(held)):
        yield held[place]


def _checked(batch: Any) -> Batch:
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        found = f"of {len(batch)}" if isinstance(batch, (tuple, list)) else ""
        raise ArgumentTypeError(
            f"a batch must be a pair (x, y), or (x, y, w) with weights, not a "
            f"{type(batch).__name__} {found}".rstrip()
        )
    x, y, *weight = batch
    pair = check_pair(x, y, "x and y of a batch")
    return *pair, *(check_weights("w of a batch", one, len(pair[0])) for one in weight)
