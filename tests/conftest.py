"""Fixtures that more than one test file uses."""

import importlib
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from data_cases import NAMES, idx, write
from training_cases import CLASSES, FEATURES, SAMPLES

from cydropout._kernels import dispatch

# Processes in the background of a shell may have Ctrl-C ignored, and so would those of the tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_directory() -> Path:
    """Return the directory that holds ``mnist`` and ``fashion-mnist``, the published files."""
    beside_the_checkout = Path(__file__).resolve().parents[2] / "shared" / "data"
    directory = Path(os.environ.get("CYDROPOUT_DATA", beside_the_checkout))
    if not (directory / "mnist").is_dir():
        pytest.skip(f"no MNIST in {directory}; set CYDROPOUT_DATA to a directory that holds mnist/")
    return directory


@pytest.fixture
def load(monkeypatch):
    """Return a function that imports a module of the benches."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benches"))
    return importlib.import_module


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(SAMPLES, FEATURES)).astype("float32")
    return x, (x @ rng.normal(size=(FEATURES, CLASSES))).argmax(axis=1)


@pytest.fixture
def arrays() -> list[np.ndarray]:
    """Return small ``x_train, y_train, x_test, y_test`` in which every label occurs."""
    rng = np.random.default_rng(0)
    made = []
    for count in (20, 10):
        made.append(rng.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        made.append((np.arange(count) % 10).astype(np.uint8))
    return made


@pytest.fixture
def folder(tmp_path: Path, arrays: list[np.ndarray]) -> Path:
    """Return a directory of four good .gz files."""
    for name, array in zip(NAMES, arrays, strict=True):
        write(tmp_path, name, idx(array))
    return tmp_path


@pytest.fixture
def each_build():
    """Return an iterator over the builds that this CPU can run, each in use when it comes."""
    before = dispatch.build
    yield (dispatch.choose(name) for name in dispatch.available())
    dispatch.choose(before)


@pytest.fixture(params=dispatch.available())
def build(request):
    """Run the test with each build that this CPU can run."""
    before = dispatch.build
    yield dispatch.choose(request.param)
    dispatch.choose(before)
