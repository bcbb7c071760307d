"""Rates and the other arguments of a mask: checked, and turned into thresholds and scales."""

import math
import operator
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

Scaling = Literal["inverted", "classic", "sqrt"]
#: 2**32: an element is kept if its 32 random bits are below its threshold.
ONE = 2**32
_TRAINING_POWER = {"inverted": 1.0, "classic": 0.0, "sqrt": 0.5}
_INFERENCE_POWER = {"inverted": 0.0, "classic": 1.0, "sqrt": 0.5}


def _as_numbers(value: ArrayLike, name: str) -> np.ndarray:
    try:
        values = np.asarray(value)
        if values.dtype.kind not in "fiub" and values.dtype.name != "bfloat16":
            raise TypeError
        return values.astype(np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number or an array of numbers, not {value!r}") from None


def check_sigma(sigma: ArrayLike) -> float | np.ndarray:
    """Return ``sigma`` as a float or float64 array; raise if one is negative or not finite."""
    values = _as_numbers(sigma, "sigma")
    wrong = values[~((values >= 0) & (values < np.inf))]
    if wrong.size:
        raise ValueError(f"sigma must be finite and not negative, not {wrong.flat[0]}")
    return float(values) if values.ndim == 0 else values


def check_finite(value: ArrayLike, name: str) -> float | np.ndarray:
    """Return ``value`` as a float or float64 array; raise if one is NaN or infinite."""
    values = _as_numbers(value, name)
    wrong = values[~np.isfinite(values)]
    if wrong.size:
        raise ValueError(f"{name} must be finite, not {wrong.flat[0]}")
    return float(values) if values.ndim == 0 else values


def check_number(value: ArrayLike, name: str, least: float = -math.inf) -> float:
    """Return ``value`` as a float; raise if it is not one finite number of at least ``least``."""
    checked = check_finite(value, name)
    if not isinstance(checked, float) or checked < least:
        bound = "" if least == -math.inf else f", at least {least:g}"
        raise ValueError(f"{name} must be one number{bound}, not {value!r}")
    return checked


def check_max_norm(max_norm: Any, shape: tuple[int, ...] | None = None) -> float | None:
    """Return None or the bound as a float; raise if it is no bound, or ``shape`` has no columns."""
    if max_norm is None:
        return None
    bound = check_number(max_norm, "max_norm")
    if bound <= 0:
        raise ValueError(f"max_norm must be positive, not {max_norm!r}")
    if shape is not None and len(shape) < 2:
        raise ValueError(f"max_norm={bound:g} needs a parameter with columns, not of shape {shape}")
    return bound


def check_rate(rate: ArrayLike) -> float | np.ndarray:
    """Return ``rate`` as a float, or as a float64 array; raise if a value is no probability."""
    if type(rate) is float and 0.0 <= rate <= 1.0:
        return rate
    values = _as_numbers(rate, "rate")
    wrong = values[~((values >= 0) & (values <= 1))]
    if wrong.size:
        raise ValueError(f"rate must lie between 0 and 1, not {wrong.flat[0]}")
    return float(values) if values.ndim == 0 else values


def check_one_rate(rate: ArrayLike, owner: str) -> float:
    """Return ``rate`` as a float; raise if it is no probability, or one for each of several."""
    checked = check_rate(rate)
    if not isinstance(checked, float):
        raise TypeError(f"{owner} takes one rate, not {rate!r}")
    return checked


def check_shape(shape: Any) -> tuple[int, ...]:
    """Return ``shape`` as a tuple of lengths."""
    try:
        each = shape if isinstance(shape, (tuple, list)) else (shape,)
        lengths = tuple(map(operator.index, each))
    except TypeError:
        raise TypeError(f"shape must be an int or a tuple of ints, not {shape!r}") from None
    if lengths and min(lengths) < 0:
        raise ValueError(f"shape must not have a negative length, not {lengths}")
    return lengths


def check_lengths(lengths: Any, ndim: int, name: str) -> tuple[int, ...]:
    """Return ``ndim`` lengths of at least 1, from one or from as many."""
    try:
        each = lengths if isinstance(lengths, (tuple, list)) else (lengths,) * ndim
        checked = tuple(map(operator.index, each))
    except TypeError:
        raise TypeError(f"{name} must be an int or a tuple of ints, not {lengths!r}") from None
    if len(checked) != ndim:
        raise ValueError(f"{name} must be one length or one for each of {ndim} axes, not {lengths}")
    if min(checked) < 1:
        raise ValueError(f"{name} must be at least 1, not {lengths}")
    return checked


def check_count(count: Any, name: str) -> int:
    """Return ``count`` as an int of at least 1."""
    try:
        number = operator.index(count)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {count!r}") from None
    if number < 1:
        raise ValueError(f"{name} must be at least 1, not {number}")
    return number


def size_of(shape: tuple[int, ...]) -> int:
    """Return the number of elements, exactly, however large."""
    return math.prod(shape)


def check_axes(shared_axes: Any, ndim: int) -> tuple[int, ...]:
    """Return ``shared_axes`` as sorted non-negative axes."""
    if type(shared_axes) is tuple and not shared_axes:
        return ()
    try:
        each = shared_axes if np.iterable(shared_axes) else (shared_axes,)
        axes = [operator.index(axis) for axis in each]
    except TypeError:
        raise TypeError(
            f"shared_axes must be an int or a tuple of ints, not {shared_axes!r}"
        ) from None
    for axis in axes:
        if not -ndim <= axis < ndim:
            raise ValueError(f"shared_axes names axis {axis}, but the shape has {ndim} axes")
    return tuple(sorted({axis % ndim for axis in axes}))


def check_offset(offset: Any, size: int) -> int:
    """Return ``offset`` as an int, if a draw has ``size`` elements from there on."""
    try:
        first = operator.index(offset)
    except TypeError:
        raise TypeError(f"offset must be an integer, not {offset!r}") from None
    if size >= 2**63:
        raise ValueError(f"a mask of {size} elements is too large; at most 2**63 - 1 fit")
    if not 0 <= first <= 2**64 - max(size, 1):
        raise ValueError(
            f"offset must be at least 0, and offset + size at most 2**64, not {first} + {size}"
        )
    return first


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
    rate = np.broadcast_to(rate.reshape(trailing), shape[len(shape) - len(trailing) :])
    if rate.size == 0:
        return 0.0
    first = float(rate.flat[0])
    return first if (rate == first).all() else np.ascontiguousarray(rate).ravel()


def threshold(rate: float | np.ndarray) -> int | np.ndarray:
    """q = round((1 - rate) * 2**32): kept when 32 random bits are below it."""
    if isinstance(rate, float):
        return round((1.0 - rate) * ONE)
    return np.rint((1.0 - rate) * ONE).astype(np.uint64)


def check_scaling(scaling: str) -> str:
    """Return ``scaling`` if there is one of that name."""
    if scaling not in ("inverted", "classic", "sqrt"):
        raise ValueError(f"scaling must be 'inverted', 'classic' or 'sqrt', not {scaling!r}")
    return scaling


def training_scale(q: Any, scaling: str) -> Any:
    """1 / k, 1 or 1 / sqrt(k) for the realised keep probability k = q / 2**32; 0 where k is 0."""
    power = _TRAINING_POWER[check_scaling(scaling)]
    if isinstance(q, int):
        return (ONE / q) ** power if q else 0.0
    return np.divide(ONE, q, out=np.zeros(q.shape), where=q > 0) ** power * (q > 0)


def inference_scale(q: Any, scaling: str) -> Any:
    """The mean over masks: 1, k or sqrt(k)."""
    power = _INFERENCE_POWER[check_scaling(scaling)]
    return (q / ONE) ** power


def kept_count(rate: float, size: int) -> int:
    """Return how many of ``size`` items stay at ``rate``: rounded, but not 0 unless all go."""
    return 0 if rate == 1 or size == 0 else max(1, round((1.0 - rate) * size))


def share_scale(kept: int, size: int, scaling: str) -> float:
    """(size / kept) to the power of 1, 0 or 1/2; 0 where nothing is kept."""
    power = _TRAINING_POWER[check_scaling(scaling)]
    return float((size / kept) ** power) if kept else 0.0


def feature_count(features: int | str | None, rate: float, size: int) -> int:
    """Return how many of ``size`` columns stay: ``features``, or where it is None by ``rate``.

    Raises
    ------
    ValueError
        If there are fewer columns than ``features``.
    """
    if features is None:
        return kept_count(rate, size)
    if isinstance(features, str):
        root = math.isqrt(size) if features == "sqrt" else size.bit_length() - 1
        return min(size, max(1, root))
    if features > size:
        raise ValueError(f"features is {features}, but there are only {size}")
    return features


def check_features(features: Any) -> int | str | None:
    """Return ``features`` if it is None, "sqrt", "log2", or an integer from 0 on."""
    if features is None or features in ("sqrt", "log2"):
        checked: str | None = features
        return checked
    try:
        count = operator.index(features)
    except TypeError:
        count = -1
    if count < 0 or isinstance(features, bool):
        raise ValueError(
            f"features must be None, 'sqrt', 'log2' or an integer of at least 0, not {features!r}"
        )
    return count
