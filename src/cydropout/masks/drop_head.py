"""Masks of whole heads, what is kept of a sample scaled up to stand for all of its heads."""

import numpy as np
from numpy.typing import ArrayLike

from cydropout._validate import check_one_rate, check_shape
from cydropout.masks.bernoulli import Mask
from cydropout.masks.bits import as_bools
from cydropout.masks.given import KeepMask
from cydropout.random import MaskStream


class HeadMask(KeepMask):
    """y = heads / kept * x where the head is kept, else 0, with the count ``kept`` of each sample.

    Each head of each sample is dropped with probability ``rate``; a sample that keeps none is 0.
    Head ``h`` of sample ``n`` is element ``n * heads + h`` of the draw.

    Parameters
    ----------
    stream : MaskStream
        Where the draw is taken from.
    shape : tuple of ints
        (samples, ...), with the heads along ``axis``.
    rate : float
        The probability of dropping a head.
    axis : int
        Along which the heads lie: any but the first.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range; no draw is taken then.

    Attributes
    ----------
    rate : float
    axis : int
    key, draw : int or None
        Where on the tape the mask stands; None if none was used.
    """

    def __init__(
        self, stream: MaskStream, shape: tuple[int, ...], rate: float, *, axis: int = 1
    ) -> None:
        rate = check_one_rate(rate, "a mask of heads")
        shape = check_shape(shape)
        self.axis = head_axis(axis, shape)
        self._adopt(Mask(stream, shape, rate, shared_axes=inside_heads(self.axis, shape)))

    def _adopt(self, drawn: Mask) -> None:
        self._drawn = drawn
        self.rate, self.key, self.draw = drawn.rate, drawn.key, drawn.draw
        samples, heads = drawn.shape[0], drawn.shape[self.axis]
        words = drawn.bits
        kept = as_bools(words, (samples, heads)).sum(axis=1)
        self._take(drawn.shape, drawn._compact, words, heads / np.maximum(kept, 1))

    def with_keep(self, keep: ArrayLike) -> "HeadMask":
        """Return the mask that keeps the heads that ``keep``, of bool, says; see `Mask.with_keep`.

        The scale is that of the heads it keeps.
        """
        mask = object.__new__(type(self))
        mask.axis = self.axis
        mask._adopt(self._drawn.over(self.shape).with_keep(keep))
        return mask

    def __repr__(self) -> str:
        return (f"HeadMask(shape={self.shape}, rate={self.rate}, axis={self.axis}, "
                f"key={self.key}, draw={self.draw})")


def head_axis(axis: int, shape: tuple[int, ...]) -> int:
    """Return ``axis`` counted from the first, or raise if ``shape`` has no heads there."""
    if not -len(shape) <= axis < len(shape) or axis % len(shape) == 0:
        raise ValueError(
            f"axis {axis} holds no heads: the shape {shape} needs the samples along axis 0 and "
            "the heads along another one"
        )
    return axis % len(shape)


def inside_heads(axis: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes along which a head has its elements."""
    return tuple(a for a in range(len(shape)) if a not in (0, axis))
