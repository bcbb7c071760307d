"""Normalised columns: their statistics, the map, and backward."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.api import Kernel
from cydropout._kernels.threads import check_num_threads
from cydropout._validate import check_flag, check_function, check_integer, check_number
from cydropout.functional.conv import Windows, check_windows

Sums = Callable[[np.ndarray], np.ndarray]

_UNIT = 16384  # elements in one unit of work, which has sums of its own
_UNITS = 64
_WIDEST = 4096  # columns of maps that are pooled


class Normalised(NamedTuple):
    """What was done to the columns: y = (x - mean) inverse gamma + beta.

    ``at`` is which element of each window of ``pool`` was the largest, if there was a pool.
    """

    x: np.ndarray
    mean: np.ndarray
    inverse: np.ndarray
    scale: np.ndarray
    beta: np.ndarray
    relu: bool
    of_batch: bool
    of_rows: int
    pool: Windows | None = None
    at: np.ndarray | None = None

    @property
    def windows(self) -> dict[str, Any]:
        """What the kernels are told of the pool."""
        if self.pool is None:
            return {}
        maps = (len(self.x) // math.prod(self.pool.maps), *self.pool.maps, self.x.shape[1])
        return {"at": self.at, "maps": maps, "counts": self.pool.counts, "size": self.pool.size}


def _run(kind: Kernel, source: np.ndarray, num_threads: int | None, **arrays: Any) -> None:
    code = _arrays.dtype_code(source.dtype)
    threads = check_num_threads(num_threads)
    options = {"x": None, "target": None} | arrays
    api.normalise(kind, source, code=code, num_threads=threads, **options)


def _span(x: np.ndarray) -> int:
    """Return the rows of a unit, which depend on the shape alone."""
    rows, columns = map(int, x.shape)
    return max(1, -(-rows // _UNITS), _UNIT // max(columns, 1))


def _sums(kind: Kernel, source: np.ndarray, num_threads: int | None, **arrays: Any) -> np.ndarray:
    shaped = arrays.get("x", source)  # of which the source may be the windows alone
    rows, columns = shaped.shape
    span = _span(shaped)
    totals = np.zeros((max(1, -(-rows // span)), 2, columns))
    _run(kind, source, num_threads, totals=totals, span=span, **arrays)
    result: np.ndarray = totals.sum(axis=0)
    return result


def _check(x: np.ndarray, name: str = "x") -> None:
    _arrays.check_ndarray(name, x)
    if x.ndim != 2 or x.dtype not in (np.float32, np.float64) or not _arrays.is_ready(x):
        raise ValueError(
            f"{name} must be contiguous and aligned rows and columns of float32 or float64, not "
            f"{x.dtype} of shape {x.shape}"
        )


def moments(
    x: np.ndarray, *, num_threads: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and (biased) variance of each column, in float64.

    Summed in float64 around the first row, in chunks that depend on the shape alone: the same to
    the bit for any number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> functional.moments(np.array([[1.0, 2.0], [3.0, 6.0]]))
    (array([2., 4.]), array([1., 4.]))
    """
    _check(x)
    if not len(x):
        return np.zeros(x.shape[1]), np.ones(x.shape[1])
    with np.errstate(invalid="ignore", over="ignore"):
        first, second = _sums(Kernel.MOMENTS, x, num_threads, center=x[0]) / len(x)
        return x[0] + first, np.maximum(second - first * first, 0.0)


def _column(name: str, value: np.ndarray, x: np.ndarray) -> np.ndarray:
    array, _ = _arrays.as_float_array(value, name)
    if array.shape != x.shape[1:]:
        raise ValueError(f"{name} has shape {array.shape}, but x has shape {x.shape}")
    return array


