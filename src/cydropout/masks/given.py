"""Masks that are not drawn: another kernel, or a caller, says what they do."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._rates import ONE, size_of
from cydropout._validate import (
    check_array,
    check_axes,
    check_number,
    check_numbers,
    check_offset,
    check_shape,
)
from cydropout.masks.base import BaseMask
from cydropout.masks.bits import BitMask, packed


class KeepMask(BitMask):
    """y = scale * keep * x for bits that are there already.

    Parameters
    ----------
    shape : int or tuple of ints
        The shape of the arrays that the mask is for.
    keep : array of bool
        What is kept. It broadcasts to ``shape``; along axes where it has length 1, or none, the
        elements share one bit.
    scale : float or array
        What kept elements are multiplied by; an array, of one axis, has one for each place along
        the first axis.

    Raises
    ------
    TypeError
        If ``keep`` is not of dtype bool.
    ValueError
        If a shape does not fit, or a scale is negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.masks import KeepMask
    >>> KeepMask((2, 3), np.array([True, False, True]), 1.5).apply(np.ones((2, 3)))
    array([[1.5, 0. , 1.5],
           [1.5, 0. , 1.5]])
    """

    _shown: ClassVar[tuple[str, ...]] = ("effective_rate",)
    _scale: float | np.ndarray

    def __init__(
        self, shape: int | tuple[int, ...], keep: ArrayLike, scale: float | ArrayLike = 1.0
    ) -> None:
        shape = check_shape(shape)
        words, compact = packed(keep, shape)
        self._hold(shape, compact, words, _checked_scale(scale, shape))

    @classmethod
    def from_bits(
        cls,
        shape: tuple[int, ...],
        bits: np.ndarray,
        scale: float | np.ndarray = 1.0,
        shared_axes: tuple[int, ...] = (),
    ) -> KeepMask:
        """Return the mask of packed bits: element ``i`` is bit ``i % 32`` of word ``i // 32``.

        The bits, of dtype uint32, are those of the shape with length 1 along ``shared_axes``.
        """
        shape = check_shape(shape)
        axes = check_axes(shared_axes, len(shape))
        compact = tuple(1 if a in axes else n for a, n in enumerate(shape))
        words, size = check_array("bits", bits), (size_of(compact) + 31) // 32
        if words.dtype.newbyteorder("=") != np.uint32 or words.shape != (size,):
            raise ValueError(
                f"bits of shape {shape} must be {size} words of uint32, not {words.dtype} of shape "
                f"{words.shape}"
            )
        mask = cls.__new__(cls)
        mask._hold(shape, compact, _arrays.contiguous(words), _checked_scale(scale, shape))
        return mask

    def _hold(
        self,
        shape: tuple[int, ...],
        compact: tuple[int, ...],
        words: np.ndarray | None,
        scale: float | np.ndarray = 1.0,
    ) -> None:
        """Set the bits of ``compact``, which are ones where ``words`` is None, and build."""
        check_offset(0, size_of(compact))
        self.shape, self._compact, self._words = shape, compact, words
        self._axes = tuple(a for a, n in enumerate(compact) if n == 1 and shape[a] != 1)
        self._scale = scale
        self._build()

    def _build(self) -> None:
        self._scale = scale = self._rescaled()
        self._scales = None if isinstance(scale, float) else scale
        self._make_plan((ONE, scale if isinstance(scale, float) else 1.0))

    def _rows(self, start: int, stop: int) -> KeepMask:
        # Of bits alone: what drew them, and what scales them, knows the whole.
        cut, scale = self._cut(start, stop), self._scale
        mask = KeepMask.__new__(KeepMask)
        mask._hold(
            (stop - start, *self.shape[1:]), cut.get("_compact", self._compact),
            cut.get("_words", self._words),
            scale if isinstance(scale, float) else scale[start:stop],
        )
        return mask

    def _rescaled(self) -> float | np.ndarray:
        """Return the scale, which may follow from the bits."""
        return self._scale

    @property
    def effective_rate(self) -> float:
        """The share of dropped elements; 0 of an empty mask."""
        return self.dropped_fraction

    @property
    def scale(self) -> float | np.ndarray:
        """What kept elements are multiplied by: a number, or one for each place of axis 0."""
        return self._scale


def _checked_scale(scale: ArrayLike, shape: tuple[int, ...]) -> float | np.ndarray:
    scales = check_numbers("scale", scale, "[0, inf)")
    if isinstance(scales, float):
        return scales
    if scales.shape != shape[:1]:
        raise ValueError(
            f"scale has shape {scales.shape}; it must be one number, or one for each of the "
            f"{shape[:1]} places along the first axis"
        )
    return _arrays.contiguous(scales)


class ScaleMask(KeepMask):
    """y = scale * x, as a mask that keeps everything: it can run within another pass.

    Parameters
    ----------
    shape : tuple of ints
        The shape of the arrays that the mask is for.
    scale : float
        Finite, and not negative.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.masks import ScaleMask
    >>> ScaleMask((3,), 0.5).apply(np.ones(3))
    array([0.5, 0.5, 0.5])
    """

    _shown = ("scale",)

    def __init__(self, shape: tuple[int, ...], scale: float) -> None:
        shape = check_shape(shape)
        self._hold(shape, shape, None, check_number("scale", scale, "[0, inf)"))


class FactorMask(BaseMask):
    """y = factors * x, for factors that are given, such as noise that was drawn elsewhere.

    Parameters
    ----------
    shape : int or tuple of ints
        The shape of the arrays that the mask is for.
    factors : array
        It broadcasts to ``shape``.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.masks import FactorMask
    >>> FactorMask((2, 3), np.array([0.5, 1.0, 2.0])).apply(np.ones((2, 3)))
    array([[0.5, 1. , 2. ],
           [0.5, 1. , 2. ]])
    """

    def __init__(self, shape: int | tuple[int, ...], factors: ArrayLike) -> None:
        self.shape = check_shape(shape)
        array, _ = _arrays.as_float_array(factors, "factors")
        try:
            self.values = np.broadcast_to(array, self.shape)
        except ValueError:
            raise ValueError(
                f"factors have shape {array.shape}, which does not broadcast to {self.shape}"
            ) from None

    @property
    def dropped_fraction(self) -> float:
        """The share of factors that are 0."""
        return float(np.mean(self.values == 0)) if self.values.size else 0.0

    @property
    def nbytes(self) -> int:
        """Bytes held from forward to backward."""
        return self.values.nbytes

    def _run(self, x: np.ndarray, y: np.ndarray, code: int, threads: int) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # as the kernels of other masks do
            np.multiply(x, self.values, out=y, casting="same_kind")
