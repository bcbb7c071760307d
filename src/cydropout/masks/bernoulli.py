"""What was drawn: a mask is a diagonal linear map, its own adjoint."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout._rates import (
    ONE,
    Scaling,
    inference_scale,
    periodic,
    size_of,
    threshold,
    training_scale,
)
from cydropout._validate import check_axes, check_offset, check_rate, check_shape
from cydropout.masks.bits import BitMask, compacted
from cydropout.random import MaskStream

if TYPE_CHECKING:
    from typing_extensions import Self

#: Rates per mask for which tables are kept: 64 tables of at most 0.2 MiB.
_LARGEST_KEPT = 8192


class _Map(NamedTuple):
    """A checked rate, and what it makes of random numbers."""

    rate: float | np.ndarray
    q: int | np.ndarray
    scale: float | np.ndarray
    identity: bool
    kernel: api.Table | tuple[int, float]


def _map(rate: ArrayLike, shape: tuple[int, ...], scaling: Scaling) -> _Map:
    """Return the map of a rate; one that a layer asks for at every step is kept."""
    if type(rate) is np.ndarray and rate.dtype.kind == "f" and 1 < rate.size <= _LARGEST_KEPT:
        trailing = rate.shape.index(next(n for n in rate.shape if n > 1)) - rate.ndim
        if size_of(shape[trailing:]) <= _LARGEST_KEPT:  # what the rates are spread over
            return _kept_map(rate.tobytes(), rate.dtype, rate.shape, shape, scaling)
    if type(rate) is float:
        return _float_map(rate, scaling)
    return _new_map(rate, shape, scaling)


@lru_cache(maxsize=256)
def _float_map(rate: float, scaling: Scaling) -> _Map:
    return _new_map(rate, (), scaling)


@lru_cache(maxsize=64)
def _kept_map(
    rate: bytes, dtype: np.dtype[Any], rates: tuple[int, ...], shape: tuple[int, ...],
    scaling: Scaling,
) -> _Map:
    return _new_map(np.frombuffer(rate, dtype).reshape(rates), shape, scaling)


def _new_map(rate: ArrayLike, shape: tuple[int, ...], scaling: Scaling) -> _Map:
    checked = check_rate(rate)
    q = threshold(periodic(checked, shape))
    scale = training_scale(q, scaling)
    identity = q == ONE if isinstance(q, int) else bool((q == ONE).all())
    for array in (checked, q, scale):
        if isinstance(array, np.ndarray):
            array.flags.writeable = False  # masks share it
    return _Map(checked, q, scale, identity, _kernel(q, scale))


def _kernel(q: Any, scale: Any) -> Any:
    return (q, scale) if isinstance(q, int) else api.Table(q, scale)


class Mask(BitMask):
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

    Attributes
    ----------
    key, draw : int or None
        Where on the tape the mask stands; None if the rate is 0 and none was used.
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
        if not isinstance(stream, MaskStream):
            raise TypeError(f"stream must be a MaskStream, not {stream!r}")
        self.shape = check_shape(shape)
        self._axes = check_axes(shared_axes, len(self.shape))
        self._compact = tuple(1 if a in self._axes else n for a, n in enumerate(self.shape))
        if storage not in ("bits", "seed"):
            raise ValueError(f"storage must be 'bits' or 'seed', not {storage!r}")
        self.offset = check_offset(offset, size_of(self._compact))
        checked, q, scale, identity, kernel = _map(rate, self._compact, scaling)
        # A view of a read-only array, which nobody can make writeable.
        self.rate = checked if isinstance(checked, float) else checked.view()
        self.scaling = scaling
        self.storage = storage
        self._given: np.ndarray | None = None
        self.key: int | None = None
        self.draw: int | None = None
        self._make(q, scale, storage == "bits" and not identity, kernel)
        # A rate of 0 uses no random number.
        if not identity:
            self.key, self.draw = stream.key, stream.take()
            self._plan.set_draw(self.key, self.draw)

    def _make(self, q: Any, scale: Any, store: bool, kernel: Any = None) -> None:
        self._state = (q, scale, store)
        self._plan = api.Plan(
            self.key or 0, self.draw or 0, self.offset, size_of(self._compact),
            _kernel(q, scale) if kernel is None else kernel, store,
        )
        if self._given is not None:
            self._plan.set_bits(self._given)

    def with_keep(self, keep: ArrayLike) -> "Self":
        """Return the mask of this rate and scale that keeps what ``keep``, of bool, says.

        Raises
        ------
        TypeError, ValueError
            If ``keep`` is not of dtype bool, does not broadcast to the mask's shape, or differs
            along its shared axes.
        """
        words = compacted(keep, self.shape, self._compact)
        mask = object.__new__(type(self))
        mask.__dict__.update(self.__dict__, key=None, draw=None, _given=words)
        mask._make(*self._state)
        return mask

    @property
    def effective_rate(self) -> float | np.ndarray:
        """The realised probability of dropping, ``1 - q / 2**32``."""
        return 1.0 - threshold(self.rate) / ONE

    @property
    def scale(self) -> float | np.ndarray:
        """What kept elements are multiplied by; 0 where the rate is 1 and nothing is kept."""
        scale: float | np.ndarray = training_scale(threshold(self.rate), self.scaling)
        return scale

    @property
    def nbytes(self) -> int:
        """Bytes of keep-bits held from forward to backward; 0 with ``storage="seed"``."""
        return self._plan.nbytes

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
        q = threshold(periodic(self.rate, self._compact))
        scale = inference_scale(q, scaling)
        self._returns_input = scaling == "inverted"
        if not self._returns_input:
            keep = np.where(np.asarray(q) > 0, np.uint64(ONE), np.uint64(0))
            self._make(int(keep) if isinstance(q, int) else keep, scale, False)

    @property
    def effective_rate(self) -> float | np.ndarray:
        """0: no element is dropped."""
        return 0.0

    @property
    def scale(self) -> float | np.ndarray:
        """What all elements are multiplied by: ``1``, ``k`` or ``sqrt(k)``."""
        scale: float | np.ndarray = inference_scale(threshold(self.rate), self.scaling)
        return scale

    def apply(
        self, x: ArrayLike, out: np.ndarray | None = None, num_threads: int | None = None
    ) -> np.ndarray:
        """Return ``x`` itself, or, scaled by the mean of a mask, as `Mask.apply`."""
        if not self._returns_input:
            return super().apply(x, out, num_threads)
        array, _ = _arrays.as_float_array(x)
        if array.shape != self.shape:
            raise ValueError(f"x has shape {array.shape}, but the mask has shape {self.shape}")
        check_num_threads(num_threads)
        if out is None:
            return x if isinstance(x, np.ndarray) else array
        _arrays.check_out(out, array)
        if out is not x:
            np.copyto(out, array)
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
