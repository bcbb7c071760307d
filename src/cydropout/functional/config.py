"""How cydropout runs here."""

import sys
from importlib.metadata import version
from typing import Any, Literal

import numpy as np

from cydropout import _machine, _optional
from cydropout._kernels import api, blas, caches, dispatch, threads
from cydropout._kernels.threads import get_num_threads
from cydropout._text import show
from cydropout._validate import check_choice
from cydropout.functional.host import host


def available_cores() -> int:
    """Return how many cores this process may use, by its affinity and its container's quota.

    Examples
    --------
    >>> from cydropout.functional import available_cores
    >>> available_cores() >= 1
    True
    """
    return _machine.available_cores()[0]


def _other_pools() -> list[str]:
    try:
        pools = _optional.require("threadpoolctl", "train").threadpool_info()
    except ImportError:
        return ["unknown without threadpoolctl"]
    return [f"{pool['internal_api']} with {pool['num_threads']}" for pool in pools] or ["none"]


def _teams() -> str:
    seen = api.launcher()
    if not seen["teams"]:
        return "none so far; workers help where they come in time, and are not waited for"
    return (
        f"{seen['teams']} so far: {seen['awake']} found all workers awake, {seen['woken']} woke "
        f"them, {seen['in_vain']} in vain; "
        f"they last took {seen['late'] / 1e3:.0f} µs to come"
    )


def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None:
    """Print, or with ``mode="dicts"`` return, how cydropout runs here.

    The build in use and those available, the threads and what decided them, the pools of threads
    of other libraries that are loaded and what the launcher of teams found beside them, and the
    BLAS that NumPy runs: where that does less than the CPU can, what to do about it.

    Examples
    --------
    >>> import cydropout
    >>> cydropout.show_config(mode="dicts")["threads"] >= 1
    True
    """
    check_choice("mode", mode, ("stdout", "dicts"))
    config: dict[str, Any] = {
        "version": version("cydropout"),
        "build": dispatch.build,
        "builds available": dispatch.available(),
        "threads": get_num_threads(),
        "threads decided by": threads.source(),
        "other thread pools": _other_pools(),
        "teams": _teams(),
        "threads of a host": f"those of {host()}, for its tensors" if host() else "none",
        "BLAS kernels": blas.core() or "not an OpenBLAS",
        "BLAS threads": blas.num_threads() or "unknown",
        "last-level cache": f"{caches.last_level() // 1024} KiB",
        "numpy": np.__version__,
        "python": sys.version.split()[0],
    }
    if advice := blas.advice():
        config["faster products"] = advice
    if mode == "dicts":
        return config
    for name, value in config.items():
        show(f"{name + ':':20}{', '.join(value) if isinstance(value, list) else value}")
    return None
