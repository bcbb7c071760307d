"""The code of a user: work of another library, then dropout of its result; and a training loop.

A contender brings `dropout(x, out)`, or `draw(h)`, which returns (dropout(h), its backward).
"""

import numpy as np

from suite.case import STEPS


def _numpy(a, b, c):
    return lambda: np.matmul(a, b, out=c)


def _scipy(a, b, c):
    from scipy.linalg.blas import sgemm

    # The product of the transposed, in Fortran order, is this one in C order.
    return lambda: sgemm(1.0, b.T, a.T, c=c.T, overwrite_c=1)


def _numexpr(a, b, c):
    import numexpr

    numexpr.set_num_threads(2)
    product = a @ b
    arrays = {"product": product}
    return lambda: numexpr.evaluate("product + 0 * exp(product * 0)", arrays, out=c)


def _numba(a, b, c):
    import numba

    @numba.njit(parallel=True)
    def compute(product, c):
        for i in numba.prange(c.shape[0]):
            for j in range(c.shape[1]):
                c[i, j] = product[i, j] + 0 * np.exp(product[i, j] * np.float32(0))

    product = a @ b
    return lambda: compute(product, c)


def _sklearn(a, b, c):
    from sklearn.cluster import kmeans_plusplus  # noqa: F401 - loads its OpenMP
    from sklearn.metrics import pairwise_distances_argmin

    few = np.ascontiguousarray(b[:, :64].T)
    np.matmul(a, b, out=c)
    return lambda: pairwise_distances_argmin(a, few)


def _torch(a, b, c):
    import torch

    x, y, z = map(torch.from_numpy, (a, b, c))
    return lambda: torch.mm(x, y, out=z)


#: What works before dropout, on threads of its own.
BEFORE = {"": _numpy, "SciPy": _scipy, "numexpr": _numexpr, "Numba": _numba,
          "scikit-learn": _sklearn, "PyTorch": _torch}


def after_product(case, a, b, dropout):
    """Return a run of some steps: the other library's work, then dropout of the result, or none.

    The run with dropout brings the other library's work `alone`, for what it adds to be timed.
    """
    c = np.empty(case.shape, "f4")
    out = np.empty_like(c)
    try:
        before = BEFORE[case.variant](a, b, c)
    except ImportError as error:
        raise NotImplementedError(f"{error.name} is not installed") from None
    before()

    def alone():
        for _ in range(STEPS):
            before()
        return c

    def run():
        for _ in range(STEPS):
            before()
            dropout(c, out)
        return out

    if dropout is None:
        return alone
    run.alone = alone
    return run


def training_loop(case, x, labels, draw):
    """Return a run of an epoch of a network written by hand, which returns the mean loss."""
    rng = np.random.default_rng(0)
    (units,), batch = case.hidden, case.batch
    w1 = (rng.standard_normal((x.shape[1], units)) * np.sqrt(2 / x.shape[1])).astype("f4")
    w2 = (rng.standard_normal((units, 10)) * np.sqrt(1 / units)).astype("f4")
    targets = np.eye(10, dtype="f4")[labels]

    def run():
        losses = []
        for rows in np.array_split(rng.permutation(len(x)), len(x) // batch):
            xb, t = x[rows], targets[rows]
            h = np.maximum(xb @ w1, 0)
            y, backward = draw(h)
            logits = y @ w2
            p = np.exp(logits - logits.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            losses.append(-np.log(np.maximum((p * t).sum(axis=1), 1e-30)).mean())
            gradient = (p - t) / np.float32(len(rows))
            dh = backward(gradient @ w2.T)
            dh *= h > 0
            w2[...] -= np.float32(0.1) * (y.T @ gradient)
            w1[...] -= np.float32(0.1) * (xb.T @ dh)
        return float(np.mean(losses))

    return run
