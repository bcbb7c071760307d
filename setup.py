"""The extension table; everything else is in pyproject.toml."""

import os
import sys
import sysconfig
import tempfile
import warnings
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools._distutils.ccompiler import new_compiler
from setuptools._distutils.errors import CompileError, LinkError
from setuptools._distutils.sysconfig import customize_compiler

KERNELS = Path("src/cydropout/_kernels")
# No fused multiply-add and nothing native: every build gives the same bits on every machine.
FLAGS = ["-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
BUILDS = {"baseline": []}
if sysconfig.get_platform().endswith(("x86_64", "amd64")):
    BUILDS |= {"x86_64_v3": ["-march=x86-64-v3"], "x86_64_v4": ["-march=x86-64-v4"]}


def openmp():
    """Return the compiler and linker flags for OpenMP, or none, with a warning, where it fails."""
    macos = sys.platform == "darwin"
    compile_flags = ["-Xpreprocessor", "-fopenmp"] if macos else ["-fopenmp"]
    link_flags = ["-lomp"] if macos else ["-fopenmp"]
    compiler = new_compiler()
    customize_compiler(compiler)
    if compiler.compiler_type == "msvc":
        raise SystemExit("cydropout needs gcc or clang: MSVC has no vector extensions")
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "probe.c")
        source.write_text("#include <omp.h>\nint main(void) { return !omp_get_max_threads(); }\n")
        try:
            objects = compiler.compile([str(source)], directory, extra_postargs=compile_flags)
            compiler.link_executable(objects, "probe", directory, extra_postargs=link_flags)
        except (CompileError, LinkError):
            warnings.warn("no OpenMP: cydropout is built serial, on one thread", stacklevel=1)
            return [], []
    return compile_flags, link_flags


def extensions():
    compile_flags, link_flags = openmp()
    common = {
        "include_dirs": [numpy.get_include(), str(KERNELS / "lanes")],
        "define_macros": [("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
        "depends": [str(path) for suffix in ("pxi", "pxd", "h")
                    for path in KERNELS.rglob(f"*.{suffix}")],
    }
    yield Extension("cydropout._kernels.api", [str(KERNELS / "api.pyx")], **common,
                    extra_compile_args=FLAGS + compile_flags, extra_link_args=link_flags)
    for name, flags in BUILDS.items():
        yield Extension(f"cydropout._kernels.{name}", [str(KERNELS / f"{name}.pyx")], **common,
                        extra_compile_args=FLAGS + flags)


setup(
    ext_modules=cythonize(
        list(extensions()),
        compiler_directives={"language_level": 3, "boundscheck": False, "wraparound": False,
                             "cdivision": True, "initializedcheck": False},
    ),
    options={"build_ext": {"parallel": os.cpu_count()}},
)
