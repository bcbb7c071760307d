"""Runtime CPU dispatch: which build of the kernels runs here, and on how many threads."""

import importlib
import importlib.util
import os

from cydropout._kernels import api, caches, threads

#: The builds by name, worst first, and the CPU level that each one needs.
LEVELS = {"baseline": 0, "x86_64_v3": 3, "x86_64_v4": 4}


def available() -> list[str]:
    """Return the builds that are installed and that this CPU can run, best last."""
    return [
        name
        for name, level in LEVELS.items()
        if level <= api.CPU_LEVEL and importlib.util.find_spec(f"{__package__}.{name}") is not None
    ]


def choose(name: str | None = None) -> str:
    """Make the build ``name`` the one that runs, or the best one; return its name.

    A build is only imported once the CPU is known to run it: even its module initialisation
    may hold instructions that another CPU lacks.
    """
    builds = available()
    if not builds:
        raise ImportError("no build of the kernels that is installed runs on this CPU; build "
                          "cydropout on it, without CYDROPOUT_BUILDS")
    wanted = name.strip().lower().replace("-", "_") if name else builds[-1]
    if wanted not in LEVELS:
        raise ImportError(
            f"CYDROPOUT_ISA={name!r} is not a build of cydropout; use one of {', '.join(builds)}"
        )
    if wanted not in builds:
        raise ImportError(
            f"CYDROPOUT_ISA={name!r} cannot run here: this CPU or this installation "
            f"does not have it; use one of {', '.join(builds)}"
        )
    api.use(importlib.import_module(f"{__package__}.{wanted}").kernels())
    global build
    build = wanted
    return wanted


build = ""
choose(os.environ.get("CYDROPOUT_ISA"))
threads.set_num_threads(None)
# A result as large as the last cache, with its source beside it, does not stay there.
api.set_stream_from(caches.last_level())
