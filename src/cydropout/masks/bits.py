"""Masks that hold, or draw, one bit for each element."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from cydropout._kernels import api
from cydropout._kernels.threads import MAX_THREADS
from cydropout._rates import size_of
from cydropout._validate import check_array, check_axes, check_offset, check_shape
from cydropout.masks.base import BaseMask

if TYPE_CHECKING:
    from typing_extensions import Self


class BitMask(BaseMask):
    """y = scale * keep * x, elementwise: the same map forward and backward.

    What `Mask`, which draws its bits, and `KeepMask`, which is given them, have in common.

    Attributes
    ----------
    shape : tuple of ints
        The shape of the arrays that the mask is for.
    offset : int
        The mask starts at this element of its draw.

    Examples
    --------
    >>> from cydropout import masks
    >>> issubclass(masks.AlphaMask, masks.BitMask)
    True
    """

    offset: int = 0
    storage: Literal["bits", "seed"] = "bits"
    _axes: tuple[int, ...] = ()  # along which elements share one bit
    _compact: tuple[int, ...]  # the shape with length 1 along them
    _plan: api.Plan
    _words: np.ndarray | None = None  # the keep-bits, where they are given
    _scales: np.ndarray | None = None  # one for each place along the first axis

    def _lay(self, shape: Any, shared_axes: Any, offset: Any = 0) -> None:
        """Set the shape, the axes along which one decision is shared, and the offset."""
        self.shape = check_shape(shape)
        self._axes = axes = check_axes(shared_axes, len(self.shape))
        self._compact = self.shape
        if axes:
            self._compact = tuple([1 if a in axes else n for a, n in enumerate(self.shape)])
        self.offset = check_offset(offset, size_of(self._compact))

    def _make_plan(self, kernel: api.Table | tuple[int, float]) -> None:
        """Make the plan of a table, or of a threshold and a scale that all elements share."""
        store = self.storage == "bits" and self.draw is not None
        self._plan = api.Plan(
            self.key or 0, self.draw or 0, self.offset, size_of(self._compact), kernel, store
        )
        if self._words is not None:
            self._plan.set_bits(self._words)

    @property
    def effective_rate(self) -> float | np.ndarray:
        """The realised probability, or share, of dropped elements."""
        raise NotImplementedError

    @property
    def scale(self) -> float | np.ndarray:
        """What kept elements are multiplied by."""
        raise NotImplementedError

    def fused_plan(self, shared_axes: tuple[int, ...] = ()) -> api.Plan | None:
        """Return what runs within another pass; see `BaseMask.fused_plan`."""
        if self._scales is not None:
            return None
        if self._axes != shared_axes:  # they may yet come to the same
            compact = tuple(1 if a in shared_axes else n for a, n in enumerate(self.shape))
            return self._plan if self._compact == compact else None
        return self._plan

    @property
    def dropped_fraction(self) -> float:
        """The share of elements that are dropped; 0 of an empty mask."""
        if not size_of(self.shape):
            return 0.0
        size = size_of(self._compact)
        return 1.0 - int(api.count_bits(self._plan.bits(), 1, size)[0]) / size

    @property
    def nbytes(self) -> int:
        """Bytes of keep-bits held from forward to backward; 0 with ``storage="seed"``."""
        return self._plan.nbytes

    @property
    def bits(self) -> np.ndarray:
        """The packed keep-bits: element ``i`` is bit ``i % 32`` of word ``i // 32``, read-only."""
        words: np.ndarray = self._plan.bits().view()
        words.flags.writeable = False
        return words

    @property
    def keep(self) -> np.ndarray:
        """Which elements are kept: bool, of the mask's shape (a view along shared axes)."""
        return np.broadcast_to(as_bools(self._plan.bits(), self._compact), self.shape)

    def apply(
        self, x: ArrayLike, out: np.ndarray | None = None, num_threads: int | None = None
    ) -> np.ndarray:
        """y = scale * x where kept, else 0; forward for activations, backward for gradients.

        Parameters
        ----------
        x : array of the mask's shape
            float16, bfloat16, float32 or float64, in any layout; also a CPU array of another
            library that has ``__dlpack__``, and then so is the result.
        out : array, optional
            Where y goes: ``x`` itself, or an array of its shape and dtype that does not overlap
            it.
        num_threads : int, optional
            By default as many as the work is worth, at most `get_num_threads`. Beside BLAS or other
            pools workers help only where they come in time: see `set_num_threads`.

        Returns
        -------
        array
            Of the shape and dtype of ``x``, never sharing its memory unless ``out`` does.

        Raises
        ------
        TypeError
            If ``x`` is not of a floating dtype.
        ValueError
            If ``x`` has another shape than the mask, or ``out`` does not fit.
        """
        # The common call: most of the time of a small array goes into what stands before its pass.
        if num_threads is None or (type(num_threads) is int and 0 < num_threads <= MAX_THREADS):
            code, source = api.ready(x, out), x
            if code >= 0 and self._axes == () and self._scales is None:
                assert isinstance(source, np.ndarray)
                if source.shape == self.shape:
                    y = api.new_like(source) if out is None else out
                    self._plan.apply(source, y, code, num_threads or 0)
                    return y
        return super().apply(x, out, num_threads)

    def over(self, shape: tuple[int, ...]) -> Self:
        """Return the same mask for arrays of another length along its shared axes.

        Raises
        ------
        ValueError
            If the shape differs along an axis that is not shared.
        """
        if shape == self.shape:
            return self
        if len(shape) != len(self.shape) or any(
            n != shape[a] for a, n in enumerate(self.shape) if a not in self._axes
        ):
            raise ValueError(
                f"the mask has shape {self.shape} and shares axes {self._axes}; "
                f"it cannot be laid over {shape}"
            )
        return self._copy(shape=tuple(shape))

    def with_keep(self, keep: ArrayLike) -> Self:
        """Return the mask of this rate and scaling that keeps what ``keep``, of bool, says.

        Raises
        ------
        TypeError, ValueError
            If ``keep`` is not of dtype bool, does not broadcast to the mask's shape, or differs
            along its shared axes.
        """
        words = compacted(keep, self.shape, self._compact)
        mask = self._copy(key=None, draw=None, _words=words)
        mask._build()
        return mask

    def _cut(self, start: int, stop: int) -> dict[str, Any]:
        if 0 in self._axes:
            return {}
        inner = self._compact[1:]
        row = size_of(inner)
        cut: dict[str, Any] = {"_compact": (stop - start, *inner)}
        if self._words is not None:
            cut["_words"] = _between(self._words, start * row, stop * row)
        else:
            cut["offset"] = self.offset + start * row
        return cut

    def _run(
        self, x: np.ndarray, y: np.ndarray, code: int, threads: int, affine: bool = False
    ) -> None:
        plain = not self._axes or self._compact == self.shape
        if plain and self._scales is None:
            self._plan.apply(x, y, code, threads, affine)
        elif x.size:
            rows = _rows(self.shape, self._axes, split=self._scales is not None)
            self._plan.apply_rows(x, y, code, *rows, threads, affine, self._scales)


