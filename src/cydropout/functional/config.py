"""How cydropout runs here."""

import sys
from typing import Any, Literal

import numpy as np

from cydropout import _kernels
from cydropout._kernels import api, blas, caches, threads
from cydropout._kernels.threads import get_num_threads


def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None:
    """Print, or with ``mode="dicts"`` return, how cydropout runs here.

    The build in use and those available, OpenMP, the threads and what decided them, and the BLAS
    that NumPy runs: where that does less than the CPU can, what to do about it.
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode must be 'stdout' or 'dicts', not {mode!r}")
    from cydropout import __version__

    config: dict[str, Any] = {
        "version": __version__,
        "build": _kernels.build,
        "builds available": _kernels.available(),
        "OpenMP": api.OPENMP or "no: built serial",
        "threads": get_num_threads(),
        "threads decided by": threads.source(),
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
        print(f"{name + ':':20}{', '.join(value) if isinstance(value, list) else value}")
    return None
