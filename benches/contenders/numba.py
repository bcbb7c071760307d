"""Numba: one parallel loop, each element with a number of its thread's generator."""

import numba
import numpy as np
from numba import prange

from contenders import Base, pipeline, refuse

_jit = numba.njit(parallel=True, fastmath=True)


@_jit
def scale_copy(x, c, y):
    for i in prange(x.size):
        y[i] = c * x[i]


@_jit
def dropout(x, q, scale, y):
    for i in prange(x.size):
        # A product instead of a branch, which nobody can predict.
        y[i] = x[i] * (scale * x.dtype.type(np.random.random() < q))


@_jit
def dropout_columns(x, q, scale, y):
    for i in prange(x.shape[0]):
        for j in range(x.shape[1]):
            y[i, j] = x[i, j] * (scale[j] * x.dtype.type(np.random.random() < q[j]))


@_jit
def dropout_with_mask(x, q, scale, y, keep):
    for i in prange(x.size):
        k = np.random.random() < q
        keep[i] = k
        y[i] = x[i] * (scale * x.dtype.type(k))


@_jit
def draw(q, keep):
    for i in prange(keep.size):
        keep[i] = np.random.random() < q


@_jit
def apply(x, keep, scale, y):
    for i in prange(x.size):
        y[i] = x[i] * scale if keep[i] else x.dtype.type(0)


@_jit
def relu_dropout(z, b, q, scale, y):
    for i in prange(z.shape[0]):
        for j in range(z.shape[1]):
            a = z[i, j] + b[j]
            kept = z.dtype.type(np.random.random() < q)
            y[i, j] = max(a, z.dtype.type(0)) * (scale * kept)


class Contender(Base):
    versions = (("Numba", numba.__version__),)

    def __init__(self, variant, threads):
        numba.set_num_threads(threads)

    def _check(self, case):
        refuse(case.dtype in ("float16", "bfloat16"), "no half precision on a CPU")
        refuse(case.shared_axes, "not one loop")

    def copy(self, case, x):
        self._check(case)
        y, flat, two = np.empty_like(x), x.reshape(-1), x.dtype.type(2)
        out = y.reshape(-1)
        return lambda: (scale_copy(flat, two, out), y)[1]

    def forward(self, case, x):
        self._check(case)
        y = np.empty_like(x)
        if case.per_neuron:
            q = 1 - case.rates
            scale = (1 / q).astype(x.dtype)
            return lambda: (dropout_columns(x, q, scale, y), y)[1]
        q, scale = 1 - case.rate, x.dtype.type(1 / (1 - case.rate))
        flat, out = x.reshape(-1), y.reshape(-1)
        return lambda: (dropout(flat, q, scale, out), y)[1]

    def forward_backward(self, case, x, dy):
        self._check(case)
        refuse(case.per_neuron, "not written")
        y, dx, keep = np.empty_like(x), np.empty_like(x), np.empty(x.size, "?")
        q, scale = 1 - case.rate, x.dtype.type(1 / (1 - case.rate))
        xs, ys, dys, dxs = (a.reshape(-1) for a in (x, y, dy, dx))

        def run():
            dropout_with_mask(xs, q, scale, ys, keep)
            apply(dys, keep, scale, dxs)
            return y, dx

        return run

    def mask(self, case):
        keep, q = np.empty(case.size, "?"), 1 - case.rate
        return lambda: (draw(q, keep), keep)[1]

    def ready_mask(self, case, x):
        self._check(case)
        y, keep = np.empty_like(x), np.random.default_rng(0).random(x.size) < 1 - case.rate
        flat, out, scale = x.reshape(-1), y.reshape(-1), x.dtype.type(1 / (1 - case.rate))
        return lambda: (apply(flat, keep, scale, out), y)[1]

    def fused(self, case, z, b):
        self._check(case)
        y, q, scale = np.empty_like(z), 1 - case.rate, z.dtype.type(1 / (1 - case.rate))
        return lambda: (relu_dropout(z, b, q, scale, y), y)[1]

    def after_product(self, case, a, b):
        q, scale = 1 - case.rate, np.float32(1 / (1 - case.rate))
        return pipeline.after_product(
            case, a, b, lambda x, out: dropout(x.reshape(-1), q, scale, out.reshape(-1)))

    def training_loop(self, case, x, labels):
        q, scale = 1 - case.rate, np.float32(1 / (1 - case.rate))

        def draw(h):
            y, keep = np.empty_like(h), np.empty(h.size, "?")
            dropout_with_mask(h.reshape(-1), q, scale, y.reshape(-1), keep)

            def backward(dy):
                apply(dy.reshape(-1), keep, scale, dy.reshape(-1))
                return dy

            return y, backward

        return pipeline.training_loop(case, x, labels, draw)
