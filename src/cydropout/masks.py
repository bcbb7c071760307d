"""What was drawn: a mask is a diagonal linear map, its own adjoint."""

import operator
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout.random import MaskStream

Scaling = Literal["inverted", "classic", "sqrt"]
_ONE = 2**32


def check_rate(rate: ArrayLike) -> float | np.ndarray:
    """Return ``rate`` as a float, or as a float64 array; raise if a value is no probability."""
    if type(rate) is float and 0.0 <= rate <= 1.0:
        return rate
    try:
        values = np.asarray(rate)
        if values.dtype.kind not in "fiub" and values.dtype.name != "bfloat16":
            raise TypeError
        values = values.astype(np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"rate must be a number or an array of numbers, not {rate!r}") from None
    wrong = values[~((values >= 0) & (values <= 1))]
    if wrong.size:
        raise ValueError(f"rate must lie between 0 and 1, not {wrong.flat[0]}")
    return float(values) if values.ndim == 0 else values


def check_shape(shape: Any) -> tuple[int, ...]:
    """Return ``shape`` as a tuple of lengths."""
    try:
        each = shape if isinstance(shape, (tuple, list)) else (shape,)
        lengths = tuple(operator.index(n) for n in each)
    except TypeError:
        raise TypeError(f"shape must be an int or a tuple of ints, not {shape!r}") from None
    if any(n < 0 for n in lengths):
        raise ValueError(f"shape must not have a negative length, not {lengths}")
    return lengths


def check_axes(shared_axes: Any, ndim: int) -> tuple[int, ...]:
    """Return ``shared_axes`` as sorted non-negative axes."""
    axes = (shared_axes,) if isinstance(shared_axes, int) else tuple(shared_axes)
    for axis in axes:
        if not -ndim <= operator.index(axis) < ndim:
            raise ValueError(f"shared_axes names axis {axis}, but the shape has {ndim} axes")
    return tuple(sorted({axis % ndim for axis in axes}))


def periodic(rate: float | np.ndarray, shape: tuple[int, ...]) -> float | np.ndarray:
    """Return the scalar rate, or one for each element of the trailing axes that it spans."""
    if isinstance(rate, float):
        return rate
    if rate.ndim > len(shape) or any(
        n not in (1, m) for n, m in zip(rate.shape[::-1], shape[::-1], strict=False)
    ):
        raise ValueError(
            f"rate has shape {rate.shape}, which does not broadcast to the mask's shape {shape} "
            "(1 along shared axes)"
        )
    trailing = rate.shape
    while trailing and trailing[0] == 1:
        trailing = trailing[1:]
    rate = rate.reshape(trailing)
    if rate.size == 0 or (rate == rate.flat[0]).all():
        return float(rate.flat[0]) if rate.size else 0.0
    return np.ascontiguousarray(np.broadcast_to(rate, shape[len(shape) - rate.ndim :])).ravel()


def threshold(rate: float | np.ndarray) -> int | np.ndarray:
    """Q = round((1 - rate) * 2**32): kept when 32 random bits are below it."""
    if isinstance(rate, float):
        return round((1.0 - rate) * _ONE)
    return np.rint((1.0 - rate) * _ONE).astype(np.uint64)


def scales(keep: Any, scaling: str) -> tuple[Any, Any]:
    """Return the scale in training and at inference for the realised keep probability."""
    keep = np.asarray(keep, np.float64)
    if scaling == "classic":
        return np.ones_like(keep), keep
    if scaling not in ("inverted", "sqrt"):
        raise ValueError(f"scaling must be 'inverted', 'classic' or 'sqrt', not {scaling!r}")
    root = keep if scaling == "inverted" else np.sqrt(keep)
    # Where nothing is kept, no scale is used: 0 says so without a division.
    training = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
    return training, (np.ones_like(keep) if scaling == "inverted" else root)


