"""Random numbers, masks and dropout in plain NumPy: what the kernels must equal to the bit."""

import numpy as np
import pytest

MASK32 = np.uint64(0xFFFFFFFF)
ONE = 2**32


def philox(counter, key):
    """Philox4x32-10 of Salmon et al. 2011, over arrays of 32-bit words held in uint64."""
    c0, c1, c2, c3 = (np.asarray(c, np.uint64) for c in counter)
    k0, k1 = (np.uint64(k) for k in key)
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (
            (p1 >> np.uint64(32)) ^ c1 ^ k0,
            p1 & MASK32,
            (p0 >> np.uint64(32)) ^ c3 ^ k1,
            p0 & MASK32,
        )
        k0 = (k0 + np.uint64(0x9E3779B9)) & MASK32
        k1 = (k1 + np.uint64(0xBB67AE85)) & MASK32
    return np.stack(np.broadcast_arrays(c0, c1, c2, c3), axis=-1).astype(np.uint32)


def dtype_named(name):
    """Return the dtype; without ml_dtypes, which has bfloat16, the test is skipped."""
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if name == "bfloat16" else name)


def split(number):
    return number % ONE, number // ONE


def uniforms(key, draw, offset, size):
    """u_i of the elements offset .. offset + size: digit j is one bit of one Philox block."""
    first, last = offset // 128, (offset + size + 127) // 128
    blocks = np.array([split(b) for b in range(first, last)], np.uint64).reshape(-1, 2)
    u = np.zeros((last - first) * 128, np.uint64)
    for j in range(32):
        counter = (blocks[:, 0], blocks[:, 1] * np.uint64(32) + np.uint64(j), *split(draw))
        words = philox(counter, split(key))
        bits = (words[..., None] >> np.arange(32, dtype=np.uint32)) & np.uint32(1)
        u = (u << np.uint64(1)) | bits.reshape(-1).astype(np.uint64)
    return u[offset - first * 128 :][:size]


def threshold(rate):
    return np.rint((1.0 - np.asarray(rate, np.float64)) * ONE).astype(np.uint64)


def keep(key, draw, shape, rate, offset=0, shared_axes=()):
    """Which elements are kept."""
    shape = tuple(shape)
    compact = tuple(1 if a in shared_axes else n for a, n in enumerate(shape))
    u = uniforms(key, draw, offset, int(np.prod(compact))).reshape(compact)
    return np.broadcast_to(u < threshold(rate), shape)


def scale(rate, scaling="inverted"):
    k = threshold(rate) / ONE
    if scaling == "classic":
        return np.ones_like(k)
    root = k if scaling == "inverted" else np.sqrt(k)
    return np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)


def dropout(x, kept, scales):
    """x * scale where kept, else 0; 16-bit floats are computed in float32 and rounded once."""
    wide = np.float64 if x.dtype == np.float64 else np.float32
    with np.errstate(over="ignore", invalid="ignore"):
        y = (x.astype(wide) * np.asarray(scales).astype(wide)).astype(x.dtype)
    return np.where(kept, y, np.zeros((), x.dtype))


def alpha_dropout(x, kept, rate):
    """Forward and backward of alpha dropout, rounded as the kernels do."""
    wide = np.float64 if x.dtype == np.float64 else np.float32
    lower, k = -1.7580993408473766, float(threshold(rate)) / ONE
    a = (k * (1 + (1 - k) * lower**2)) ** -0.5 if k else 0.0
    b = -0.0 if k == 1 else -a * (1 - k) * lower  # without noise all stays as it is, -0.0 too
    with np.errstate(over="ignore", invalid="ignore"):
        y = (x.astype(wide) * wide(a) + wide(b)).astype(x.dtype)
    forward = np.where(kept, y, np.asarray(wide(a * lower + b)).astype(x.dtype))
    return forward, dropout(x, kept, a)


def words(key, draw, offset, size):
    """Word i % 4 of Philox block i // 4."""
    first, last = offset // 4, (offset + size + 3) // 4
    blocks = np.array([split(b) for b in range(first, last)], np.uint64).reshape(-1, 2)
    found = philox((blocks[:, 0], blocks[:, 1] * np.uint64(32), *split(draw)), split(key))
    return found.reshape(-1)[offset - 4 * first :][:size]


def normals(key, draw, offset, size):
    """n_i of the elements: the normal quantile of their words, in float64."""
    from statistics import NormalDist

    quantile = NormalDist().inv_cdf
    return np.array([quantile((int(word) + 0.5) / ONE) for word in words(key, draw, offset, size)])


def packed(kept):
    """Bit i % 32 of word i // 32."""
    flat = np.ravel(kept)
    words = np.zeros(-(-flat.size // 32) * 32, np.uint8)
    words[: flat.size] = flat
    return np.packbits(words, bitorder="little").view("<u4")


def misaligned(x: np.ndarray) -> np.ndarray:
    """Return a copy that begins a byte behind where it should."""
    y = np.empty(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    y[...] = x
    return y
