"""How many threads: the one place that decides."""

import os
import re

from cydropout._kernels import api
from cydropout._machine import available_cores
from cydropout._validate import check_integer

#: More is an error: a team this large only takes memory, or the process down.
MAX_THREADS = 1024

#: As ``num_threads``: the threads of the host library that `api.set_host` named.
HOST = object()

_count = 1
_source = ""


def _decide() -> tuple[int, str]:
    text = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if re.fullmatch("0*[1-9][0-9]{0,3}", text) and int(text) <= MAX_THREADS:
        return int(text), "OMP_NUM_THREADS"
    return available_cores()


def check_num_threads(num_threads: object) -> int:
    """Return ``num_threads`` as an int, 0 for None, -1 for `HOST`; raise for anything else."""
    if num_threads is None:
        return 0
    if num_threads is HOST:
        return -1
    return check_integer("num_threads", num_threads, f"[1, {MAX_THREADS}]")


def set_num_threads(num_threads: int | None) -> None:
    """Set how many threads a call uses that does not say itself; None decides anew.

    Large work goes to a team: the calling thread, and workers that take chunks of it where they
    come in time. Beside BLAS or other pools, whose threads hold the cores, a call costs at most
    about what it costs on one thread, with no setting made; the result never depends on who helped.

    Parameters
    ----------
    num_threads : int or None
        A positive number of threads. None takes ``OMP_NUM_THREADS`` or, without it, the cores
        that this process may really use: its CPU affinity, and the quota of its container. Of a
        list as in ``"4,2"`` the first number counts; what is none from 1 to 1024 is ignored.

    Raises
    ------
    TypeError, ValueError
        If ``num_threads`` is not a positive integer or None.

    Examples
    --------
    >>> import cydropout
    >>> cydropout.set_num_threads(1)
    >>> cydropout.get_num_threads()
    1
    >>> cydropout.set_num_threads(None)  # decides anew
    """
    count, source = check_num_threads(num_threads), "set_num_threads"
    if num_threads is None:
        count, source = _decide()
    api.set_default_threads(count)
    global _count, _source
    _count, _source = count, source


def get_num_threads() -> int:
    """Return how many threads a large call uses that does not say itself.

    Examples
    --------
    >>> import cydropout
    >>> cydropout.get_num_threads() >= 1
    True
    """
    return _count


def source() -> str:
    """Return what decided `get_num_threads`."""
    return _source
