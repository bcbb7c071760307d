"""Cutout: a rectangle around a random centre is dropped."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import numpy as np

from cydropout._kernels import api
from cydropout._validate import (
    check_axes,
    check_integer,
    check_lengths,
    check_one_rate,
    check_shape,
)
from cydropout.masks.drop_block import coverage
from cydropout.masks.regions import RegionMask, Rescale

#: Holes in a sample: the expected share is found in exact arithmetic, whose numbers grow with them.
_MOST = 1024


class CutoutMask(RegionMask):
    """y = keep * x, where one or more rectangles are dropped, the same in all maps of a sample.

    The centre of each is uniform over all places of the map; a rectangle of length ``n`` along
    an axis covers the places from ``centre - n // 2`` on, as far as they lie in the map.

    Hole ``h``, counted by sample and then within it, has its centre from the words 2 h and
    2 h + 1 of the draw, word ``i`` being word ``i % 4`` of the Philox block ``i // 4``, digit 0:
    the row is ``word * height // 2**32``, the column the same of the width.

    Parameters
    ----------
    rate : float, optional
        The share of the map's area that a hole has where it lies within: its lengths are
        ``round(sqrt(rate) * s)`` for maps of lengths ``s``. At 1 all is 0.
    size : int or pair of ints, optional
        The lengths of a hole instead.
    holes : int
        How many there are, at most 1024.
    axes : tuple of ints
        The two axes of space; all others but the first share the holes.
    key, draw, shape, scaling, num_threads
        As for `RegionMask`.

    References
    ----------
    DeVries, Taylor, "Improved regularization of convolutional neural networks with Cutout", 2017.

    Examples
    --------
    >>> from cydropout.masks import CutoutMask
    >>> CutoutMask(key=0, draw=0, shape=(1, 1, 4, 6), size=2).keep[0, 0].astype(int)
    array([[1, 1, 1, 1, 0, 0],
           [1, 1, 1, 1, 0, 0],
           [1, 1, 1, 1, 1, 1],
           [1, 1, 1, 1, 1, 1]])
    """

    def __init__(
        self,
        key: int,
        draw: int,
        shape: int | tuple[int, ...],
        rate: float | None = None,
        *,
        size: Any = None,
        holes: int = 1,
        axes: int | tuple[int, ...] = (2, 3),
        scaling: Rescale = "none",
        num_threads: int | None = None,
    ) -> None:
        if (rate is None) == (size is None):
            raise ValueError(f"give either a rate or a size, not {rate=} and {size=}")
        self._wanted = None if rate is None else check_one_rate(rate, "Cutout")
        self.size = None if size is None else check_lengths("size", size, 2)
        self.holes = check_holes(holes)
        shape = check_shape(shape)
        space = check_axes(axes, len(shape))
        shared = tuple(a for a in range(1, len(shape)) if a not in space)
        super().__init__(
            key, draw, shape, axes=space, shared_axes=shared, scaling=scaling,
            num_threads=num_threads,
        )

    def _expected(self, sizes: tuple[int, ...]) -> float:
        if len(sizes) != 2:
            raise ValueError(f"holes are in maps of two axes, not {len(sizes)}")
        if max(sizes) >= 2**32:
            raise ValueError(f"a map of {sizes} is too large for holes; use lengths below 2**32")
        if self._wanted == 1.0:
            return 1.0
        if self.size is not None:
            # Twice the map covers it from anywhere.
            self._lengths = tuple(
                min(n, 2 * s + 2) for n, s in zip(self.size, sizes, strict=True)
            )
        else:
            assert self._wanted is not None
            self._lengths = tuple(round(self._wanted**0.5 * s) for s in sizes)
        return _expected(sizes, self._lengths, self.holes)

    def _bits(self, key: int, draw: int, shape: tuple[int, ...], threads: int) -> np.ndarray:
        count, height, width, _ = shape
        return api.hole_bits(
            key, draw, count, height, width, self._lengths[0], self._lengths[1], self.holes, threads
        )


def check_holes(holes: Any) -> int:
    """Return the number of holes of a sample."""
    return check_integer("holes", holes, f"[1, {_MOST}]")


@lru_cache(maxsize=256)
def _expected(sizes: tuple[int, ...], lengths: tuple[int, ...], holes: int) -> float:
    """Return the expected share of dropped places, rounded once."""
    if 0 in lengths:
        return 0.0
    axes = []
    for s, n in zip(sizes, lengths, strict=True):
        # The centres whose holes hold place x.
        first, last = n // 2 - n + 1, n // 2
        axes.append(Counter(
            max(0, min(s - 1, x + last) - max(0, x + first) + 1) for x in range(s)
        ))
    centres = sizes[0] * sizes[1]
    places = coverage(axes)
    kept = sum(many * (centres - n) ** holes for n, many in places.items())
    share: float = 1.0 - kept / centres ** (holes + 1)
    return share
