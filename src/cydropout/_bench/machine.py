"""The machine that figures were taken on; imports nothing of the library: benches read it too."""

import os
import platform
import sys
from pathlib import Path
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


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
    return {"cpu": cpu_name(), "vendor": vendor(), "cores": cores(), "caches": caches(),
            "system": platform.platform(), "python": platform.python_version()}
