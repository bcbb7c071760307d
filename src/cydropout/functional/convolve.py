"""Convolutions where the maps lie, and their gradients, without windows laid out as a matrix."""

from __future__ import annotations

import numpy as np

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout.functional._panels import WIDTH, columns_of, panels, turned_panels
from cydropout.functional.conv import Windows, check_maps, check_run, check_shape_of

#: Samples from which on it is faster than a product by BLAS: so many meet a filter together.
FEWEST = 8
#: Terms of a sum, and bytes of a panel: with fewer, or with more, BLAS is as fast. Where one panel
#: has all filters, a window of 3 x 3 over one channel is enough.
SHORTEST, SHORTEST_ALONE, LARGEST = 16, 9, 1 << 17
#: Windows of a map: with fewer BLAS is as fast at the gradient of the weight.
SMALLEST = 64
#: Into so many the samples are split for the gradient of the weight, whatever the threads are.
CHUNKS = 8


def _fit(
    samples: int, windows: Windows, channels: int, filters: int, dtype: np.dtype, shortest: int
) -> bool:
    terms = windows.size[0] * windows.size[1] * channels
    enough = samples >= FEWEST and shortest <= terms <= LARGEST // WIDTH
    return enough and filters > 0 and filters % columns_of(dtype) == 0


def suits(samples: int, windows: Windows, channels: int, filters: int, dtype: np.dtype) -> bool:
    """Whether `convolve` takes such filters, and is faster than products with unfolded windows.

    Parameters
    ----------
    samples, channels, filters : int
        Of maps (samples, height, width, channels).
    windows : Windows
        Over them.
    dtype : numpy.dtype
        Of maps and filters.
    """
    alone = filters == columns_of(dtype)
    return _fit(samples, windows, channels, filters, dtype, SHORTEST_ALONE if alone else SHORTEST)


def suits_input(
    samples: int, windows: Windows, channels: int, filters: int, dtype: np.dtype
) -> bool:
    """Whether `convolve_input` takes such filters, and is faster; parameters as for `suits`."""
    back = _across(windows)
    return back is not None and suits(samples, back, filters, channels, dtype)


def suits_weight(
    samples: int, windows: Windows, channels: int, filters: int, dtype: np.dtype
) -> bool:
    """Whether `convolve_weight` takes such filters, and is faster; parameters as for `suits`."""
    high, wide = windows.counts
    return high * wide >= SMALLEST and _fit(samples, windows, channels, filters, dtype, 1)


def _check_whole(what: str, count: int, dtype: np.dtype) -> None:
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"{what} must be of float32 or float64, not {dtype}")
    if count % columns_of(dtype):
        raise ValueError(
            f"{what} must be a multiple of {columns_of(dtype)} for {dtype}, not {count}"
        )


def _run(
    name: str, x: np.ndarray, laid: np.ndarray, windows: Windows, out: np.ndarray,
    num_threads: int | None,
) -> np.ndarray:
    check_run(windows, x, out, weight=laid, **{name: x})
    api.convolve(x, laid, out, _arrays.dtype_code(x.dtype), windows.counts, windows.size,
                 windows.strides, windows.before, num_threads=check_num_threads(num_threads))
    return out


def convolve(
    x: np.ndarray, weight: np.ndarray, windows: Windows, out: np.ndarray, *,
    num_threads: int | None = None,
) -> np.ndarray:
    """out[n, i, j, f] = sum_kmc weight[k, m, c, f] x[n, i s - b + k, j s - b + m, c].

    Parameters
    ----------
    x : array of shape (n, height, width, channels)
        float32 or float64, in C order.
    weight : array of shape (*size, channels, filters)
        Of the dtype of x; the filters a multiple of 32, of float64 of 16.
    windows : Windows
        For strides ``s`` and ``b`` elements before the map, outside of which there are zeros.
    out : array of shape (n, *counts, filters)
        In C order.
    num_threads : int, optional
        By default as many as the work is worth.
    """
    check_maps("x", x, windows)
    check_maps("weight", weight, windows)
    filters = weight.shape[-1]
    check_shape_of("weight", weight, (*windows.size, x.shape[3], filters))
    check_shape_of("out", out, (len(x), *windows.counts, filters))
    _check_whole("filters of weight", filters, weight.dtype)
    return _run("x", x, panels(weight.reshape(-1, filters)), windows, out, num_threads)


def convolve_input(
    dz: np.ndarray, weight: np.ndarray, windows: Windows, out: np.ndarray, *,
    num_threads: int | None = None,
) -> np.ndarray:
    """Set ``out`` to the gradient of the maps of `convolve`, for that of its result.

    Strides are 1, padding is smaller than a window, and the channels are a multiple as the filters
    are: it is the convolution of ``dz`` with the filters from their other end.
    """
    check_maps("out", out, windows)
    check_maps("weight", weight, windows)
    filters = weight.shape[-1]
    check_shape_of("weight", weight, (*windows.size, out.shape[3], filters))
    check_shape_of("dz", dz, (len(out), *windows.counts, filters))
    check_shape_of("out", out, (len(out), *windows.maps, out.shape[3]))
    _check_whole("channels of weight", out.shape[3], weight.dtype)
    back = _across(windows)
    if back is None:
        raise ValueError(f"windows must have strides 1 and padding below their size: {windows}")
    return _run("dz", dz, turned_panels(weight), back, out, num_threads)


def _across(windows: Windows) -> Windows | None:
    """Return the windows over a result that lead back to its maps, or None for other strides."""
    high, wide = (size - 1 - b for size, b in zip(windows.size, windows.before, strict=True))
    if windows.strides != (1, 1) or min(high, wide) < 0:
        return None
    return Windows(windows.counts, windows.size, (1, 1), (high, wide), windows.maps)


def convolve_weight(
    x: np.ndarray, dz: np.ndarray, windows: Windows, out: np.ndarray, *,
    num_threads: int | None = None,
) -> np.ndarray:
    """Set ``out`` to the gradient of the weight of `convolve`, for that of its result.

    Parameters are those of `convolve`; ``dz`` has the shape of its result, and out that of weight.
    """
    check_maps("x", x, windows)
    check_maps("out", out, windows)
    check_shape_of("dz", dz, (len(x), *windows.counts, out.shape[3]))
    check_shape_of("out", out, (*windows.size, x.shape[3], out.shape[3]))
    _check_whole("filters of out", out.shape[3], out.dtype)
    check_run(windows, x, out, x=x, dz=dz)
    sums = np.zeros((min(CHUNKS, len(x)), *out.shape), out.dtype)
    api.convolve_weight(x, dz, sums, _arrays.dtype_code(x.dtype), windows.counts, windows.size,
                        windows.strides, windows.before, columns_of(x.dtype),
                        num_threads=check_num_threads(num_threads))
    return np.add.reduce(sums, axis=0, out=out)
