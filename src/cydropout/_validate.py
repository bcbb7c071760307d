"""Checks of arguments: each names the argument and the value, and says what would be right.

Bounds are written as intervals, ``"[0, 1)"`` or ``"(0, inf)"``; an infinite end is never reached.
"""

from __future__ import annotations

import dataclasses
import dis
import math
import operator
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from cydropout._words import did_you_mean

Array = np.ndarray[Any, Any]
T = TypeVar("T")


class ArgumentTypeError(TypeError, ValueError):
    """An argument of the wrong type; both errors, as NumPy's ``AxisError`` is two."""


class _Interval:
    """The numbers between two ends, each open or closed."""

    def __init__(self, text: str) -> None:
        low, high = (end.strip() for end in text[1:-1].split(","))
        self.low, self.high = _end(low), _end(high)
        self.above, self.below = text[0] == "(", text[-1] == ")"
        least = f"above {low}" if self.above else f"at least {low}"
        most = f"below {high}" if self.below else f"at most {high}"
        self.wanted = f"{least} and {most}"
        if self.high == math.inf:
            self.wanted = "finite" if self.low == -math.inf else f"finite and {least}"
        elif not (self.above or self.below):
            self.wanted = f"between {low} and {high}"

    def holds(self, x: Any) -> Any:
        """Whether a number, or each of an array, lies inside; NaN never does."""
        least = x > self.low if self.above else x >= self.low
        return least & (x < self.high if self.below else x <= self.high)


def _end(text: str) -> float:
    base, _, power = text.partition("**")
    return math.pow(float(base), float(power or 1))


_interval = lru_cache(_Interval)


def shown(value: Any) -> str:
    """Return the value with its type, short where it is an array of many."""
    if isinstance(value, type):
        return f"the class {value.__name__}; make one of it, with {value.__name__}(...)"
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"an array of shape {value.shape}"
    return "None" if value is None else f"the {type(value).__name__} {value!r}"


def is_ours(thing: Any) -> bool:
    """Whether a class or function comes with this package, and is not of who uses it."""
    return str(getattr(thing, "__module__", "")).partition(".")[0] == __name__.partition(".")[0]


def is_method(bound: Any, kind: type) -> bool:
    """Whether a method is the one of that class, which neither a subclass nor anybody changed."""
    return getattr(bound, "__func__", None) is getattr(kind, bound.__name__, None)


def _is_real(array: Any) -> bool:
    return array.dtype.kind in "fiu" or array.dtype.name == "bfloat16"


def check_array(name: str, value: Any) -> Array:
    """Return ``value`` as an array; raise for a masked one, whose mask would be lost.

    Examples
    --------
    >>> check_array("x", [1.0, 2.0])
    array([1., 2.])
    """
    if type(value) is not np.ndarray and isinstance(value, np.ma.MaskedArray):
        fill = f"{name.partition(' ')[0]}.filled(0)"
        raise ArgumentTypeError(f"{name} is a masked array; fill it first, with {fill}")
    try:
        array: Array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is no array: {error}") from None
    return array


def optional(check: Callable[..., T], name: str, value: Any, *rest: Any) -> T | None:
    """Return None for None, and else what ``check(name, value, *rest)`` does."""
    return None if value is None else check(name, value, *rest)


def check_number(name: str, value: Any, interval: str = "(-inf, inf)") -> float:
    """Return ``value`` as a float; raise if it is not one real number of the interval.

    Examples
    --------
    >>> check_number("momentum", 0.9, "[0, 1)")
    0.9
    >>> check_number("momentum", 1, "[0, 1)")
    Traceback (most recent call last):
    ValueError: momentum must be a number, at least 0 and below 1, not 1
    """
    bounds = _interval(interval)
    if type(value) is float and bounds.low < value < bounds.high:
        return value
    wanted = bounds.wanted
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0:
        real = _is_real(value)
    if not real:
        raise ArgumentTypeError(f"{name} must be one number, {wanted}, not {shown(value)}")
    if not bounds.holds(value):
        raise ValueError(f"{name} must be a number, {wanted}, not {value}")
    try:
        return float(value)
    except OverflowError:
        digits = f"an integer of {value.bit_length()} bits"
        raise ValueError(f"{name} must be a number, {wanted}, not {digits}") from None


