"""The BLAS that NumPy runs: what it is, and one pool of threads for it and the kernels."""

import ctypes
import importlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from cydropout._kernels import api

#: What OpenBLAS calls its kernels of each level of the CPU, best last, and that level.
CORES = {"Prescott": 0, "Nehalem": 0, "Sandybridge": 0, "Haswell": 3, "Zen": 3, "SkylakeX": 4,
         "Cooperlake": 4, "SapphireRapids": 4}

_lock = threading.Lock()
_state = {"users": 0}


@cache
def _library() -> ctypes.CDLL:
    """Return NumPy's own extension module: what it is linked to is found through it."""
    try:
        module = importlib.import_module("numpy._core._multiarray_umath")
    except ImportError:
        module = importlib.import_module("numpy.core._multiarray_umath")
    return ctypes.CDLL(module.__file__)


@cache
def _function(name: str, result: Any = None, *arguments: Any) -> Callable[..., Any] | None:
    """Return a function of OpenBLAS, or None; wheels put their own letters around the names."""
    for prefix in ("scipy_openblas_", "openblas_"):
        for suffix in ("64_", ""):
            try:
                found: Any = getattr(_library(), f"{prefix}{name}{suffix}")
            except (AttributeError, OSError):
                continue
            found.restype, found.argtypes = result, arguments
            function: Callable[..., Any] = found
            return function
    return None


@cache
def lend_products() -> bool:
    """Have the kernels call OpenBLAS's products themselves; False of another BLAS."""
    if core() is None:
        return False
    for prefix in ("scipy_", ""):
        for suffix in ("64_", ""):
            found: Any = [[getattr(_library(), f"{prefix}cblas_{kind}{name}{suffix}", None)
                           for kind in "sd"] for name in ("gemm", "gemv")]
            if all(map(all, found)):
                matrices, vectors = ([ctypes.cast(one, ctypes.c_void_p).value or 0 for one in pair]
                                     for pair in found)
                api.set_blas(matrices, vectors, suffix == "64_")
                return True
    return False


def core() -> str | None:
    """Return the name of OpenBLAS for the kernels that it runs here; None of another BLAS."""
    function = _function("get_corename", ctypes.c_char_p)
    return None if function is None else function().decode()


def advice() -> str | None:
    """Return what gets faster products out of this BLAS, or None if it does what it can."""
    name = core()
    if name is None or CORES.get(name, api.CPU_LEVEL) >= api.CPU_LEVEL:
        return None
    return (
        f"OpenBLAS runs its {name} kernels, below what this CPU has; set "
        "OPENBLAS_CORETYPE=SkylakeX before Python starts"
    )


def num_threads() -> int | None:
    """Return how many threads OpenBLAS uses now; None of another BLAS."""
    function = _function("get_num_threads", ctypes.c_int)
    return None if function is None else function()


@cache
def _numbers() -> int:
    """Return how many threads OpenBLAS can tell apart, or 0 where none can be lent to it.

    Its own threads have the lowest numbers and go on beside those that are lent (a decomposition,
    or a product that was begun before), so those need others, whose buffers it makes when they are
    first used: since 0.3.29, and where its threads are its own, not OpenMP's.
    """
    config = _function("get_config", ctypes.c_char_p)
    parallel = _function("get_parallel", ctypes.c_int)
    if config is None or parallel is None or parallel() != 1:
        return 0
    text = config().decode()
    version = re.search(r"OpenBLAS (\d+)\.(\d+)\.(\d+)", text)
    numbers = re.search(r"MAX_THREADS=(\d+)", text)
    if not version or not numbers or tuple(map(int, version.groups())) < (0, 3, 29):
        return 0
    return int(numbers[1])


def _address() -> int | None:
    """Return where the threads are lent from, or None where they cannot be."""
    count, numbers = num_threads(), _numbers()
    offered = _function("set_threads_callback_function", None, ctypes.c_void_p) is not None
    if not offered or count is None or 2 * count - 1 > numbers:
        return None
    return api.jobs_address(numbers, count)


def _lend(address: int | None) -> None:
    function = _function("set_threads_callback_function", None, ctypes.c_void_p)
    if function is not None:
        function(address)


@contextmanager
def shared_threads() -> Iterator[bool]:
    """Have BLAS run on the threads of the kernels, and say whether it does.

    Two pools of threads that take turns wait for each other much longer than they work: the idle
    ones of each keep looking for work on the cores that the other needs. Inside this context there
    is one pool, if NumPy's BLAS is an OpenBLAS of at least 0.3.29 with threads of its own. How many
    threads BLAS uses stays as it is set; a product gives the same numbers. Leaving the last such
    context gives BLAS its own threads back.

    Yields
    ------
    bool
        False where the pools cannot be one: then run the kernels beside BLAS on one thread.

    References
    ----------
    OpenBLAS, ``openblas_set_threads_callback_function``.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.functional import shared_threads
    >>> with shared_threads():
    ...     y = np.ones((4, 4)) @ np.ones((4, 4))
    ...
    """
    address = _address()
    if address is None:
        yield False
        return
    with _lock:
        state = _state
        state["users"] += 1
        _lend(address)
    try:
        yield True
    finally:
        with _lock:
            state["users"] -= 1
            if state is _state and not state["users"]:
                _lend(None)


def _after_fork_in_child() -> None:
    """Give BLAS its own threads: those of the kernels stayed in the parent."""
    global _lock, _state
    _lock = threading.Lock()
    if _state["users"]:
        _state = {"users": 0}
        _lend(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
