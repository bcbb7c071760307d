"""The batches of a run: cut from arrays, or brought by the caller, in an order that repeats."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np

from cydropout._samples import (
    check_ends,
    check_pair,
    check_weights,
    unpadded,
    within,
)
from cydropout._validate import ArgumentTypeError, Array, check_number
from cydropout.training._batch import Batch, Keeps, without_padding
from cydropout.training._shares import Sharded, Shares

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
        self, x: Any, y: Array, size: int, shuffle: bool, keeps: Keeps, drop_last: bool = False,
        weight: Any = None, lengths: Any = None, what: str = "", shares: Shares | None = None,
    ) -> None:
        self.x, self.size, self.shuffle, self.keeps = x, size, shuffle, keeps
        self.shares = shares
        if weight is not None:
            weight = check_weights(f"{what}sample_weight", weight, len(x))
            if not weight.any():
                raise ValueError(f"{what}sample_weight must not be 0 for all samples")
        if lengths is not None:
            lengths = check_ends(f"{what}lengths", lengths, x.shape)
        self.own: tuple[Any, ...] = (y, weight, lengths)
        self.drop_last = drop_last
        self._cut(0, len(x))
        self.run = {"samples": self.total, "sample_shape": list(x.shape[1:]),
                    "target_shape": list(y.shape[1:]), "batch_size": int(size),
                    "sample_weight": [] if weight is None else [list(weight.shape[1:])],
                    "lengths": lengths is not None, "shuffle": bool(shuffle),
                    "drop_last": bool(drop_last)}

    def _cut(self, first: int, count: int) -> None:
        """Use so many of the rows, from the first on."""
        self.first_row, self.count = first, count
        self.total = total = count if self.shares is None else self.shares.total(count)
        self.samples: int | None = total - (total % self.size if self.drop_last else 0)
        if not self.samples:
            raise ValueError(
                f"drop_last leaves no batch: batch_size is {self.size}, and there are {total} "
                "samples"
            )
        next(self.places())  # raises where others have the rest, and these do not serve

    @property
    def smallest(self) -> int | None:
        """Samples in the smallest batch, where that is known."""
        return ((self.samples or 0) - 1) % self.size + 1

    def split_off(self, share: float, size: int) -> ArrayBatches:
        """Return batches, in order, of a share of the rows, the last, and keep the others."""
        held, whole, count = copy.copy(self), self.count, int(self.count * share)
        held.shares = None
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
        return self.of(self.x[:1], slice(1))

    def targets(self) -> Iterator[tuple[int, Batch]]:
        """Yield targets and weights in parts, without samples, each with the place of its first."""
        for rows in batches(self.count, 4096):
            own = self.rows(rows)
            yield own.start, self.of(self.x[:0], own)

    def of(self, x: Array, rows: Any) -> Batch:
        """Return the batch of such samples, which lie in these rows."""
        own: list[Any] = [None if part is None else part[rows] for part in self.own]
        batch = Batch(x, *own)
        return without_padding(batch, self.keeps, self.x.shape[1:])

    def rows(self, place: slice) -> slice:
        """Return where samples lie among all of x, of those that are used."""
        return slice(self.first_row + place.start, self.first_row + place.stop)

    def epoch(self, number: int, generators: Generators, skip: int = 0) -> Epoch:
        """Return the batches of an epoch, from 1, without the first ``skip``."""
        order = generators(number).permutation(self.count) if self.shuffle else None
        return Epoch(self, order, skip)

    def places(self, skip: int = 0) -> Iterator[tuple[slice, tuple[int, int, int] | None]]:
        """Yield where in the order each batch lies, and if others have more of it which rows."""
        if self.shares is not None:
            yield from self.shares.places(self.samples or 0, self.size, skip)
            return
        for rows in batches(self.samples or 0, self.size, None, skip):
            yield rows, None


class Rows(NamedTuple):
    """Whole batches one after the other: rows of x in an order, or all as they lie, and targets."""

    x: Array
    order: Array | None
    y: Array


class Epoch(Iterator[Batch]):
    """The batches of an epoch, one by one, or several at once.

    Parameters
    ----------
    data : ArrayBatches
        What is read.
    order : array of int64, optional
        Of the rows; by default it is that in which they lie.
    skip : int
        Batches that are left out at the beginning.
    """

    def __init__(self, data: ArrayBatches, order: Array | None, skip: int) -> None:
        self.data, self._order = data, order
        self._places = data.places(skip)
        #: Whole batches that are left.
        self.whole = max((data.samples or 0) // data.size - skip, 0)
        if order is not None:
            x = data.x
            self._room = np.empty((min(data.size, len(x)), *x.shape[1:]), x.dtype)

    def __next__(self) -> Batch:
        place, cut = next(self._places)
        self.whole -= self.whole > 0
        if self._order is None:
            rows: Any = self.data.rows(place)
            x = self.data.x[rows]
        else:
            rows = self._order[place]
            # Without the check of the numbers, which would need a second buffer.
            x = self.data.x.take(rows, axis=0, out=self._room[: len(rows)], mode="clip")
        batch = self.data.of(x, rows)
        return batch if cut is None else batch._replace(rows=cut)

    @property
    def plain(self) -> bool:
        """Whether whole batches are rows of samples and targets, and nothing else."""
        return self.data.own[1:] == (None, None) and self.data.shares is None

    def several(self, count: int) -> Rows:
        """Take the next batches, so many, which are `whole`."""
        places = [place for place, _ in islice(self._places, count)]
        self.whole -= count
        place, (x, y) = slice(places[0].start, places[-1].stop), (self.data.x, self.data.own[0])
        if self._order is not None:
            order = self._order[place]
            return Rows(x, order, y[order])
        rows = self.data.rows(place)
        return Rows(x[rows], None, y[rows])


def padded(x: Any, lengths: Array | None, size: int) -> Iterator[tuple[Array, Array | None]]:
    """Yield samples and the lengths of their sequences a batch at a time."""
    for rows in batches(len(x), size):
        ends = None if lengths is None else lengths[rows]
        yield x[rows] if ends is None else unpadded(x[rows], within(ends, x.shape[1])), ends


class OwnBatches:
    """Batches that the caller brings, each of its own size."""

    samples: int | None = None
    smallest: int | None = None
    keeps: Keeps

    def _checked(self, batch: Any) -> Batch:
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3, 4):
            found = f"of {len(batch)}" if isinstance(batch, (tuple, list)) else ""
            raise ArgumentTypeError(
                f"a batch must be a pair (x, y), or (x, y, w) with weights, or (x, y, w, lengths), "
                f"where w may be None, not a {type(batch).__name__} {found}".rstrip()
            )
        x, y, weight, lengths = (*batch, None, None)[:4]
        x, y = check_pair(x, y, "x and y of a batch")
        if weight is not None:
            weight = check_weights("w of a batch", weight, len(x))
        if lengths is not None:
            lengths = check_ends("lengths of a batch", lengths, x.shape)
        return without_padding(Batch(x, y, weight, lengths), self.keeps, x.shape[1:])

    def targets(self) -> Iterator[tuple[int, Batch]]:
        """Yield nothing: those of a batch are checked when it is taken."""
        yield from ()


class SequenceBatches(OwnBatches):
    """Batches that can be had by their place, as of a list; their order is shuffled."""

    def __init__(self, source: Sequence[Any], shuffle: bool, keeps: Keeps, what: str) -> None:
        if not len(source):
            raise ValueError(f"{what}: there must be at least one batch, got none")
        self.source, self.shuffle, self.keeps = source, shuffle, keeps
        self.run = {"batches": len(source), "shuffle": bool(shuffle)}

    def first(self, number: int, generators: Generators) -> Batch:
        """Return a batch."""
        return self._checked(self.source[0])

    def epoch(self, number: int, generators: Generators, skip: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from 1, without the first ``skip``, which are not read."""
        count = len(self.source)
        order = generators(number).permutation(count).tolist() if self.shuffle else range(count)
        for place in order[skip:]:
            yield self._checked(self.source[place])


