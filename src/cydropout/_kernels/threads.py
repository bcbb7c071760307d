"""How many threads: the one place that decides."""

import itertools
import os
import re
from collections.abc import Iterator
from math import ceil
from pathlib import Path, PurePosixPath

from cydropout._kernels import api
from cydropout._validate import check_integer

#: More is an error: a team this large only takes memory, or the process down.
MAX_THREADS = 1024

#: As ``num_threads``: the threads of the host library that `api.set_host` named.
HOST = object()

_count = 1
_source = ""


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _read(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except (OSError, ValueError):  # not there, not allowed, or no text
        return []


def _quota(group: Path) -> Iterator[int]:
    for words in (
        _read(group / "cpu.max"),
        _read(group / "cpu.cfs_quota_us") + _read(group / "cpu.cfs_period_us"),
    ):
        if len(words) == 2 and all(re.fullmatch("[0-9]{1,18}", word) for word in words):
            allowed, period = map(int, words)
            if allowed and period:
                yield ceil(allowed / period)


def cgroup_limit(
    root: Path = Path("/sys/fs/cgroup"), groups: Path = Path("/proc/self/cgroup")
) -> int | None:
    """Return the number of cores that the container's CPU quotas come to, or None without one.

    The least counts of this process's group and those above it. A part of a core is rounded up:
    the kernels' threads wait for nobody, so that the last may come late, and one less would leave
    that part of the quota idle.
    """
    paths = {PurePosixPath()}
    for word in _read(groups):
        found = re.fullmatch("[0-9]+:([^:]*):/(.*)", word)
        if found and {"", "cpu"} & set(found[1].split(",")):
            path = PurePosixPath(*(part for part in found[2].split("/") if part != ".."))
            paths |= {path, *path.parents}
    # The folder of version 2, and of version 1. In a container its own group is often the root.
    quotas = (_quota(mount / path) for mount in (root, root / "cpu") for path in paths)
    return min(itertools.chain.from_iterable(quotas), default=None)


def available_cores() -> tuple[int, str]:
    """Return how many cores this process may really use, and what says so."""
    cores, limit = _affinity(), cgroup_limit()
    if limit is not None and limit < cores:
        return limit, "cgroup CPU quota"
    return cores, "CPU affinity"


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
