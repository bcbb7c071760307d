"""The machine: its CPU, and what this process may use of it; benches read this file alone, too."""

import itertools
import os
import platform
import re
import sys
from collections.abc import Iterator
from math import ceil
from pathlib import Path, PurePosixPath
from typing import Any

CPU = Path("/sys/devices/system/cpu/cpu0/cache")


def cpu_name() -> str:
    """Return the name that the CPU gives itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def vendor() -> str:
    """Return "Intel", "AMD" or another name of who made the CPU."""
    name = cpu_name()
    return next((v for v in ("Intel", "AMD") if v.lower() in name.lower()), name)


def caches() -> dict[str, str]:
    """Return the size of each cache of a core, such as {"L2": "1024K"}."""
    found = {}
    for index in sorted(CPU.glob("index*")):
        if (index / "type").read_text().strip() != "Instruction":
            level, size = ((index / name).read_text().strip() for name in ("level", "size"))
            found[f"L{level}"] = size
    return found


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


def memory() -> int:
    """Return how many bytes of memory there are for this process, by machine and container."""
    if not hasattr(os, "sysconf"):
        return sys.maxsize
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(there, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # the latter from "max"
        return there


def describe() -> dict[str, Any]:
    """Return what a reader must know of the machine, as plain fields."""
    return {"cpu": cpu_name(), "vendor": vendor(), "cores": available_cores()[0],
            "caches": caches(), "system": platform.platform(), "python": platform.python_version()}