def packed(keep: ArrayLike, shape: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return the bits of ``keep`` in words, and its shape with as many axes as ``shape``.

    Raises
    ------
    TypeError
        If ``keep`` is not of dtype bool.
    ValueError
        If it does not broadcast to ``shape``.
    """
    array = check_array("keep", keep)
    if array.dtype != np.bool_:
        raise TypeError(f"keep must be an array of bool, not of {array.dtype}")
    compact = (1,) * (len(shape) - array.ndim) + array.shape
    if len(compact) != len(shape) or any(
        n not in (1, m) for n, m in zip(compact, shape, strict=True)
    ):
        raise ValueError(f"keep has shape {array.shape}, which does not broadcast to {shape}")
    octets = np.zeros((array.size + 31) // 32 * 4, np.uint8)
    bits = np.packbits(array, axis=None, bitorder="little")
    octets[: bits.size] = bits
    return octets.view("<u4").astype(np.uint32, copy=False), compact


def _between(words: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return the packed bits of the elements from one number to another."""
    first = start // 32
    bits = as_bools(words[first : (stop + 31) // 32], (stop - 32 * first,))[start - 32 * first :]
    return packed(bits, bits.shape)[0]


def compacted(keep: ArrayLike, shape: tuple[int, ...], compact: tuple[int, ...]) -> np.ndarray:
    """Return the bits of ``keep``, laid over ``shape``, at the first place of each shared axis.

    Raises
    ------
    TypeError, ValueError
        If ``keep`` is not of dtype bool, does not broadcast to ``shape``, or differs along an
        axis that ``compact`` shares.
    """
    packed(keep, shape)
    whole = np.broadcast_to(keep, shape)
    first = whole[tuple(slice(0, n) for n in compact)]
    if not whole.size:
        first = np.zeros(compact, np.bool_)
    elif (whole != first).any():
        axes = tuple(a for a, n in enumerate(compact) if n != shape[a])
        raise ValueError(f"keep differs along axes {axes}, which share one decision")
    return packed(np.broadcast_to(first, compact), compact)[0]


def as_bools(words: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the packed bits of an array of ``shape`` as bools."""
    octets = words.astype("<u4", copy=False).view(np.uint8)
    flat = np.unpackbits(octets, count=size_of(shape), bitorder="little")
    return flat.view(np.bool_).reshape(shape)


def _rows(
    shape: tuple[int, ...], axes: tuple[int, ...], split: bool = False
) -> tuple[list[int], list[int], int, bool]:
    """Merge neighbouring axes of one kind; return outer sizes, strides, row length, shared.

    ``split`` leaves the first axis alone.
    """
    groups: list[tuple[int, bool]] = []
    for axis, n in enumerate(shape):
        shared = axis in axes
        if n == 1 and not (split and axis == 0):
            continue
        if len(groups) > split and groups[-1][1] == shared:
            groups[-1] = (groups[-1][0] * n, shared)
        else:
            groups.append((n, shared))
    if len(groups) == split:
        groups.append((1, False))
    length, shared = groups.pop()
    stride = 1 if shared else length
    strides = []
    for n, is_shared in reversed(groups):
        strides.append(0 if is_shared else stride)
        stride *= 1 if is_shared else n
    return [n for n, _ in groups], strides[::-1], length, shared