def check_integer(name: str, value: Any, interval: str) -> int:
    """Return ``value`` as an int; raise if it is not one integer of the interval.

    Examples
    --------
    >>> check_integer("seed", 3, "[0, inf)")
    3
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    wanted = _interval(interval).wanted.removeprefix("finite and ")
    if number is None or isinstance(value, bool):
        raise ArgumentTypeError(f"{name} must be an integer, {wanted}, not {shown(value)}")
    if not _interval(interval).holds(number):
        raise ValueError(f"{name} must be an integer, {wanted}, not {number}")
    return number


def check_count(name: str, value: Any) -> int:
    """Return ``value`` as an int of at least 1."""
    return check_integer(name, value, "[1, inf)")


def check_flag(name: str, value: Any) -> bool:
    """Return ``value`` as a bool; raise if it is neither True nor False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentTypeError(f"{name} must be True or False, not {shown(value)}")
    return bool(value)


def check_function(name: str, value: T, takes: str) -> T:
    """Return ``value`` if it can be called with what it takes; a class is no function."""
    if not callable(value) or isinstance(value, type):
        raise ArgumentTypeError(f"{name} must be a function of {takes}, not {shown(value)}")
    return check_made(value)


def check_choice(name: str, value: Any, known: Collection[str]) -> Any:
    """Return ``value`` if it is one of the names known."""
    if not isinstance(value, str) or value not in known:
        if isinstance(value, type):
            raise ArgumentTypeError(f"{name} must be a name, not {shown(value)}")
        meant = did_you_mean(value, known)
        raise ValueError(f"{name} {value!r} is unknown; use one of {', '.join(known)}{meant}")
    return value


@lru_cache
def _set_by(kind: type) -> frozenset[str]:
    """Return the attributes that the `__init__` of a class sets, or the fields of a dataclass."""
    if "__dataclass_fields__" in vars(kind):
        return frozenset(field.name for field in dataclasses.fields(kind))
    found = dis.get_instructions(vars(kind)["__init__"])
    names = {one.argval for one in found if one.opname == "STORE_ATTR"}
    return frozenset(name for name in names if not hasattr(kind, name))


def check_made(value: T) -> T:
    """Return ``value``, if every `__init__` of ours that it inherits has been called.

    Examples
    --------
    >>> from cydropout.training.schedules import Constant
    >>> class Mine(Constant):
    ...     def __init__(self):
    ...         pass
    >>> check_made(Mine())
    Traceback (most recent call last):
    TypeError: Mine lacks rate: its __init__ must call super().__init__(...) of Constant
    """
    for kind in type(value).__mro__:
        if "__init__" in vars(kind) and is_ours(kind):
            lacking = sorted(_set_by(kind) - vars(value).keys())
            if lacking:
                raise TypeError(
                    f"{type(value).__name__} lacks {lacking[0]}: its __init__ must call "
                    f"super().__init__(...) of {kind.__name__}"
                )
    return value


def check_all(name: str, values: Any, *kinds: type[T]) -> list[T]:
    """Return what is iterable as a list; raise if one of it is of none of the ``kinds``."""
    kind = " or ".join(one.__name__ for one in kinds)
    if not np.iterable(values):
        raise ArgumentTypeError(f"{name} must be a list of {kind}, not {shown(values)}")
    found = list(values)
    for place, one in enumerate(found):
        if not isinstance(one, kinds):
            raise ArgumentTypeError(f"{name}[{place}] must be a {kind}, not {shown(one)}")
    return found


def _holds_bool(value: Any) -> bool:
    """Whether a bool stands among the numbers of a list, which an array of it would hide."""
    if isinstance(value, (list, tuple)):
        return any(map(_holds_bool, value))
    return isinstance(value, (bool, np.bool_))


def check_numbers(name: str, value: ArrayLike, interval: str = "(-inf, inf)") -> float | Array:
    """Return ``value`` as a float or a float64 array, all of it in the interval."""
    try:
        values = check_array(name, value)
        if not _is_real(values) or _holds_bool(value):
            raise TypeError
        values = values.astype(np.float64)
    except ArgumentTypeError:
        raise
    except (TypeError, ValueError):
        raise ArgumentTypeError(
            f"{name} must be a number or an array of numbers, not {shown(value)}"
        ) from None
    wrong = values[~_interval(interval).holds(values)]
    if wrong.size:
        raise ValueError(f"{name} must be {_interval(interval).wanted}, not {wrong.flat[0]}")
    return float(values) if values.ndim == 0 else values


