"""Masks of whole heads, what is kept of a sample scaled up to stand for all of its heads."""

from __future__ import annotations

import numpy as np

from cydropout._validate import check_integer, check_one_rate, check_shape
from cydropout.masks.bernoulli import Mask
from cydropout.masks.bits import as_bools
from cydropout.masks.given import KeepMask


class HeadMask(KeepMask):
    """y = heads / kept * x where the head is kept, else 0, with the count ``kept`` of each sample.

    Each head of each sample is dropped with probability ``rate``; a sample that keeps none is 0.
    Head ``h`` of sample ``n`` is element ``n * heads + h`` of the draw.

    Parameters
    ----------
    key, draw : int
        Which random numbers decide.
    shape : tuple of ints
        (samples, ...), with the heads along ``axis``.
    rate : float
        The probability of dropping a head.
    axis : int
        Along which the heads lie: any but the first.

    Attributes
    ----------
    rate : float
    axis : int
    key, draw : int or None
        As given, or None where the rate is 0, since no random number is used then.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.masks import HeadMask
    >>> HeadMask(key=0, draw=0, shape=(2, 4), rate=0.5).apply(np.ones((2, 4)))
    array([[0., 2., 0., 2.],
           [0., 4., 0., 0.]])
    """

    _shown = ("rate", "axis", "key", "draw")

    def __init__(
        self, key: int, draw: int, shape: tuple[int, ...], rate: float, *, axis: int = 1
    ) -> None:
        self.rate = check_one_rate(rate, "a mask of heads")
        shape = check_shape(shape)
        self.axis = head_axis(axis, shape)
        drawn = Mask(key, draw, shape, self.rate, shared_axes=inside_heads(self.axis, shape))
        self.key, self.draw = drawn.key, drawn.draw
        self._hold(shape, drawn._compact, drawn.bits)

    def _rescaled(self) -> np.ndarray:
        heads = self.shape[self.axis]
        assert self._words is not None
        kept = as_bools(self._words, (self.shape[0], heads)).sum(axis=1)
        scale: np.ndarray = heads / np.maximum(kept, 1)
        return scale


def head_axis(axis: int, shape: tuple[int, ...]) -> int:
    """Return ``axis`` counted from the first, or raise if ``shape`` has no heads there.

    Examples
    --------
    >>> from cydropout.masks import head_axis
    >>> head_axis(-3, (2, 4, 5, 6))
    1
    """
    axis = check_integer("axis", axis, "(-inf, inf)")
    if not -len(shape) <= axis < len(shape) or axis % len(shape) == 0:
        raise ValueError(
            f"axis {axis} holds no heads: the shape {shape} needs the samples along axis 0 and "
            "the heads along another one"
        )
    return axis % len(shape)


def inside_heads(axis: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes along which a head has its elements.

    Examples
    --------
    >>> from cydropout.masks import inside_heads
    >>> inside_heads(1, (2, 4, 5, 6))
    (2, 3)
    """
    return tuple(a for a in range(len(shape)) if a not in (0, axis))
