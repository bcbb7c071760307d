"""Windows that slide over maps, as the rows of a matrix, and back."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.api import Kernel
from cydropout._kernels.threads import check_num_threads
from cydropout._validate import check_integer


class Windows(NamedTuple):
    """How windows lie over maps (height, width), as pairs, one for each axis.

    Window ``i`` of an axis begins at element ``i strides - before`` of the map, and where it
    reaches beyond the map there is nothing, or zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> functional.Windows((4, 4), (2, 2), (2, 2), (0, 0), (2, 2)).counts
    (2, 2)
    """

    maps: tuple[int, int]
    size: tuple[int, int]
    strides: tuple[int, int]
    before: tuple[int, int]
    counts: tuple[int, int]


def check_windows(windows: Windows) -> None:
    """Raise unless the windows are pairs of integers that the kernels can take."""
    if not isinstance(windows, Windows):
        raise TypeError(f"windows must be a functional.Windows, not {windows!r}")
    try:
        hash(windows)
    except TypeError:
        raise TypeError(f"windows must hold tuples of two integers, not {windows!r}") from None
    _check_pairs(windows)


@lru_cache(maxsize=256)
def _check_pairs(windows: Windows) -> None:
    for name, pair in windows._asdict().items():
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(f"{name} of windows must be a tuple of two integers, not {pair!r}")
        least = int(name in ("size", "strides"))
        for axis, value in enumerate(pair):
            check_integer(f"{name}[{axis}] of windows", value, f"[{least}, 2**31)")


def run_windows(
    kind: Kernel, name: str, x: np.ndarray, y: np.ndarray, windows: Windows, maps: np.ndarray,
    num_threads: int | None, **options: Any,
) -> None:
    """Run one kernel over windows; raise unless the arrays, ``x`` by its name, fit."""
    check_run(windows, maps, y, **{name: x})
    api.windows(
        kind, x, y, _arrays.dtype_code(maps.dtype), maps.shape, windows.counts, windows.size,
        windows.strides, windows.before, num_threads=check_num_threads(num_threads), **options,
    )


def check_run(windows: Windows, maps: np.ndarray, out: np.ndarray, **given: np.ndarray) -> None:
    """Raise unless a kernel over windows can take the given arrays, and write to ``out``."""
    if maps.shape[1:3] != windows.maps:
        raise ValueError(f"maps of shape {maps.shape[1:3]} came, but windows over {windows.maps}")
    for what, array in {**given, "out": out}.items():
        if array.dtype not in (np.float32, np.float64):
            raise TypeError(f"{what} must be float32 or float64, not {array.dtype}")
        if not _arrays.is_ready(array):
            raise ValueError(f"{what} must be contiguous, aligned and native")
        if array.dtype != out.dtype:
            raise TypeError(f"{what} has dtype {array.dtype}, but out {out.dtype}")
    if not out.flags.writeable:
        raise ValueError("out is read-only; pass a writeable array")
    _arrays.check_apart(out=out, **given)


def check_maps(name: str, maps: Any, windows: Windows) -> None:
    """Raise unless these are maps, and windows to slide over some."""
    check_windows(windows)
    _arrays.check_ndarray(name, maps)
    if maps.ndim != 4:
        raise ValueError(f"{name} needs four axes, not the shape {maps.shape}")


def check_shape_of(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise unless the array has that shape."""
    _arrays.check_ndarray(name, array)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, not {shape}")


def unfold(
    x: np.ndarray, windows: Windows, out: np.ndarray, *, channels: slice = slice(None),
    num_threads: int | None = None,
) -> np.ndarray:
    """out[n, i, j, k, l, c] = x[n, i s - b + k, j s - b + l, c]: each window as a row, or 0.

    Parameters
    ----------
    x : array of shape (n, height, width, channels)
        float32 or float64, in C order.
    windows : Windows
        For strides ``s`` and ``b`` elements before the map.
    out : array of shape ``(n, *counts, *size, taken)``
        Of the dtype of x, in C order.
    channels : slice
        Those that are taken, side by side.
    num_threads : int, optional
        By default as many as the work is worth.

    Raises
    ------
    TypeError, ValueError
        If a dtype, a shape or a layout does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> x = np.arange(4.0).reshape(1, 1, 4, 1)
    >>> windows = functional.Windows((1, 4), (1, 2), (1, 1), (0, 0), (1, 3))
    >>> functional.unfold(x, windows, np.empty((1, 1, 3, 1, 2, 1))).reshape(3, 2)
    array([[0., 1.],
           [1., 2.],
           [2., 3.]])
    """
    check_maps("x", x, windows)
    first, taken = _taken(x, channels)
    check_shape_of("out", out, (len(x), *windows.counts, *windows.size, taken))
    run_windows(Kernel.UNFOLD, "x", x, out, windows, x, num_threads, first=first, taken=taken)
    return out


def fold(
    windowed: np.ndarray, windows: Windows, out: np.ndarray, *, channels: slice = slice(None),
    num_threads: int | None = None,
) -> np.ndarray:
    """Set ``channels`` of ``out`` to the adjoint of `unfold`; all else as there.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> windows = functional.Windows((1, 4), (1, 2), (1, 1), (0, 0), (1, 3))
    >>> functional.fold(np.ones((1, 1, 3, 1, 2, 1)), windows, np.empty((1, 1, 4, 1))).ravel()
    array([1., 2., 2., 1.])
    """
    check_maps("out", out, windows)
    first, taken = _taken(out, channels)
    check_shape_of("windowed", windowed, (len(out), *windows.counts, *windows.size, taken))
    run_windows(Kernel.FOLD, "windowed", windowed, out, windows, out, num_threads, first=first,
                taken=taken)
    return out


def _taken(maps: np.ndarray, channels: slice) -> tuple[int, int]:
    if not isinstance(channels, slice):
        raise TypeError(f"channels must be a slice, not {channels!r}")
    first, last, step = channels.indices(maps.shape[3])
    if step != 1:
        raise ValueError(f"channels must lie side by side, not {channels}")
    return first, max(last - first, 0)
