"""Parts of cydropout's training step, alone: what it cannot do without.

Each takes a trainer and its run, trains two epochs for the loss, and returns a run of the part.
"""

from unittest import mock

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cydropout import functional
from cydropout.functional import convolve
from cydropout.functional.dense_stack import DenseStack


class _Calls(list):
    """The matrix products of a run, each of arrays laid out as they were."""

    def __init__(self):
        self.arrays, self.matmul, self.recurrence = {}, np.matmul, functional.recurrence

    def _like(self, role, array):
        """Return an array laid out like another; those of one role and layout are one."""
        key = role, array.shape, array.strides, array.dtype
        if key not in self.arrays:
            steps = zip(array.shape, array.strides, strict=True)
            extent = 1 + sum((n - 1) * stride for n, stride in steps) // array.itemsize
            ones = np.ones(extent, array.dtype)
            self.arrays[key] = as_strided(ones, array.shape, array.strides)
        return self.arrays[key]

    def _add(self, a, b, y, times=1):
        self += [tuple(map(self._like, ("a", "b", "y"), (a, b, y)))] * times

    def record(self, a, b, out=None):
        y = self.matmul(a, b, out=out)
        self._add(a, b, y)
        return y

    def record_recurrence(self, cell, z, weight, *rest, **options):
        """Record the products that BLAS would make for it, one of each a step."""
        n, steps = z.shape[:2]
        state, gates = (np.empty((n, size), z.dtype) for size in weight.shape)
        self._add(state, weight, gates, times=steps)
        self._add(gates, np.ascontiguousarray(weight.T), state, times=steps)
        return self.recurrence(cell, z, weight, *rest, **options)


def products(trainer, fit):
    """Return a run of the matrix products of an epoch, as many, as large, and as laid out."""
    calls = _Calls()
    # A stack calls BLAS itself, with the same products; a convolution and a recurrence make theirs.
    with (mock.patch.object(DenseStack, "available", lambda: False),
          mock.patch.object(convolve, "suits", lambda *sizes: False),
          mock.patch.object(convolve, "suits_weight", lambda *sizes: False),
          mock.patch.object(np, "matmul", calls.record),
          mock.patch.object(functional, "recurrence", calls.record_recurrence)):
        fit()
    loss = fit()

    def run():
        for a, b, y in calls:
            np.matmul(a, b, out=y)
        return loss

    return run


def optimizer(trainer, fit):
    """Return a run of the optimizer's steps of an epoch."""
    fit()
    steps, loss = trainer.optimizer.steps, fit()
    parameters = trainer.model.parameters()

    def run():
        for _ in range(steps):
            trainer.optimizer.step(parameters, num_threads=None)
        return loss

    return run
