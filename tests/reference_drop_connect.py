"""DropConnect with a mask for each row in plain NumPy, added up in the order of the kernels."""

import numpy as np

SPAN = 16384  # columns that are added up together


def times(x, scale):
    with np.errstate(over="ignore", invalid="ignore"):
        return x * x.dtype.type(scale)


def forward(x, weight, keep, scale):
    """y[n, j] = the sum over i, ascending, of x[n, i] w[i, j] where kept."""
    x, y = times(x, scale), np.zeros((len(x), weight.shape[1]), x.dtype)
    for i, row in enumerate(weight):
        with np.errstate(invalid="ignore"):
            y += np.where(keep[:, i], row * x[:, i : i + 1], x.dtype.type(0))
    return y


def lanes(products):
    """The sum over the last axis: 32 lanes, each in order, then halves added to halves."""
    width = -(-products.shape[-1] // 32) * 32
    padded = np.zeros((*products.shape[:-1], width), products.dtype)
    padded[..., : products.shape[-1]] = products
    sums = np.zeros((*products.shape[:-1], 32), products.dtype)
    for word in range(width // 32):
        sums += padded[..., 32 * word : 32 * word + 32]
    while sums.shape[-1] > 1:
        half = sums.shape[-1] // 2
        sums = sums[..., :half] + sums[..., half:]
    return sums[..., 0]


def backward(dy, x, weight, keep, scale):
    """dx[n, i] = the sum over j of w[i, j] dy[n, j], dw = the sum over n of x[n, i] dy[n, j]."""
    dy, zero = times(dy, scale), x.dtype.type(0)
    dx, dweight = np.zeros_like(x), np.zeros_like(weight)
    with np.errstate(invalid="ignore"):
        for n, kept in enumerate(keep):
            dweight += np.where(kept, x[n][:, None] * dy[n], zero)
            products = np.where(kept, weight * dy[n], zero)
            for left in range(0, weight.shape[1], SPAN):
                dx[n] += lanes(products[:, left : left + SPAN])
    return dx, dweight