class Mask:
    """y = scale * keep * x, elementwise: the same map forward and backward.

    Made by `MaskStream.draw`. Element ``i`` (flat, in C order) is kept if and only if its 32
    random bits of the draw are below ``q = round((1 - rate) * 2**32)``.

    Parameters
    ----------
    stream : MaskStream
        Where the draw is taken from.
    shape : int or tuple of ints
        The shape of the arrays that the mask is for.
    rate : float or array
        The probability of dropping, between 0 and 1. An array broadcasts against the trailing
        axes (one rate per neuron), and has length 1 along shared axes.
    scaling : {"inverted", "classic", "sqrt"}
        With ``k`` the realised keep probability, the scale is ``1 / k``, ``1``, or
        ``1 / sqrt(k)`` (Srivastava et al. 2014 describe the first two).
    shared_axes : int or tuple of ints
        Axes along which all elements share one random number.
    storage : {"bits", "seed"}
        Hold one bit per element from the first use on, or draw again at each use. The numbers
        are the same.
    offset : int
        The mask starts at this element of the draw.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range; no draw is taken then.
    """

    def __init__(
        self,
        stream: MaskStream,
        shape: int | tuple[int, ...],
        rate: ArrayLike,
        *,
        scaling: Scaling = "inverted",
        shared_axes: int | tuple[int, ...] = (),
        storage: Literal["bits", "seed"] = "bits",
        offset: int = 0,
    ) -> None:
        self.shape = check_shape(shape)
        self._axes = check_axes(shared_axes, len(self.shape)) if shared_axes != () else ()
        self._compact = tuple(1 if a in self._axes else n for a, n in enumerate(self.shape))
        if storage not in ("bits", "seed"):
            raise ValueError(f"storage must be 'bits' or 'seed', not {storage!r}")
        self.offset = operator.index(offset)
        size = _size(self._compact)
        if not 0 <= self.offset < 2**64 - size:
            raise ValueError(f"offset must be at least 0 and below 2**64, not {self.offset}")
        self.rate = check_rate(rate)
        rates = periodic(self.rate, self._compact)
        self.scaling = scaling
        self.storage = storage
        q = threshold(rates)
        keep = q / _ONE
        scale, _ = scales(keep, scaling)
        self._identity = bool(np.all(np.asarray(q) == _ONE))
        self.key = stream.key
        # A rate of 0 uses no random number.
        self.draw = None if self._identity else stream.take()
        self._make(size, q, scale)

    def _make(self, size: int, q: Any, scale: Any) -> None:
        self._state = (size, q, scale)
        if isinstance(q, int):
            scale = float(scale)
        self._plan = api.Plan(self.key, self.draw or 0, self.offset, size, q, scale,
                              self.storage == "bits" and not self._identity)

    @property
    def effective_rate(self) -> float | np.ndarray:
        """The realised probability of dropping, ``1 - q / 2**32``."""
        return self._public(1.0 - np.asarray(self._state[1]) / _ONE)

    @property
    def scale(self) -> float | np.ndarray:
        """What kept elements are multiplied by; 0 where the rate is 1 and nothing is kept."""
        return self._public(self._state[2])

    def _public(self, values: Any) -> float | np.ndarray:
        values = np.asarray(values, np.float64)
        if values.ndim == 0:
            return float(values)
        trailing: tuple[int, ...] = ()
        while _size(trailing) < values.size:
            trailing = self._compact[len(self._compact) - len(trailing) - 1 :]
        repeated: np.ndarray = values.reshape(trailing).copy()
        return repeated

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
        words = self._plan.bits().astype("<u4", copy=False)
        flat = np.unpackbits(words.view(np.uint8), count=_size(self._compact), bitorder="little")
        return np.broadcast_to(flat.view(np.bool_).reshape(self._compact), self.shape)

    def apply(
        self, x: ArrayLike, out: np.ndarray | None = None, num_threads: int | None = None
    ) -> np.ndarray:
        """Y = scale * x where kept, else 0; forward for activations, backward for gradients.

        Parameters
        ----------
        x : array of the mask's shape
            float16, bfloat16, float32 or float64, in any layout.
        out : array, optional
            Where y goes: ``x`` itself, or an array of its shape and dtype that does not overlap
            it.
        num_threads : int, optional
            By default as many as the work is worth, at most `get_num_threads`.

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
        x, code = _arrays.as_float_array(x)
        if x.shape != self.shape:
            raise ValueError(f"x has shape {x.shape}, but the mask has shape {self.shape}")
        threads = check_num_threads(num_threads)
        if out is not None:
            _arrays.check_out(out, x)
        ready = _arrays.contiguous(x)
        # The result keeps the byte order of x; a copy made on the way is free to write to.
        if out is not None and _arrays.is_ready(out):
            y = out
        elif ready is not x and not np.may_share_memory(ready, x):
            y = ready
        else:
            y = np.empty(x.shape, x.dtype.newbyteorder("="))
        self._run(ready, y, code, threads)
        if out is None:
            return y.astype(x.dtype, copy=False)
        if y is not out:
            out[...] = y
        return out

    def _run(self, x: np.ndarray, y: np.ndarray, code: int, threads: int) -> None:
        if not self._axes or self._compact == self.shape:
            self._plan.apply(x, y, code, threads)
        elif x.size:
            self._plan.apply_rows(x, y, code, *_rows(self.shape, self._axes), threads)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_plan"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make(*self._state)

    def __repr__(self) -> str:
        return (f"Mask(shape={self.shape}, rate={self.rate}, scaling={self.scaling!r}, "
                f"key={self.key}, draw={self.draw}, offset={self.offset})")


class InferenceMask(Mask):
    """The map of a dropout layer at inference: no element is dropped, no number drawn.

    With the default scaling it is the identity, and `apply` returns its input itself. Other
    scalings multiply by the mean, ``k`` or ``sqrt(k)``; where the rate is 1, that is 0.
    """

    def __init__(
        self,
        shape: int | tuple[int, ...],
        rate: ArrayLike,
        *,
        scaling: Scaling = "inverted",
        shared_axes: int | tuple[int, ...] = (),
    ) -> None:
        super().__init__(MaskStream.from_state(0, 0), shape, 0.0, shared_axes=shared_axes)
        self.rate = check_rate(rate)
        self.scaling = scaling
        rates = periodic(self.rate, self._compact)
        _, scale = scales(threshold(rates) / _ONE, scaling)
        self._returns_input = scaling == "inverted"
        scale = np.asarray(scale)
        q = np.where(scale > 0, np.uint64(_ONE), np.uint64(0))
        self._make(self._state[0], int(q) if q.ndim == 0 else q, scale)

    def apply(
        self, x: ArrayLike, out: np.ndarray | None = None, num_threads: int | None = None
    ) -> np.ndarray:
        """Return ``x`` itself, or, scaled by the mean of a mask, as `Mask.apply`."""
        if not self._returns_input:
            return super().apply(x, out, num_threads)
        x, _ = _arrays.as_float_array(x)
        if x.shape != self.shape:
            raise ValueError(f"x has shape {x.shape}, but the mask has shape {self.shape}")
        if out is None:
            return x
        _arrays.check_out(out, x)
        if out is not x:
            np.copyto(out, x)
        return out


def inference_mask(
    shape: int | tuple[int, ...],
    rate: ArrayLike,
    *,
    scaling: Scaling = "inverted",
    shared_axes: int | tuple[int, ...] = (),
) -> InferenceMask:
    """Return what stands for `MaskStream.draw` at inference."""
    return InferenceMask(shape, rate, scaling=scaling, shared_axes=shared_axes)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def _rows(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[list[int], list[int], int, bool]:
    """Merge neighbouring axes of one kind; return outer sizes, strides, row length, shared."""
    groups: list[tuple[int, bool]] = []
    for axis, n in enumerate(shape):
        shared = axis in axes
        if n == 1:
            continue
        if groups and groups[-1][1] == shared:
            groups[-1] = (groups[-1][0] * n, shared)
        else:
            groups.append((n, shared))
    length, shared = groups.pop()
    stride = 1 if shared else length
    strides = []
    for n, is_shared in reversed(groups):
        strides.append(0 if is_shared else stride)
        stride *= 1 if is_shared else n
    return [n for n, _ in groups], strides[::-1], length, shared
