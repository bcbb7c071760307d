"""Arrays as the kernels want them, and back as the caller had them."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _optional
from cydropout._validate import check_array

#: The kernels' number of each dtype.
_CODES = {np.dtype(np.float16): 0, np.dtype(np.float32): 2, np.dtype(np.float64): 3}


def dtype_code(dtype: np.dtype[Any], what: str = "x") -> int:
    """Return the kernels' number of ``dtype``, or raise a `TypeError` that says what to do."""
    code = _CODES.get(dtype)
    if code is not None:
        return code
    if dtype.name == "bfloat16":
        return 1
    native = dtype.newbyteorder("=")
    if native in _CODES:
        return _CODES[native]
    raise TypeError(
        f"{what} has dtype {dtype.name}; dropout needs float16, bfloat16, float32 or float64: "
        f"convert it first, for instance with {what}.astype('float32')"
    )


def contiguous(x: np.ndarray, dtype: Any = None) -> np.ndarray:
    """Return ``x`` itself, or a copy, in C order, aligned, and native; of a dtype, if one is given.

    The kernels take no other arrays, and `numpy.ascontiguousarray` does not align.
    """
    if is_ready(x) and (dtype is None or x.dtype == dtype):
        return x  # which np.require takes longer to see
    return np.require(x, dtype or x.dtype.newbyteorder("="), ["C", "A"])


def rows_of(x: np.ndarray) -> np.ndarray:
    """Return ``x`` as rows along its last axis, whatever its lengths are."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def is_ready(x: np.ndarray) -> bool:
    """Whether the kernels can read ``x`` as it lies."""
    return bool(x.flags.c_contiguous and x.flags.aligned and x.dtype.isnative)


def check_ndarray(name: str, x: Any) -> None:
    """Raise unless ``x`` is an array already, and no masked one."""
    check_array(name, x)
    if not isinstance(x, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, not {type(x).__name__}")


def as_float_array(x: ArrayLike, what: str = "x") -> tuple[np.ndarray, int]:
    """Return ``x`` as an array, and the kernels' number of its dtype."""
    array = check_array(what, x)
    return array, dtype_code(array.dtype, what)


def is_foreign(x: Any) -> bool:
    """Whether ``x`` is an array of another library, which DLPack exchanges."""
    return not isinstance(x, np.ndarray) and hasattr(x, "__dlpack__")


#: The devices of DLPack whose memory a CPU reads: its own, and what GPUs share with it.
_HOSTS = {1, 3, 11, 13}


def as_given(x: Any, out: Any, function: Callable[[np.ndarray], np.ndarray]) -> Any:
    """Return what ``function`` makes of a foreign array, as an array of the same library.

    DLPack shares the memory; bfloat16, which NumPy does not exchange, goes as int16. Where there is
    an ``out`` it is a NumPy array, and the result is that.
    """
    kind = f"{type(x).__module__.partition('.')[0]}.{type(x).__name__}"
    if getattr(x, "requires_grad", False):
        raise TypeError(
            f"x is a {kind} that requires grad, which the result would not; use cydropout.torch, "
            "for instance cydropout.torch.functional.dropout, or x.detach()"
        )
    try:
        device = x.__dlpack_device__()
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(f"x is a {kind} without memory that DLPack knows ({error}); give an array "
                        "of numbers that a CPU holds") from error
    if device[0] not in _HOSTS:
        raise TypeError(f"x is a {kind} on DLPack's device {device}, not of a CPU; move it there")
    library = _library_of(x)
    brain = str(x.dtype).endswith("bfloat16")
    try:
        array = np.from_dlpack(x.view(library.int16) if brain else x)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(f"x, a {kind} of {x.dtype}, cannot be read as it is: {error}") from error
    array = array.view(_optional.dtype("bfloat16")) if brain else array
    y = function(array)
    if y is array:
        return x
    if out is not None:
        return y
    return library.from_dlpack(y.view(np.int16)).view(x.dtype) if brain else library.from_dlpack(y)


def _library_of(x: Any) -> Any:
    """Return the module of an array that has ``from_dlpack``."""
    if hasattr(x, "__array_namespace__"):
        return x.__array_namespace__()
    library = importlib.import_module(type(x).__module__.partition(".")[0])
    if not hasattr(library, "from_dlpack"):
        raise TypeError(
            f"{library.__name__} makes no array of a result; give numpy.from_dlpack(x) instead of x"
        )
    return library


def overlaps_itself(x: np.ndarray) -> bool:
    """Whether elements may share memory: unless each stride spans all that the smaller ones do."""
    span = x.itemsize
    for stride, length in sorted((abs(s), n) for s, n in zip(x.strides, x.shape, strict=True)):
        if length > 1 and stride < span:
            return x.size > 0
        span += stride * (length - 1)
    return False


def check_out(out: Any, x: np.ndarray, name: str = "x") -> None:
    """Raise if ``out`` cannot take the result for ``x``: before anything is written."""
    check_ndarray("out", out)
    if not out.flags.writeable:
        raise ValueError("out is read-only; pass a writeable array")
    if overlaps_itself(out):
        raise ValueError("out has elements that share memory; pass an array of its own")
    if out is x:
        return
    if out.shape != x.shape:
        raise ValueError(f"out has shape {out.shape}, but {name} has shape {x.shape}")
    if out.dtype != x.dtype:
        raise ValueError(f"out has dtype {out.dtype}, but {name} has dtype {x.dtype}")
    same = (
        out.__array_interface__["data"][0] == x.__array_interface__["data"][0]
        and out.strides == x.strides
    )
    if not same and np.may_share_memory(out, x) and np.shares_memory(out, x):
        raise ValueError(f"out partly overlaps {name}; pass {name} itself or an array of its own")


def check_apart(**arrays: np.ndarray | None) -> None:
    """Raise if the first of the arrays, which is written, shares memory with another."""
    (name, first), *rest = arrays.items()
    for other, array in rest:
        if first is not None and array is not None and np.shares_memory(first, array):
            raise ValueError(f"{name} shares memory with {other}; pass an array of its own")


def as_index_array(index: ArrayLike, length: int, what: str) -> np.ndarray:
    """Return ``index`` as int64 in C order; raise if it is not of integers, or one is outside."""
    array = check_array(what, index)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{what} must be integers, not {array.dtype}")
    if array.size:
        for value in (int(array.min()), int(array.max())):
            if not 0 <= value < length:
                raise ValueError(
                    f"{what} must lie between 0 and {length - 1}, not {value}" if length else
                    f"{what} must be empty, as there is nothing to pick, but has {value}"
                )
    return contiguous(array, np.int64)
