"""One number for each window of a map, the largest or the mean, and backward."""

from __future__ import annotations

import numpy as np

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.api import Kernel
from cydropout.functional.conv import Windows, check_maps, check_shape_of, run_windows


def _check(name: str, maps: np.ndarray, windows: Windows) -> None:
    check_maps(name, maps, windows)
    if 0 in windows.counts:
        return
    for length, size, stride, before, count in zip(*windows, strict=True):
        if before >= size or max((count - 1) * stride - before, 0) >= length:
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
    y : array of shape ``(n, *counts, channels)``
    at : array of uint8
        The place of the first largest one in its window, counted in C order.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> windows = functional.Windows((1, 4), (1, 2), (1, 2), (0, 0), (1, 2))
    >>> y, at = functional.max_pool(np.arange(4.0).reshape(1, 1, 4, 1), windows)
    >>> y.ravel(), at.ravel()
    (array([1., 3.]), array([1, 1], dtype=uint8))
    """
    _check("x", x, windows)
    if windows.size[0] * windows.size[1] > api.WINDOW:
        raise ValueError(f"a window has at most {api.WINDOW} elements, not {windows.size}")
    y = np.empty((len(x), *windows.counts, x.shape[3]), x.dtype)
    at = np.empty(y.shape, np.uint8)
    run_windows(Kernel.MAX_POOL, "x", x, y, windows, x, num_threads, at=at)
    return y, at


def max_pool_backward(
    dy: np.ndarray, at: np.ndarray, windows: Windows, *, num_threads: int | None = None
) -> np.ndarray:
    """Return dx of `max_pool`, from the gradient of its result and the places it gave.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> windows = functional.Windows((1, 4), (1, 2), (1, 2), (0, 0), (1, 2))
    >>> y, at = functional.max_pool(np.arange(4.0).reshape(1, 1, 4, 1), windows)
    >>> functional.max_pool_backward(np.ones((1, 1, 2, 1)), at, windows).ravel()
    array([0., 1., 0., 1.])
    """
    _check("dy", dy, windows)
    check_shape_of("at", at, (len(dy), *windows.counts, dy.shape[-1]))
    check_shape_of("dy", dy, at.shape)
    if at.dtype != np.uint8 or not _arrays.is_ready(at):
        raise ValueError(f"at must be as max_pool gave it, not {at.dtype}")
    dx = np.empty((len(dy), *windows.maps, dy.shape[3]), dy.dtype)
    run_windows(Kernel.MAX_POOL_BACKWARD, "dy", dy, dx, windows, dx, num_threads, at=at)
    return dx


def mean_pool(
    x: np.ndarray, windows: Windows, *, num_threads: int | None = None
) -> np.ndarray:
    """Return the mean of each window, of what lies within the map; as `max_pool`.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> windows = functional.Windows((1, 4), (1, 2), (1, 2), (0, 0), (1, 2))
    >>> functional.mean_pool(np.arange(4.0).reshape(1, 1, 4, 1), windows).ravel()
    array([0.5, 2.5])
    """
    _check("x", x, windows)
    y = np.empty((len(x), *windows.counts, x.shape[3]), x.dtype)
    run_windows(Kernel.MEAN_POOL, "x", x, y, windows, x, num_threads)
    return y


def mean_pool_backward(
    dy: np.ndarray, windows: Windows, *, num_threads: int | None = None
) -> np.ndarray:
    """Return dx of `mean_pool`.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> windows = functional.Windows((1, 4), (1, 2), (1, 2), (0, 0), (1, 2))
    >>> functional.mean_pool_backward(np.ones((1, 1, 2, 1)), windows).ravel()
    array([0.5, 0.5, 0.5, 0.5])
    """
    _check("dy", dy, windows)
    check_shape_of("dy", dy, (len(dy), *windows.counts, dy.shape[-1]))
    dx = np.empty((len(dy), *windows.maps, dy.shape[3]), dy.dtype)
    run_windows(Kernel.MEAN_POOL_BACKWARD, "dy", dy, dx, windows, dx, num_threads)
    return dx
