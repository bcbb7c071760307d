"""Processes of MPI, which tests start where there is a launcher and a library."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def launched(ranks, *arguments, **options):
    """Return what Python with these arguments did as so many processes; skip without MPI."""
    launcher = shutil.which("mpiexec", path=Path(sys.executable).parent) or shutil.which("mpiexec")
    if launcher is None:
        pytest.skip("there is no mpiexec; pip install '.[mpi]'")
    found = subprocess.run([sys.executable, "-c", "from mpi4py import MPI"], capture_output=True)
    if found.returncode:
        pytest.skip("mpi4py finds no MPI here; pip install '.[mpi]'")
    return subprocess.run(
        [launcher, "-n", str(ranks), sys.executable, *map(str, arguments)],
        capture_output=True, text=True, timeout=120, **options,
    )
