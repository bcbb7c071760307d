"""The data of a training epoch, and whether it learned from them."""

import gzip
import math
import os
from pathlib import Path

import numpy as np

from suite import estimators
from suite.case import TEXTS
from suite.expect import expect

OPERATIONS = ("epoch", "network", "training_loop", "torch_step", "classifier",
              "regressor", "processes")


def inputs(case):
    """Return images of MNIST in [0, 1] and their labels, or numbers like them, a table or a text.

    The files are looked for where CYDROPOUT_DATA says; what a step costs does not depend on them.
    """
    directory = Path(os.environ.get("CYDROPOUT_DATA", "")) / "mnist"
    if math.prod(case.shape[1:]) == 784 and (directory / "train-images-idx3-ubyte.gz").is_file():
        pixels = gzip.decompress((directory / "train-images-idx3-ubyte.gz").read_bytes())
        labels = gzip.decompress((directory / "train-labels-idx1-ubyte.gz").read_bytes())
        x = np.frombuffer(pixels, "u1", offset=16)[: case.size].reshape(case.shape)
        y = np.frombuffer(labels, "u1", offset=8)[: case.shape[0]]
        return (x / np.float32(255)).astype("f4"), y.astype("i8")
    if case.operation in ("classifier", "regressor"):
        return estimators.inputs(case)
    rng = np.random.default_rng(0)
    if case.variant in TEXTS:
        # A text that says again what it said some characters ago, but for one in ten.
        text = np.resize(rng.integers(0, case.classes, 13), (case.shape[0], case.shape[1] + 1))
        noise = rng.integers(0, case.classes, text.shape)
        text = np.where(rng.random(text.shape) < 0.1, noise, text)
        return np.ascontiguousarray(text[:, :-1]), np.ascontiguousarray(text[:, 1:])
    centres = rng.random((10, *case.shape[1:]), "f4")
    labels = rng.integers(0, 10, case.shape[0])
    x = (centres[labels] + rng.random(case.shape, "f4")) / 2
    return x, labels


def check(case, loss):
    """Raise WrongResult unless the epoch learned something."""
    expect(math.isfinite(loss), f"the loss is {loss}")
    if case.operation == "torch_step":
        return  # the model is PyTorch's, and its dropouts are checked by the tests
    if case.operation == "regressor":
        return expect(loss < 40, f"the squared error is {loss:.1f}: the numbers differ less "
                      "from 0")
    short = case.operation in ("epoch", "training_loop", "classifier", "processes")
    if short and case.shape[0] <= 16 * case.batch:
        return  # so few steps only show what they cost
    expect(loss < math.log(case.classes) - 0.05,
           f"the mean loss of the epoch is {loss:.3f}: it learns nothing")
