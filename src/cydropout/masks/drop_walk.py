"""DropWalk: the trace of a random walk over a map is dropped."""

from __future__ import annotations

from typing import Any

import numpy as np

from cydropout._kernels import api
from cydropout._rates import ONE
from cydropout._validate import check_integer, check_one_rate
from cydropout.masks.regions import RegionMask, Rescale


class WalkMask(RegionMask):
    """y = scale * keep * x, where the cells are dropped that random walks over a map visit.

    The map is a torus of height H and width W. With u uniform, ``k = floor(rate H W + u)`` cells
    are dropped, so ``rate H W`` in the mean. The walkers start at uniform cells and take turns,
    each going to one of the four neighbours, until k distinct cells are visited.

    Map ``m``, counted in C order with length 1 along shared axes, owns the words ``w[i]``,
    ``i = 0, 1, ...`` of the draw: word ``i % 4`` of the Philox block ``m * 2**24 + i // 4``, digit
    0. In integers, ``k = (round(rate H W 2**32) + w[0]) // 2**32``. Walker ``a`` starts at cell
    ``w[1 + a] H W // 2**32``, cells being counted row by row; it is visited at the start, before
    the next walker is there. Step ``t`` is that of walker ``t % walks`` and reads two bits, from
    bit ``2 (t % 16)`` of ``w[1 + walks + t // 16]``: 0 adds 1 to the row, 1 takes 1 from it, 2
    adds 1 to the column, 3 takes 1 from it. A walk of more than about ``2**30`` steps, which a map
    of less than a million cells hardly needs, goes on in the words of the next map.

    Parameters
    ----------
    rate : float
        The expected share that is dropped: that of a map, and, up to ``H W / 2**32`` of it,
        the probability of each of its elements. At 1 all is 0.
    walks : int
        How many walkers there are on a map.
    axes : tuple of ints
        The two axes of space.
    key, draw, shape, shared_axes, scaling, num_threads
        As for `RegionMask`.

    Examples
    --------
    >>> from cydropout.masks import WalkMask
    >>> WalkMask(key=0, draw=0, shape=(1, 1, 4, 6), rate=0.25).keep[0, 0].astype(int)
    array([[1, 1, 0, 0, 1, 1],
           [1, 0, 0, 0, 1, 1],
           [1, 1, 1, 1, 1, 1],
           [1, 1, 1, 0, 1, 1]])
    """

    def __init__(
        self,
        key: int,
        draw: int,
        shape: int | tuple[int, ...],
        rate: float,
        *,
        walks: int = 1,
        axes: int | tuple[int, ...] = (2, 3),
        shared_axes: int | tuple[int, ...] = (),
        scaling: Rescale = "inverted",
        num_threads: int | None = None,
    ) -> None:
        self._wanted = check_one_rate(rate, "DropWalk")
        self.walks = check_walks(walks)
        super().__init__(
            key, draw, shape, axes=axes, shared_axes=shared_axes, scaling=scaling,
            num_threads=num_threads,
        )

    def _expected(self, sizes: tuple[int, ...]) -> float:
        if len(sizes) != 2:
            raise ValueError(f"walks are over maps of two axes, not {len(sizes)}")
        cells = sizes[0] * sizes[1]
        if cells > 2**31:
            raise ValueError(f"a map of {sizes} is too large for a walk; at most 2**31 cells fit")
        self._target = round(self._wanted * cells * ONE)
        return self._target / (cells * ONE)

    def _bits(self, key: int, draw: int, shape: tuple[int, ...], threads: int) -> np.ndarray:
        count, height, width, inner = shape
        return api.walk_bits(
            key, draw, count, height, width, inner, self._target, self.walks, threads
        )


def check_walks(walks: Any) -> int:
    """Return the number of walkers on a map."""
    return check_integer("walks", walks, f"[1, {api.WALKERS}]")