def normalise(
    x: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    *,
    epsilon: float,
    relu: bool = False,
    of_batch: bool = True,
    count: int | None = None,
    pool: Windows | None = None,
    num_threads: int | None = None,
) -> tuple[np.ndarray, Normalised]:
    """y = (x - mean) / sqrt(variance + epsilon) gamma + beta, then a ReLU and a pool if wanted.

    Parameters
    ----------
    x : array of shape (rows, columns)
        float32 or float64, in C order.
    mean, variance, gamma, beta : array of shape (columns,)
        Of each column.
    epsilon : float
        Added to the variance; the sum must be above 0.
    relu : bool
        Whether y is max(y, 0).
    of_batch : bool
        Whether mean and variance are those of x, and the gradient is to know it.
    count : int, optional
        Of how many rows they are, where these are some of them; by default of those of x.
    pool : Windows, optional
        Over the maps that the rows are, (n, height, width, columns): y is the largest element of
        each, as `max_pool` has it. They lie side by side from the first element on; there are at
        most 4096 columns.
    num_threads : int, optional
        By default as many as the work is worth.

    Returns
    -------
    y : array
        Of the shape and dtype of x, or with a pool a row for each window.
    Normalised
        What `normalise_backward` needs.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> x = np.array([[1.0, 2.0], [3.0, 6.0]])
    >>> y, _ = functional.normalise(
    ...     x, *functional.moments(x), np.ones(2), np.zeros(2), epsilon=0.0)
    >>> y
    array([[-1., -1.],
           [ 1.,  1.]])
    """
    _check(x)
    mean, variance, gamma, beta = (
        _column(name, array, x)
        for name, array in (
            ("mean", mean), ("variance", variance), ("gamma", gamma), ("beta", beta))
    )
    check_number("epsilon", epsilon, "[0, inf)")
    try:
        with np.errstate(divide="raise", invalid="raise"):
            inverse = 1.0 / np.sqrt(variance.astype(np.float64) + epsilon)
    except FloatingPointError:
        least = np.nanmin(variance)
        raise ValueError(f"variance + epsilon must be above 0, not {least} + {epsilon}") from None
    done = Normalised(
        x, _arrays.contiguous(mean, x.dtype), inverse,
        _arrays.contiguous(inverse * gamma, x.dtype), _arrays.contiguous(beta, x.dtype),
        check_flag("relu", relu), check_flag("of_batch", of_batch),
        len(x) if count is None else check_integer("count", count, f"[{len(x)}, inf)"),
    )
    rows, kind = len(x), Kernel.NORMALISE
    if pool is not None:
        rows, kind = _pooled(x, pool), Kernel.NORMALISE_POOL
        done = done._replace(pool=pool, at=np.empty((rows, x.shape[1]), np.uint8))
    y = np.empty((rows, x.shape[1]), x.dtype)
    _run(kind, x, num_threads, target=y, center=done.mean, scale=done.scale, shift=done.beta,
         span=_span(x), relu=relu, **done.windows)
    return y, done


def can_pool(pool: Windows, columns: int) -> bool:
    """Whether `normalise` serves such windows over maps of so many columns."""
    check_windows(pool)
    inside = all(count * size <= length for count, size, length in zip(
        pool.counts, pool.size, pool.maps, strict=True))
    return (pool.strides == pool.size and pool.before == (0, 0) and inside
            and 0 not in (*pool.counts, *pool.maps)
            and math.prod(pool.size) <= api.WINDOW and 0 < columns <= _WIDEST)


def _pooled(x: np.ndarray, pool: Windows) -> int:
    """Return how many windows there are over the rows of x as maps."""
    rows, columns = x.shape
    if not can_pool(pool, columns):
        raise ValueError(
            f"pool must be windows that lie side by side, over maps of at most {_WIDEST} columns, "
            f"not {pool} over {columns}"
        )
    samples, rest = divmod(rows, math.prod(pool.maps))
    if rest:
        raise ValueError(f"x has {rows} rows, which are no maps of {pool.maps}")
    windows: int = samples * math.prod(pool.counts)
    return windows


def normalise_backward(
    dy: np.ndarray, done: Normalised, *, sums: Sums | None = None, num_threads: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return dx, dgamma and dbeta, the last two in float64, from dy, of the shape of y.

    ``sums`` returns the sum of an array over all who have rows of what the statistics are of; that
    of dgamma and dbeta is left to the caller.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> x = np.array([[1.0, 2.0], [3.0, 6.0]])
    >>> y, done = functional.normalise(
    ...     x, *functional.moments(x), np.ones(2), np.zeros(2), epsilon=0.0)
    >>> dx, dgamma, dbeta = functional.normalise_backward(np.ones((2, 2)), done)
    >>> dbeta
    array([2., 2.])
    """
    _check(dy, "dy")
    if not isinstance(done, Normalised):
        raise TypeError(f"done must be what normalise gave, not {done!r}")
    x = done.x
    shape = x.shape if done.at is None else done.at.shape
    if dy.shape != shape or dy.dtype != x.dtype:
        raise ValueError(f"dy is {dy.dtype} {dy.shape}, but y is {x.dtype} {shape}")
    if sums is not None:
        check_function("sums", sums, "an array")
    common = {
        "x": x, "center": done.mean, "scale": done.scale, "shift": done.beta, "relu": done.relu,
        **done.windows,
    }
    dbeta, moment = _sums(Kernel.NORMALISE_BACKWARD_SUMS, dy, num_threads, **common)
    dgamma = moment * done.inverse
    share = done.scale / done.of_rows if done.of_batch and done.of_rows else np.zeros(x.shape[1])
    level, slope = dbeta, dgamma
    if sums is not None and done.of_batch:
        own = np.stack([dbeta, dgamma])
        total = np.asarray(sums(own))
        if total.shape != own.shape or total.dtype.kind != "f":
            raise ValueError(f"sums must return floats of the shape {own.shape} that it gets, not "
                             f"{total.dtype} of {total.shape}")
        level, slope = total
    dx = np.empty_like(x)
    _run(
        Kernel.NORMALISE_BACKWARD, dy, num_threads, target=dx, span=_span(x),
        mean=_arrays.contiguous(share * level, x.dtype),
        tilt=_arrays.contiguous(share * done.inverse * slope, x.dtype), **common,
    )
    return dx, dgamma, dbeta
