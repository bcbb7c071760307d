"""Dropout's own mask: a diagonal linear map, its own adjoint."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, NamedTuple

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
from cydropout._validate import check_choice, check_rate, check_scaling
from cydropout.masks.base import WORD, check_source
from cydropout.masks.bits import BitMask

#: Rates per mask for which tables are cached: 64 tables of at most 0.2 MiB.
_LARGEST_CACHED = 8192


class _Map(NamedTuple):
    """A checked rate, and what it makes of random numbers."""

    rate: float | np.ndarray
    q: int | np.ndarray
    scale: float | np.ndarray
    identity: bool
    kernel: api.Table | tuple[int, float]


def _map(rate: ArrayLike, shape: tuple[int, ...], scaling: Scaling) -> _Map:
    """Return the map of a rate; one that a layer asks for at every step is cached."""
    if type(rate) is np.ndarray and rate.dtype.kind == "f" and 1 < rate.size <= _LARGEST_CACHED:
        trailing = rate.shape.index(next(n for n in rate.shape if n > 1)) - rate.ndim
        if size_of(shape[trailing:]) <= _LARGEST_CACHED:  # what the rates are spread over
            return _cached_map(rate.tobytes(), rate.dtype, rate.shape, shape, scaling)
    if type(rate) is float:
        return _float_map(rate, scaling)
    return _new_map(rate, shape, scaling)


@lru_cache(maxsize=256)
def _float_map(rate: float, scaling: Scaling) -> _Map:
    return _new_map(rate, (), scaling)


@lru_cache(maxsize=64)
def _cached_map(
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

    Element ``i`` (flat, in C order) is kept if and only if its 32 random bits of the draw are
    below ``q = round((1 - rate) * 2**32)``. `MaskStream.draw` makes one of the next draw.

    Parameters
    ----------
    key, draw : int
        Which random numbers decide: a key, and the number of a draw.
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
        If an argument is out of its range.

    Attributes
    ----------
    key, draw : int or None
        As given, or None where the rate is 0, since no random number is used then.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import Mask
    >>> mask = Mask(key=0, draw=0, shape=(2, 4), rate=0.5)
    >>> mask.keep
    array([[False,  True, False,  True],
           [False,  True, False, False]])
    >>> mask.apply(np.ones((2, 4)))
    array([[0., 2., 0., 2.],
           [0., 2., 0., 0.]])
    """

    rate: Any  # a float, or a read-only array
    _shown = ("rate", "scaling", "key", "draw", "offset")

    def __init__(
        self,
        key: int,
        draw: int,
        shape: int | tuple[int, ...],
        rate: ArrayLike,
        *,
        scaling: Scaling = "inverted",
        shared_axes: int | tuple[int, ...] = (),
        storage: Literal["bits", "seed"] = "bits",
        offset: int = 0,
    ) -> None:
        if type(storage) is not str or storage not in ("bits", "seed"):
            check_choice("storage", storage, ("bits", "seed"))
        if type(scaling) is not str:
            check_scaling(scaling)
        self.storage = storage
        self.scaling = scaling
        # The common call, without a call of Python on the way: it comes once in every pass, when
        # other work has taken the caches.
        if (
            type(self) is Mask
            and type(rate) is float
            and 0.0 < rate <= 1.0
            and scaling == "inverted"
            and type(shared_axes) is tuple
            and not shared_axes
            and type(offset) is type(key) is type(draw) is int
            and offset == 0
            and 0 <= key < WORD
            and 0 <= draw < WORD
            and type(shape) is tuple
        ):
            size, q = 1, round((1.0 - rate) * ONE)
            for n in shape:
                if type(n) is not int or n < 0:
                    break
                size *= n
            else:
                if size < 2**63 and q < ONE:
                    self.shape = self._compact = shape
                    self.rate, self.key, self.draw = rate, key, draw
                    self._plan = api.Plan(
                        key, draw, 0, size, (q, ONE / q if q else 0.0), storage == "bits"
                    )
                    return
        self._lay(shape, shared_axes, offset)
        self.key, self.draw = check_source(key, draw)
        self.rate = rate
        self._build()

    def _build(self) -> None:
        found = _map(self.rate, self._compact, self.scaling)
        # A view of a read-only array, which nobody can make writeable.
        self.rate = found.rate if isinstance(found.rate, float) else found.rate.view()
        if found.identity:  # a rate of 0 uses no random number
            self.key = self.draw = None
        self._make_plan(found.kernel)

    @property
    def effective_rate(self) -> float | np.ndarray:
        """The realised probability of dropping, ``1 - q / 2**32``."""
        return 1.0 - threshold(self.rate) / ONE

    @property
    def scale(self) -> float | np.ndarray:
        """What kept elements are multiplied by; 0 where the rate is 1 and nothing is kept."""
        scale: float | np.ndarray = training_scale(threshold(self.rate), self.scaling)
        return scale


class InferenceMask(Mask):
    """The map of a dropout layer at inference: no element is dropped, no number drawn.

    With the default scaling it is the identity, and `apply` returns its input itself. Other
    scalings multiply by the mean, ``k`` or ``sqrt(k)``; where the rate is 1, that is 0.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.masks import InferenceMask
    >>> InferenceMask(3, 0.25, scaling="classic").apply(np.ones(3))
    array([0.75, 0.75, 0.75])
    """

    def __init__(
        self,
        shape: int | tuple[int, ...],
        rate: ArrayLike,
        *,
        scaling: Scaling = "inverted",
        shared_axes: int | tuple[int, ...] = (),
    ) -> None:
        self._lay(shape, shared_axes)
        self.rate = check_rate(rate)
        self.scaling = scaling
        self._build()

    def _build(self) -> None:
        q: Any = threshold(periodic(self.rate, self._compact))
        scale = inference_scale(q, self.scaling)
        if self.scaling == "inverted":
            self._make_plan((ONE, 1.0))
        else:
            keep = np.where(np.asarray(q) > 0, np.uint64(ONE), np.uint64(0))
            self._make_plan(_kernel(int(keep) if isinstance(q, int) else keep, scale))

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
        if self.scaling != "inverted":
            return super().apply(x, out, num_threads)
        if _arrays.is_foreign(x):
            return _arrays.as_given(  # type: ignore[no-any-return]
                x, out, lambda array: self.apply(array, out, num_threads))
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
