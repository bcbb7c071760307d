"""Calls for a host library, which has arrays and threads of its own."""

from cydropout._kernels import api
from cydropout._kernels.api import dropout_at
from cydropout._kernels.threads import HOST, check_num_threads

__all__ = ["HOST", "check_num_threads", "dropout_at", "host", "set_host"]

_name = ""


def set_host(name: str, parallel_for: int, host_threads: int) -> None:
    """Have calls with ``num_threads=HOST`` run on the threads of a library, by its functions."""
    global _name
    api.set_host(parallel_for, host_threads)
    _name = name


def host() -> str:
    """Return the name of the library whose threads serve its own calls, or ""."""
    return _name
