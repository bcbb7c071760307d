"""Masks that are given: by another kernel, or by a caller."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._rates import ONE, size_of
from cydropout._validate import check_shape
from cydropout.masks._applied import applied
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
    """

    def __init__(
        self, shape: int | tuple[int, ...], keep: ArrayLike, scale: float | ArrayLike = 1.0
    ) -> None:
        shape = check_shape(shape)
        words, compact = packed(keep, shape)
        self._take(shape, compact, words, scale)

    @classmethod
    def from_bits(
        cls,
        shape: tuple[int, ...],
        bits: np.ndarray,
        scale: float | np.ndarray = 1.0,
        shared_axes: tuple[int, ...] = (),
    ) -> "KeepMask":
        """Return the mask of packed bits: element ``i`` is bit ``i % 32`` of word ``i // 32``.

        The bits, of dtype uint32, are those of the shape with length 1 along ``shared_axes``.
        """
        compact = tuple(1 if a in shared_axes else n for a, n in enumerate(shape))
        mask = cls.__new__(cls)
        mask._take(shape, compact, bits, scale)
        return mask

    def _take(
        self, shape: tuple[int, ...], compact: tuple[int, ...], words: np.ndarray, scale: ArrayLike
    ) -> None:
        scales = np.asarray(scale, np.float64)
        wrong = scales[~((scales >= 0) & (scales < np.inf))]
        if wrong.size:
            raise ValueError(f"scale must be finite and not negative, not {wrong.flat[0]}")
        if scales.ndim and scales.shape != shape[:1]:
            raise ValueError(
                f"scale has shape {scales.shape}; it must be one number, or one for each of the "
                f"{shape[:1]} places along the first axis"
            )
        self.shape, self._compact = shape, compact
        self._axes = tuple(a for a, n in enumerate(compact) if n == 1 and shape[a] != 1)
        self._words = words
        self._scale: float | np.ndarray = scales if scales.ndim else float(scales)
        self._scales = np.ascontiguousarray(scales) if scales.ndim else None
        self._make()

    def _make(self) -> None:
        shared = 1.0 if isinstance(self._scale, np.ndarray) else self._scale
        self._plan = api.Plan(0, 0, 0, size_of(self._compact), (ONE, shared), True)
        self._plan.set_bits(self._words)

    @property
    def effective_rate(self) -> float:
        """The share of dropped elements; 0 of an empty mask."""
        size = size_of(self._compact)
        if not size_of(self.shape):
            return 0.0
        return 1.0 - int(api.count_bits(self._words, 1, size)[0]) / size

    @property
    def scale(self) -> float | np.ndarray:
        """What kept elements are multiplied by: a number, or one for each place of axis 0."""
        return self._scale

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make()

    def __repr__(self) -> str:
        return f"KeepMask(shape={self.shape}, effective_rate={self.effective_rate:.4g})"


class ScaleMask(KeepMask):
    """y = scale * x, as a mask that keeps everything: it can run within another pass.

    Parameters
    ----------
    shape : tuple of ints
        The shape of the arrays that the mask is for.
    scale : float
        Finite, and not negative.
    """

    def __init__(self, shape: tuple[int, ...], scale: float) -> None:
        shape = check_shape(shape)
        self._take(shape, shape, np.empty(0, np.uint32), float(scale))

    def _make(self) -> None:
        factor = float(self._scale)
        self._plan = api.Plan(0, 0, 0, size_of(self.shape), (ONE, factor), False)

    @property
    def effective_rate(self) -> float:
        """0: no element is dropped."""
        return 0.0

    def __repr__(self) -> str:
        return f"ScaleMask(shape={self.shape}, scale={self._scale})"


class FactorMask:
    """y = factors * x, for factors that are given, such as noise that was drawn elsewhere.

    Parameters
    ----------
    shape : int or tuple of ints
        The shape of the arrays that the mask is for.
    factors : array
        It broadcasts to ``shape``.
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
    def nbytes(self) -> int:
        """Bytes held from forward to backward."""
        return self.values.nbytes

    def apply(
        self, x: ArrayLike, out: np.ndarray | None = None, num_threads: int | None = None
    ) -> np.ndarray:
        """y = factors * x; parameters, result and errors are those of `Mask.apply`."""
        return applied(self._run, self.shape, x, out, num_threads)

    def _run(self, x: np.ndarray, y: np.ndarray, code: int, threads: int) -> None:
        np.multiply(x, self.values, out=y, casting="same_kind")

    backward = apply

    def __repr__(self) -> str:
        return f"FactorMask(shape={self.shape})"
