"""The extension table; everything else is in pyproject.toml."""

import os
import sysconfig
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

KERNELS = Path("src/cydropout/_kernels")
# No fused multiply-add and nothing native: every build gives the same bits on every machine.
FLAGS = ["-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
BUILDS = {"baseline": []}
if sysconfig.get_platform().endswith(("x86_64", "amd64")):
    BUILDS |= {"x86_64_v3": ["-march=x86-64-v3"], "x86_64_v4": ["-march=x86-64-v4"]}


#: Which of them are compiled, for who works on the kernels: ``CYDROPOUT_BUILDS=x86_64_v4``.
CHOSEN = os.environ.get("CYDROPOUT_BUILDS", "").lower().replace("-", "_").split() or [*BUILDS]
if not BUILDS.keys() >= {*CHOSEN}:
    raise SystemExit(f"CYDROPOUT_BUILDS={' '.join(CHOSEN)!r} must be some of {' '.join(BUILDS)}")


def extensions():
    common = {
        "include_dirs": [numpy.get_include(), str(KERNELS)],
        "define_macros": [("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"),
                          ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION")],
        "depends": [str(path) for suffix in ("pxi", "pxd", "h")
                    for path in KERNELS.rglob(f"*.{suffix}")],
    }
    yield Extension("cydropout._kernels.api", [str(KERNELS / "api.pyx")], **common,
                    extra_compile_args=[*FLAGS, "-pthread"], extra_link_args=["-pthread"])
    yield Extension("cydropout._kernels.reuse", [str(KERNELS / "reuse.pyx")], **common,
                    extra_compile_args=FLAGS)
    for name in CHOSEN:
        yield Extension(f"cydropout._kernels.{name}", [str(KERNELS / f"{name}.pyx")], **common,
                        extra_compile_args=FLAGS + BUILDS[name])


setup(
    ext_modules=cythonize(
        list(extensions()),
        compiler_directives={"language_level": 3, "boundscheck": False, "wraparound": False,
                             "cdivision": True, "initializedcheck": False,
                             "freethreading_compatible": True},
    ),
    options={"build_ext": {"parallel": os.cpu_count()}},
)
