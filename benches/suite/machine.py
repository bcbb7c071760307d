"""The machine that figures were taken on."""

import os
import platform
from pathlib import Path

CPU = Path("/sys/devices/system/cpu/cpu0/cache")


def cpu_name():
    """Return the name that the CPU gives itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def vendor():
    """Return "Intel", "AMD" or another name of who made the CPU."""
    name = cpu_name()
    return next((v for v in ("Intel", "AMD") if v.lower() in name.lower()), name)


def caches():
    """Return the size of each cache of a core, such as {"L2": "1024K"}."""
    found = {}
    for index in sorted(CPU.glob("index*")):
        if (index / "type").read_text().strip() != "Instruction":
            level, size = ((index / name).read_text().strip() for name in ("level", "size"))
            found[f"L{level}"] = size
    return found


def cores():
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def describe():
    """Return what a reader must know of the machine, as plain fields."""
    return {"cpu": cpu_name(), "vendor": vendor(), "cores": cores(), "caches": caches(),
            "system": platform.platform(), "python": platform.python_version()}
