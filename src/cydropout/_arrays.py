"""Arrays as the kernels want them, and back as the caller had them."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

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


def contiguous(x: np.ndarray) -> np.ndarray:
    """Return ``x`` itself, or a copy, in C order, aligned, and in native byte order."""
    return np.require(x, x.dtype.newbyteorder("="), ["C", "A"])


def is_ready(x: np.ndarray) -> bool:
    """Whether the kernels can read ``x`` as it lies."""
    return bool(x.flags.c_contiguous and x.flags.aligned and x.dtype.isnative)


def as_float_array(x: ArrayLike, what: str = "x") -> tuple[np.ndarray, int]:
    """Return ``x`` as an array, and the kernels' number of its dtype."""
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{what} is a masked array; fill it first, with {what}.filled(0)")
    array = np.asarray(x)
    return array, dtype_code(array.dtype, what)


def check_out(out: Any, x: np.ndarray, name: str = "x") -> None:
    """Raise if ``out`` cannot take the result for ``x``: before anything is written."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, not {type(out).__name__}")
    if not out.flags.writeable:
        raise ValueError("out is read-only; pass a writeable array")
    if out.size > 1 and 0 in out.strides:
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


def as_index_array(index: ArrayLike, length: int, what: str) -> np.ndarray:
    """Return ``index`` as int64 in C order; raise if it is not of integers, or one is outside."""
    array = np.asarray(index)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{what} must be integers, not {array.dtype}")
    if array.size:
        for value in (int(array.min()), int(array.max())):
            if not 0 <= value < length:
                raise ValueError(f"{what} must lie between 0 and {length - 1}, not {value}")
    return np.ascontiguousarray(array, np.int64)
