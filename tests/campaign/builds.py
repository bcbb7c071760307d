"""Other compilers, processors and Pythons: the same bits.

``python tests/campaign/builds.py --long`` builds the kernels with clang, and with each Python that
is on the path or pyenv's, and tests them there; tests the build that is installed on processors
without AVX and with AVX2 alone, which QEMU plays; and looks at what it is linked to. What stands
behind ``--`` goes to pytest. The short form has the processors draw the frozen vectors.
"""

import shutil
import sys
from pathlib import Path

import common
from building import borrowing, install, pytest, sources, tool
from common import ROOT, TESTS, Job, Skip, run
from wheel import LINKED, needed

from cydropout import _kernels

campaign = common.Campaign(__file__, __doc__)
#: Masks and kernels against NumPy and the frozen vectors, layers, training.
FILES = [f"tests/test_{name}.py" for name in (
    "kernels", "random", "masks", "dropout", "gaussian", "functional", "training", "checkpoints",
    "python_threads")]
#: What a free-threaded Python also runs with every test in four threads at once.
PARALLEL = [f"tests/test_{name}.py" for name in (
    "random", "masks", "dropout", "gaussian", "functional")]
FROZEN = """
import sys
sys.path.insert(0, sys.argv[1])
from test_kernels import test_frozen_vectors
import cydropout
build = cydropout.show_config("dicts")["build"]
test_frozen_vectors(build)
print(build)
"""
#: What a build and these tests need, of a Python that has nothing.
PACKAGES = ["numpy", "cython>=3.1", "setuptools>=77", "pytest>=8", "threadpoolctl", "ml_dtypes",
            "matplotlib", "tqdm"]


@campaign.check
def clang(job: Job) -> str:
    """The compiler of LLVM."""
    version = run([tool("clang"), "--version"]).splitlines()[0]
    if not job.long:
        return version
    copy, python = sources(job.folder), borrowing(job.folder)
    install(python, copy, CC="clang")
    return f"{version}: {pytest(python, copy, *(job.arguments or FILES))}"


def played(job: Job, cpu: str, build: str) -> str:
    """Test on a processor that QEMU plays; the best build that it has must be this one."""
    emulator = tool("qemu-x86_64")
    python = [emulator, "-cpu", cpu, sys.executable]
    found = run([*python, "-c", FROZEN, TESTS], env={"CYDROPOUT_ISA": ""}).split()[-1]
    assert found == build, f"{cpu} has the build {found}, not {build}"
    if not job.long:
        return f"{build}: the frozen vectors"
    return f"{build}: {pytest(python, ROOT, *(job.arguments or FILES))}"


@campaign.check
def without_avx(job: Job) -> str:
    """A processor of 2008."""
    return played(job, "Nehalem", "baseline")


@campaign.check
def with_avx2(job: Job) -> str:
    """A processor of 2013."""
    return played(job, "Haswell", "x86_64_v3")


@campaign.check
def no_openmp(job: Job) -> str:
    """The kernels need no runtime of threads but the C library's."""
    tool("readelf")
    kernels = [*Path(_kernels.__file__).parent.glob("*.so")]
    foreign = {name for path in kernels for name in needed(path) if not LINKED.fullmatch(name)}
    assert kernels and not foreign, foreign
    return f"{len(kernels)} modules need parts of the C library alone"


def other_python(job: Job, version: str) -> str:
    """Build and test with another Python, "3.13t" without the GIL, in an environment of its own."""
    number, free = version.rstrip("t"), version.endswith("t")
    if number == f"3.{sys.version_info[1]}" and not free:
        raise Skip("the tests run on it")
    places = [place for place in sorted(Path.home().glob(f".pyenv/versions/{number}.*/bin/python"))
              if place.parts[-3].endswith("t") == free]
    found = str(places[-1]) if places else shutil.which(f"python{version}")
    if not found:
        raise Skip("it is neither on the path nor pyenv's")
    if not job.long:
        return "it is there"
    run([found, "-m", "venv", job.folder / "venv"])
    copy, python = sources(job.folder), job.folder / "venv" / "bin" / "python"
    run([python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", *PACKAGES,
         *(["pytest-run-parallel"] if free else [])])
    install(python, copy)
    what = run([python, "-c", "import numpy, sys; print(sys.version.split()[0], 'NumPy', "
                              "numpy.__version__)"]).strip()
    alone = pytest(python, copy, *(job.arguments or FILES))
    if not free:
        return f"{what}: {alone}"
    together = pytest(python, copy, "--parallel-threads", "4", *PARALLEL)
    return f"{what}: {alone}; each in 4 threads at once: {together}"


for name in ("3.10", "3.11", "3.12", "3.13", "3.14", "3.13t", "3.14t"):
    def python_of(job: Job, version: str = name) -> str:
        return other_python(job, version)

    python_of.__name__ = f"python_{name.replace('.', '_')}"
    campaign.check(python_of)


if __name__ == "__main__":
    sys.exit(campaign.main())
