"""Any array in, the result as the caller wants it back: what all kinds of masks share."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads

#: run(x, y, code, num_threads) writes y, which may be x; both lie as the kernels want them.
Run = Callable[[np.ndarray, np.ndarray, int, int], None]


def applied(
    run: Run,
    shape: tuple[int, ...],
    x: ArrayLike,
    out: np.ndarray | None,
    num_threads: int | None,
) -> np.ndarray:
    """Return what ``run`` makes of ``x``, in ``out`` if there is one; check all of them first."""
    threads = check_num_threads(num_threads)
    # The common call: most of the time of a small array goes into the checks below.
    code = api.ready(x, out)
    if code >= 0 and np.shape(x) == shape:
        y = np.empty(shape, np.asarray(x).dtype) if out is None else out
        run(np.asarray(x), y, code, threads)
        return y
    x, code = _arrays.as_float_array(x)
    if x.shape != shape:
        raise ValueError(f"x has shape {x.shape}, but the mask has shape {shape}")
    if out is not None:
        _arrays.check_out(out, x)
    ready = _arrays.contiguous(x)
    # The result keeps the byte order of x; a copy made on the way is free to write to.
    if out is not None and _arrays.is_ready(out):
        y = out
    elif ready is not x and not np.may_share_memory(ready, x):
        y = ready
    else:
        y = np.empty(x.shape, x.dtype.newbyteorder("="))
    run(ready, y, code, threads)
    if out is None:
        return y.astype(x.dtype, copy=False)
    if y is not out:
        out[...] = y
    return out