def check_rate(rate: ArrayLike, name: str = "rate") -> float | Array:
    """Return ``rate`` as a float, or as a float64 array; raise if a value is no probability."""
    if type(rate) is float and 0.0 <= rate <= 1.0:
        return rate
    return check_numbers(name, rate, "[0, 1]")


def check_one_rate(rate: Any, owner: str) -> float:
    """Return ``rate`` as a float; raise if it is no probability, or one for each of several."""
    checked = check_rate(rate)
    if not isinstance(checked, float):
        raise ArgumentTypeError(f"{owner} takes one rate, not {rate!r}")
    return checked


def check_max_norm(max_norm: Any, shape: tuple[int, ...] | None = None) -> float | None:
    """Return None or the bound as a float; raise if it is no bound, or ``shape`` has no columns."""
    bound = optional(check_number, "max_norm", max_norm, "(0, inf)")
    if bound is not None and shape is not None and len(shape) < 2:
        raise ValueError(f"max_norm={bound:g} needs a parameter with columns, not of shape {shape}")
    return bound


def check_features(features: Any) -> int | str | None:
    """Return ``features`` if it is None, "sqrt", "log2", or an integer from 0 on."""
    if isinstance(features, str) and features in ("sqrt", "log2"):
        return features
    try:
        return optional(check_integer, "features", features, "[0, inf)")
    except (TypeError, ValueError):
        raise ValueError(
            f"features must be None, 'sqrt', 'log2' or an integer of at least 0, not {features!r}"
        ) from None


def check_scaling(scaling: str) -> str:
    """Return ``scaling`` if there is one of that name."""
    found: str = check_choice("scaling", scaling, ("inverted", "classic", "sqrt"))
    return found


def _indices(name: str, value: Any, ndim: int = 1) -> tuple[int, ...]:
    """Return the integers of a tuple or list, or of one integer ``ndim`` times."""
    each = value if isinstance(value, (tuple, list)) else (value,) * ndim
    try:
        if bool in map(type, each):
            raise TypeError
        return tuple(map(operator.index, each))
    except TypeError:
        raise ArgumentTypeError(
            f"{name} must be an int or a tuple of ints, not {value!r}"
        ) from None


def check_shape(shape: Any, name: str = "shape") -> tuple[int, ...]:
    """Return ``shape`` as a tuple of lengths."""
    lengths = _indices(name, shape)
    if lengths and min(lengths) < 0:
        raise ValueError(f"{name} must not have a negative length, not {lengths}")
    return lengths


def check_lengths(name: str, lengths: Any, ndim: int) -> tuple[int, ...]:
    """Return ``ndim`` lengths of at least 1, from one or from as many."""
    checked = _indices(name, lengths, ndim)
    if len(checked) != ndim:
        raise ValueError(f"{name} must be one length or one for each of {ndim} axes, not {lengths}")
    if min(checked) < 1:
        raise ValueError(f"{name} must be at least 1, not {lengths}")
    return checked


def check_axes(shared_axes: Any, ndim: int) -> tuple[int, ...]:
    """Return ``shared_axes`` as sorted non-negative axes."""
    if type(shared_axes) is tuple and not shared_axes:
        return ()
    iterable = np.iterable(shared_axes) and not isinstance(shared_axes, str)
    axes = _indices("shared_axes", [*shared_axes] if iterable else shared_axes)
    for axis in axes:
        if not -ndim <= axis < ndim:
            raise ValueError(f"shared_axes names axis {axis}, but the shape has {ndim} axes")
    return tuple(sorted({axis % ndim for axis in axes}))


def check_offset(offset: Any, size: int, bits: int = 64) -> int:
    """Return ``offset`` as an int, if a draw of 2**bits elements has ``size`` from there on."""
    (first,) = _indices("offset", (offset,))
    if size >= 2**63:
        raise ValueError(f"shape: a mask of {size} elements is too large; at most 2**63 - 1 fit")
    if not 0 <= first <= 2**bits - max(size, 1):
        raise ValueError(
            f"offset must be at least 0, and offset + size at most 2**{bits}, not {first} + {size}"
        )
    return first
