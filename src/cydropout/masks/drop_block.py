"""DropBlock: blocks around random seeds are dropped."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from cydropout._kernels import api
from cydropout._rates import ONE, size_of, threshold
from cydropout._validate import check_choice, check_lengths, check_one_rate
from cydropout.masks.regions import RegionMask, Rescale

Gamma = Literal["exact", "paper"]


class BlockMask(RegionMask):
    """y = scale * keep * x, where blocks of a map are dropped whose seeds are drawn.

    A seed is where a block begins that lies in the map as a whole: of the ``s - b + 1`` places
    along each axis of length ``s``, with blocks of length ``b``, each is one with probability
    gamma. In an array with these lengths in the place of ``s``, and length 1 along shared axes,
    element ``i`` (flat, in C order) is a seed if and only if its 32 random bits of the draw are
    not below ``q = round((1 - gamma) * 2**32)``.

    Parameters
    ----------
    rate : float
        The share to be dropped. At 1 all is 0.
    block_size : int or tuple of ints
        Of a block, along all axes of space or along each; even or odd. What is larger than a map
        is cut to its size.
    axes : tuple of ints
        The axes of space, one to three.
    gamma : {"exact", "paper"}
        A place of the map that ``n`` seeds could cover is dropped with probability
        ``1 - (1 - gamma)**n``. "exact" takes the gamma for which the mean of this over the map is
        ``rate``; "paper" takes ``rate * prod(s) / prod(b) / prod(s - b + 1)``, at most 1, which
        drops less, since blocks overlap.
    key, draw, shape, shared_axes, scaling, num_threads
        As for `RegionMask`.

    Attributes
    ----------
    gamma : float
        The probability of a seed.

    References
    ----------
    Ghiasi, Lin, Le, "DropBlock: a regularization method for convolutional networks",
    NeurIPS 2018.

    Examples
    --------
    >>> from cydropout.masks import BlockMask
    >>> mask = BlockMask(key=0, draw=0, shape=(1, 1, 4, 6), rate=0.3, block_size=2)
    >>> mask.keep[0, 0].astype(int)
    array([[1, 1, 1, 1, 1, 1],
           [1, 0, 0, 0, 1, 1],
           [1, 0, 0, 0, 0, 0],
           [1, 1, 1, 1, 0, 0]])
    """

    def __init__(
        self,
        key: int,
        draw: int,
        shape: int | tuple[int, ...],
        rate: float,
        block_size: int | tuple[int, ...] = 7,
        *,
        axes: int | tuple[int, ...] = (2, 3),
        shared_axes: int | tuple[int, ...] = (),
        gamma: Gamma = "exact",
        scaling: Rescale = "sample",
        num_threads: int | None = None,
    ) -> None:
        self._wanted = check_one_rate(rate, "DropBlock")
        self.block_size = block_size
        self._is_exact = check_gamma(gamma) == "exact"
        super().__init__(
            key, draw, shape, axes=axes, shared_axes=shared_axes, scaling=scaling,
            num_threads=num_threads,
        )

    @property
    def gamma(self) -> float:
        """The probability of a seed, ``1 - q / 2**32``."""
        return 1.0 - self._q / ONE

    def _expected(self, sizes: tuple[int, ...]) -> float:
        if len(sizes) > 3:
            raise ValueError(f"blocks have one to three axes, not {len(sizes)}")
        each = check_lengths("block_size", self.block_size, len(sizes))
        self._block = tuple(min(b, s) for b, s in zip(each, sizes, strict=True))
        self._q, expected = _threshold(self._wanted, sizes, self._block, self._is_exact)
        return expected

    def _bits(self, key: int, draw: int, shape: tuple[int, ...], threads: int) -> np.ndarray:
        count, *sizes, inner = shape
        seeds = size_of(tuple(s - b + 1 for s, b in zip(sizes, self._block, strict=True)))
        plan = api.Plan(key, draw, 0, count * seeds * inner, (self._q, 1.0), False)
        ones = (1,) * (3 - len(sizes))
        drawn = plan.bits(threads)
        return api.block_bits(drawn, count, (*ones, *sizes), ones + self._block, inner, threads)


def check_gamma(gamma: Any) -> Gamma:
    """Return ``gamma`` if there is a rule of that name."""
    found: Gamma = check_choice("gamma", gamma, ("exact", "paper"))
    return found


def coverage(axes: list[Counter[int]]) -> Counter[int]:
    """Return how many places have the product n, from how many along each axis have a factor n."""
    places = Counter({1: 1})
    for axis in axes:
        longer: Counter[int] = Counter()
        for n, many in places.items():
            for m, times in axis.items():
                longer[n * m] += many * times
        places = longer
    return places


@lru_cache(maxsize=64)
def _shares(sizes: tuple[int, ...], block: tuple[int, ...]) -> tuple[float, ...]:
    """Return the shares of places that n seeds could cover, from the largest n down to 0."""
    axes = []
    for s, b in zip(sizes, block, strict=True):
        most = min(b, s - b + 1)
        axes.append(Counter({n: 2 for n in range(1, most)} | {most: s - 2 * (most - 1)}))
    places = coverage(axes)
    return tuple(places[n] / size_of(sizes) for n in range(max(places), -1, -1))


def _kept_share(shares: tuple[float, ...], w: float) -> tuple[float, float]:
    """Return the mean of ``w**n`` over the map, and its derivative.

    In plain arithmetic, so that every machine finds the same.
    """
    value = derivative = 0.0
    for share in shares:
        derivative = derivative * w + value
        value = value * w + share
    return value, derivative


@lru_cache(maxsize=256)
def _threshold(
    rate: float, sizes: tuple[int, ...], block: tuple[int, ...], exact: bool
) -> tuple[int, float]:
    """Return q, and the expected share of dropped elements."""
    if rate in (0.0, 1.0):
        return round(ONE * (1.0 - rate)), rate
    shares = _shares(sizes, block)
    if exact:
        # Newton's method from the right, where the kept share is convex: it comes down to the
        # solution, until rounding stops it.
        w, gamma = 1.0, 0.0
        value, derivative = _kept_share(shares, w)
        while True:
            lower = w - (value - (1.0 - rate)) / derivative
            if not lower < w:
                break
            w = lower
            value, derivative = _kept_share(shares, w)
        gamma = 1.0 - w
    else:
        valid = size_of(tuple(s - b + 1 for s, b in zip(sizes, block, strict=True)))
        gamma = min(1.0, rate * size_of(sizes) / size_of(block) / valid)
    q = threshold(gamma)
    assert isinstance(q, int)
    return q, 1.0 - _kept_share(shares, q / ONE)[0] if q < ONE else 0.0
