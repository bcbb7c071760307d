"""Masks that drop regions of maps: what blocks, walks and holes have in common."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout._rates import size_of
from cydropout._validate import check_axes, check_choice, check_shape
from cydropout.masks.base import check_source
from cydropout.masks.bits import compacted
from cydropout.masks.given import KeepMask

Rescale = Literal["sample", "batch", "inverted", "none"]
RESCALES = ("sample", "batch", "inverted", "none")


def check_rescale(scaling: Any) -> Rescale:
    """Return ``scaling`` if there is one of that name."""
    found: Rescale = check_choice("scaling", scaling, RESCALES)
    return found


class RegionMask(KeepMask):
    """y = scale * keep * x, where regions of maps are dropped; the bits are drawn at once.

    A map is what lies along ``axes``. A subclass says which share of one is dropped, and draws.

    Parameters
    ----------
    key, draw : int
        Which random numbers decide.
    shape : int or tuple of ints
        The shape of the arrays that the mask is for. The first axis is that of samples.
    axes : tuple of ints
        The axes of space, one after another.
    shared_axes : int or tuple of ints
        Axes along which all maps are one, such as the channels.
    scaling : {"sample", "batch", "inverted", "none"}
        What is kept is multiplied, in each sample or all of them alike, by the number of elements
        over the number of kept ones; by one over the expected share of kept ones; or by 1.
    num_threads : int, optional
        For drawing.

    Attributes
    ----------
    rate : float
        The expected share of dropped elements; `effective_rate` is that of this mask.
    key, draw : int or None
        As given, or None where nothing can be dropped, since no random number is used then.

    Examples
    --------
    >>> from cydropout import masks
    >>> issubclass(masks.BlockMask, masks.RegionMask)
    True
    """

    _shown = ("rate", "scaling", "key", "draw")

    def __init__(
        self,
        key: int,
        draw: int,
        shape: int | tuple[int, ...],
        *,
        axes: int | tuple[int, ...],
        shared_axes: int | tuple[int, ...] = (),
        scaling: Rescale = "sample",
        num_threads: int | None = None,
    ) -> None:
        key, draw = check_source(key, draw)
        shape = check_shape(shape)
        space, shared = check_axes(axes, len(shape)), check_axes(shared_axes, len(shape))
        if not space or space != tuple(range(space[0], space[0] + len(space))):
            raise ValueError(f"axes of space must be one after another, not {axes}")
        if space[0] == 0:
            raise ValueError(f"axes {axes} must be of space, and axis 0 is that of samples")
        if set(space) & set(shared):
            raise ValueError(f"shared_axes cannot name axes of space {space}, as {shared} does")
        self.scaling = check_rescale(scaling)
        self._threads = check_num_threads(num_threads)
        compact = tuple(1 if a in shared else n for a, n in enumerate(shape))
        sizes = tuple(max(1, shape[a]) for a in space)
        self.rate = self._expected(sizes)
        if self.rate > 0.0:
            self.key, self.draw = key, draw
        try:
            if size_of(shape) >= 2**63:
                raise OverflowError("the kernels count with 64 bits")
            if 0.0 < self.rate < 1.0 and size_of(compact):
                count, inner = size_of(compact[: space[0]]), size_of(compact[space[-1] + 1 :])
                words = self._bits(key, draw, (count, *sizes, inner), self._threads)
            else:
                words = compacted(np.bool_(self.rate == 0.0), compact, compact)
        except (MemoryError, OverflowError) as error:
            raise MemoryError(
                f"a {type(self).__name__} of shape {shape} holds {size_of(compact) / 2**33:.3g} "
                "GiB of bits, for which there is no room; draw it for fewer samples at once"
            ) from error
        self._hold(shape, compact, words)

    def _expected(self, sizes: tuple[int, ...]) -> float:
        """Return the share of a map that is dropped in the mean."""
        raise NotImplementedError(f"{type(self).__name__} drops no regions")

    def _bits(self, key: int, draw: int, shape: tuple[int, ...], threads: int) -> np.ndarray:
        """Draw the packed keep-bits of arrays of ``shape``, (count, *sizes, inner)."""
        raise NotImplementedError(f"{type(self).__name__} draws no regions")

    def _rescaled(self) -> float | np.ndarray:
        size, samples = size_of(self._compact), self._compact[0]
        if self.scaling == "none" or not size:
            return 1.0
        if self.scaling == "inverted":
            return 1.0 / (1.0 - self.rate) if self.rate < 1.0 else 0.0
        assert self._words is not None
        kept = api.count_bits(self._words, samples, size // samples, self._threads)
        if self.scaling == "batch":
            kept = kept.sum(keepdims=True)
        scale = np.divide(size // kept.size, kept, out=np.zeros(kept.size), where=kept > 0)
        return float(scale[0]) if kept.size == 1 else scale
