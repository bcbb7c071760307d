"""Build a wheel as it is published, and prove it in empty environments.

``python wheel.py OUTPUT`` builds the checkout, repairs the wheel by the command of pyproject.toml,
which needs auditwheel and patchelf, and installs it into new virtual environments: one with NumPy
alone, and with ``--torch torch==2.13.0`` one with PyTorch.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: What the kernels may be linked to: parts of the C library, which every system has once.
LINKED = re.compile(r"lib(c|m|pthread)\.so\.6|libpthread\.so\.0|ld-linux-[\w-]+\.so\.\d")
#: The orders in which packages are imported, and how many OpenMP runtimes are loaded then.
ORDERS = {
    "cydropout": 0, "torch cydropout cydropout.torch": 1, "cydropout torch cydropout.torch": 1,
    "cydropout.torch": 1,
}
#: Counts them after a call large enough for a team, on the kernels' threads and on PyTorch's.
COUNT = """
import importlib, sys, threadpoolctl
modules = [importlib.import_module(name) for name in sys.argv[1].split()]
import cydropout, numpy
cydropout.dropout(numpy.ones(1 << 20, "f4"), 0.5)
if "cydropout.torch" in sys.argv[1]:
    import torch
    modules[-1].Dropout(0.5)(torch.ones(1 << 20))
pools = threadpoolctl.threadpool_info()
print(len({pool["filepath"] for pool in pools if pool["user_api"] == "openmp"}))
"""


def needed(library):
    """Return the names of the libraries that a shared object needs."""
    found = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True)
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", found.stdout))


def runtimes(python, order):
    """Return how many OpenMP runtimes are loaded after these imports and a call."""
    done = subprocess.run([python, "-c", COUNT, order], capture_output=True, text=True, check=True)
    return int(done.stdout)


def build(output):
    """Return the repaired wheel of the checkout, made in a copy."""
    import tomllib  # of Python 3.11 and newer

    with tempfile.TemporaryDirectory() as work:
        copy, raw = Path(work, "copy"), Path(work, "raw")
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(
            ".*", "*.c", "*.so", "build", "dist", "_build", "*.egg-info"))
        subprocess.run([sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", raw, copy],
                       check=True)
        (wheel,) = raw.glob("*.whl")
        with (ROOT / "pyproject.toml").open("rb") as file:
            command = tomllib.load(file)["tool"]["cibuildwheel"]["linux"]["repair-wheel-command"]
        subprocess.run(command.format(wheel=wheel, dest_dir=output), shell=True, check=True)
    return max(output.glob("*.whl"), key=lambda path: path.stat().st_mtime)


def check_contents(wheel):
    """Raise if a library came into the wheel, or a kernel needs one that is not the system's."""
    with tempfile.TemporaryDirectory() as work, zipfile.ZipFile(wheel) as archive:
        archive.extractall(work)
        libraries = list(Path(work).rglob("*.so*"))
        kernels = [path for path in libraries if path.parent.name == "_kernels"]
        assert len(kernels) == len(libraries) >= 2, libraries
        for path in kernels:
            assert all(map(LINKED.fullmatch, needed(path))), (path, needed(path))


def check_installed(wheel, torch):
    """Install the wheel into an empty environment, and count the OpenMP runtimes there."""
    with tempfile.TemporaryDirectory() as work:
        subprocess.run([sys.executable, "-m", "venv", work], check=True)
        python = Path(work, "bin", "python")
        packages = [wheel, "threadpoolctl", *([torch] if torch else [])]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        subprocess.run([Path(work, "bin", "cydropout"), "info"], check=True)
        for order, wanted in ORDERS.items():
            if torch or "torch" not in order:
                found = runtimes(python, order)
                assert found == wanted, f"import {order}: {found} OpenMP runtimes, not {wanted}"
                print(f"import {order}: {found} OpenMP runtimes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--torch", help="also beside this PyTorch, such as torch==2.13.0")
    arguments = parser.parse_args()
    made = build(arguments.output)
    check_contents(made)
    for beside in filter(None, ("NumPy", arguments.torch)):
        check_installed(made, None if beside == "NumPy" else beside)
    print(f"{made}: right")