class StreamBatches(OwnBatches):
    """Batches that can only be had one after the other; those to skip are read and left."""

    def __init__(self, source: Any, epochs: int, keeps: Keeps, what: str) -> None:
        if isinstance(source, Iterator) and epochs > 1:
            raise ValueError(
                f"{what}: {source!r} can be read once, but there are {epochs} epochs: give a list, "
                "or a function that takes the generator of an epoch and returns its batches"
            )
        self.source, self.keeps, self.what = source, keeps, what
        self.run = {"batches": "stream"}
        self._open: tuple[int, Batch, Iterator[Batch]] | None = None

    def first(self, number: int, generators: Generators) -> Batch:
        """Return the first batch of an epoch, which is not lost to `epoch`."""
        if self._open is None or self._open[0] != number:
            batches = self._read(number, generators)
            first = next(batches, None)
            if first is None:
                raise ValueError(f"{self.what}: there must be at least one batch, got none")
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
        return map(self._checked, source)


Batches = ArrayBatches | SequenceBatches | StreamBatches


def as_batches(
    x: Any, y: Any, size: int, shuffle: bool, epochs: int, what: str, keeps: Keeps,
    drop_last: bool = False, weight: Any = None, lengths: Any = None,
    shares: Shares | None = None,
) -> Batches:
    """Return where the batches come from: arrays, or with ``y=None`` what yields batches."""
    if y is not None:
        pair = check_pair(x, y, what)
        return ArrayBatches(*pair, size, shuffle, keeps, drop_last, weight, lengths, shares=shares)
    if weight is not None:
        raise ValueError("sample_weight belongs to x and y; your own batches are then (x, y, w)")
    if lengths is not None:
        raise ValueError(
            "lengths belong to x and y; your own batches are then (x, y, w, lengths), where w may "
            "be None"
        )
    if drop_last:
        raise ValueError("drop_last cuts batches from x and y; of your own, leave the last one out")
    whole = isinstance(x, (np.ndarray, str, Mapping)) or hasattr(x, "tocsr") or hasattr(x, "dtypes")
    if whole or not (callable(x) or isinstance(x, Iterable)):
        raise ArgumentTypeError(
            f"{what}: give the targets too, or batches (x, y), (x, y, w) or (x, y, w, lengths); "
            f"got only the {type(x).__name__}"
        )
    if hasattr(x, "__len__") and hasattr(x, "__getitem__") and not callable(x):
        return SequenceBatches(x, shuffle, keeps, what)
    return StreamBatches(x, epochs, keeps, what)


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
    if isinstance(data.shares, Sharded):
        raise ValueError("validation_split holds samples of x back, which are not those of all "
                         "with sharded=True; give all processes the same validation_data")
    return data.split_off(share, 1024)


def held_out(data: Any, size: int, epochs: int, keeps: Keeps) -> Batches:
    """Return the batches to measure: of two to four arrays, or those that ``data`` yields."""
    listed = isinstance(data, (tuple, list)) and len(data) in (2, 3, 4)
    pair = isinstance(data, tuple) and len(data) == 2
    if pair or (listed and not isinstance(data[0], (tuple, list))):
        x, y = check_pair(data[0], data[1], "validation_data")
        weight, lengths = (*data, None, None)[2:4]
        return ArrayBatches(x, y, size, False, keeps, weight=weight, lengths=lengths,
                            what="validation_data: ")
    return as_batches(data, None, size, False, epochs, "validation_data", keeps)
