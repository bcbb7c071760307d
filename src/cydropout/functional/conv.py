"""Windows that slide over maps: as the rows of a matrix, and pooled."""

from typing import Any, NamedTuple

import numpy as np

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.api import Kernel
from cydropout._kernels.threads import check_num_threads


class Windows(NamedTuple):
    """How windows lie over maps (height, width), as pairs, one for each axis.

    Window ``i`` of an axis begins at element ``i strides - before`` of the map, and where it
    reaches beyond the map there is nothing, or zeros.
    """

    maps: tuple[int, int]
    size: tuple[int, int]
    strides: tuple[int, int]
    before: tuple[int, int]
    counts: tuple[int, int]


def _run(
    kind: Kernel, x: np.ndarray, y: np.ndarray, windows: Windows, maps: np.ndarray,
    num_threads: int | None, **options: Any,
) -> None:
    if maps.shape[1:3] != windows.maps:
        raise ValueError(f"maps of shape {maps.shape[1:3]} came, but windows over {windows.maps}")
    for array in (x, y):
        if array.dtype not in (np.float32, np.float64) or array.dtype != maps.dtype:
            raise TypeError(f"windows need float32 or float64, all of one, not {array.dtype}")
        if not _arrays.is_ready(array):
            raise ValueError("windows need contiguous, aligned, native arrays")
    api.windows(
        kind, x, y, _arrays.dtype_code(maps.dtype), maps.shape, windows.counts, windows.size,
        windows.strides, windows.before, num_threads=check_num_threads(num_threads), **options,
    )


def _expect(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
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
    out : array of shape (n, *counts, *size, taken)
        Of the dtype of x, in C order.
    channels : slice
        Those that are taken, side by side.
    num_threads : int, optional
        By default as many as the work is worth.

    Raises
    ------
    TypeError, ValueError
        If a dtype, a shape or a layout does not fit.
    """
    first, taken = _taken(x, channels)
    _expect("out", out, (len(x), *windows.counts, *windows.size, taken))
    _run(Kernel.UNFOLD, x, out, windows, x, num_threads, first=first, taken=taken)
    return out


def fold(
    windowed: np.ndarray, windows: Windows, out: np.ndarray, *, channels: slice = slice(None),
    num_threads: int | None = None,
) -> np.ndarray:
    """Set ``channels`` of ``out`` to the adjoint of `unfold`; all else as there."""
    first, taken = _taken(out, channels)
    _expect("windowed", windowed, (len(out), *windows.counts, *windows.size, taken))
    _run(Kernel.FOLD, windowed, out, windows, out, num_threads, first=first, taken=taken)
    return out


def _taken(maps: np.ndarray, channels: slice) -> tuple[int, int]:
    if maps.ndim != 4:
        raise ValueError(f"maps need four axes, not the shape {maps.shape}")
    first, last, step = channels.indices(maps.shape[3])
    if step != 1:
        raise ValueError(f"channels must lie side by side, not {channels}")
    return first, max(last - first, 0)


def _check_inside(windows: Windows) -> None:
    for length, size, stride, before, count in zip(*windows, strict=True):
        if size < 1 or (count and (before >= size or (count - 1) * stride - before >= length)):
            raise ValueError(f"every window must have a part of the map, not so with {windows}")


def max_pool(
    x: np.ndarray, windows: Windows, *, num_threads: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest element of each window, NaN counting as such, and which one it is.

    Parameters
    ----------
    x : array of shape (n, height, width, channels)
        float32 or float64, in C order.
    windows : Windows
        Of at most 256 elements, and none beyond the map altogether.
    num_threads : int, optional
        By default as many as the work is worth.

    Returns
    -------
    y : array of shape (n, *counts, channels)
    at : array of uint8
        The place of the first largest one in its window, counted in C order.
    """
    if windows.size[0] * windows.size[1] > api.WINDOW:
        raise ValueError(f"a window has at most {api.WINDOW} elements, not {windows.size}")
    _check_inside(windows)
    y = np.empty((len(x), *windows.counts, x.shape[3]), x.dtype)
    at = np.empty(y.shape, np.uint8)
    _run(Kernel.MAX_POOL, x, y, windows, x, num_threads, at=at)
    return y, at


def max_pool_backward(
    dy: np.ndarray, at: np.ndarray, windows: Windows, *, num_threads: int | None = None
) -> np.ndarray:
    """Return dx of `max_pool`, from the gradient of its result and the places it gave."""
    _check_inside(windows)
    _expect("at", at, (len(dy), *windows.counts, dy.shape[-1]))
    _expect("dy", dy, at.shape)
    if at.dtype != np.uint8 or not _arrays.is_ready(at):
        raise ValueError(f"at must be as max_pool gave it, not {at.dtype}")
    dx = np.empty((len(dy), *windows.maps, dy.shape[3]), dy.dtype)
    _run(Kernel.MAX_POOL_BACKWARD, dy, dx, windows, dx, num_threads, at=at)
    return dx


def mean_pool(
    x: np.ndarray, windows: Windows, *, num_threads: int | None = None
) -> np.ndarray:
    """Return the mean of each window, of what lies within the map; as `max_pool`."""
    _check_inside(windows)
    y = np.empty((len(x), *windows.counts, x.shape[3]), x.dtype)
    _run(Kernel.MEAN_POOL, x, y, windows, x, num_threads)
    return y


def mean_pool_backward(
    dy: np.ndarray, windows: Windows, *, num_threads: int | None = None
) -> np.ndarray:
    """Return dx of `mean_pool`."""
    _check_inside(windows)
    _expect("dy", dy, (len(dy), *windows.counts, dy.shape[-1]))
    dx = np.empty((len(dy), *windows.maps, dy.shape[3]), dy.dtype)
    _run(Kernel.MEAN_POOL_BACKWARD, dy, dx, windows, dx, num_threads)
    return dx
