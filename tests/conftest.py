"""Fixtures that more than one test file uses."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_directory() -> Path:
    """Return the directory that holds ``mnist`` and ``fashion-mnist``, the published files."""
    beside_the_checkout = Path(__file__).resolve().parents[2] / "shared" / "data"
    directory = Path(os.environ.get("CYDROPOUT_DATA", beside_the_checkout))
    if not (directory / "mnist").is_dir():
        pytest.skip(f"no MNIST in {directory}; set CYDROPOUT_DATA to a directory that holds mnist/")
    return directory
