"""The data of a training epoch, and whether it learned from them."""

import gzip
import math
import os
from pathlib import Path

import numpy as np

from suite.expect import expect


def inputs(case):
    """Return images of MNIST in [0, 1] and their labels, or numbers like them.

    The files are looked for where CYDROPOUT_DATA says; what a step costs does not depend on them.
    """
    directory = Path(os.environ.get("CYDROPOUT_DATA", "")) / "mnist"
    if case.shape[1] == 784 and (directory / "train-images-idx3-ubyte.gz").is_file():
        pixels = gzip.decompress((directory / "train-images-idx3-ubyte.gz").read_bytes())
        labels = gzip.decompress((directory / "train-labels-idx1-ubyte.gz").read_bytes())
        x = np.frombuffer(pixels, "u1", offset=16).reshape(-1, 784)[: case.shape[0]]
        y = np.frombuffer(labels, "u1", offset=8)[: case.shape[0]]
        return (x / np.float32(255)).astype("f4"), y.astype("i8")
    rng = np.random.default_rng(0)
    centres = rng.random((10, case.shape[1]), "f4")
    labels = rng.integers(0, 10, case.shape[0])
    return (centres[labels] + rng.random(case.shape, "f4")) / 2, labels


def check(case, loss):
    """Raise WrongResult unless the epoch learned something."""
    if case.operation == "epoch":
        expect(math.isfinite(loss), f"the loss is {loss}")
        expect(loss < 2.25, f"the mean loss of the epoch is {loss:.3f}: it learns nothing")
