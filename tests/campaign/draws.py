"""What random calls are drawn from, and how results are compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import reference
from ml_dtypes import bfloat16

from cydropout import Mask

Array = np.ndarray
DTYPES = (np.float16, bfloat16, np.float32, np.float64)
#: How far results may be from the reference, by dtype.
CLOSE = {np.dtype(np.float32): 3e-5, np.dtype(np.float64): 1e-11}


class Draws:
    """What a call is drawn from."""

    def __init__(self, number: int) -> None:
        self.rng = np.random.default_rng(number)

    def one_of(self, *values: Any) -> Any:
        """Return one of the values."""
        return values[self.rng.integers(len(values))]

    def length(self) -> int:
        """Return a length: mostly small, sometimes 0 or more than a tile."""
        return int(self.one_of(0, 1, 2, 3, 5, 8, 33, self.rng.integers(1, 70)))

    def shape(self, least: int = 0, most: int = 4, limit: int = 20000) -> tuple[int, ...]:
        """Return a shape of at most so many elements."""
        shape = tuple(self.length() for _ in range(self.rng.integers(least, most + 1)))
        if len(shape) == 1 and self.rng.random() < 0.2:
            shape = (int(self.rng.integers(2000, 9000)),)
        return shape if np.prod(shape) <= limit else self.shape(least, most, limit)

    def threads(self) -> int | None:
        """Return a number of threads."""
        return self.one_of(None, 1, 2, 3)

    def values(self, shape: tuple[int, ...], dtype: Any, *, odd: bool = False) -> Array:
        """Return normal random numbers, with ``odd`` some that are no ordinary ones."""
        x = self.rng.normal(size=shape)
        if odd and x.size:
            strange = [np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-40, 6e4, -6e4]
            which = self.rng.random(shape) < 0.1
            x = np.where(which, self.rng.choice(strange, shape), x)
        with np.errstate(over="ignore"):
            return np.asarray(x).astype(dtype)

    def laid(self, x: Array) -> Array:
        """Return the same numbers in another layout."""
        kind = self.one_of("as it is", "fortran", "strided", "reversed", "misaligned", "swapped",
                           "read-only", "moved")
        if kind == "fortran":
            return np.array(x, order="F")
        if kind == "strided" and x.ndim:
            wide = np.zeros((*x.shape[:-1], 3 * x.shape[-1]), x.dtype)
            wide[..., ::3] = x
            return wide[..., ::3]
        if kind == "reversed" and x.ndim:
            return np.flip(np.flip(x).copy())
        if kind == "misaligned":
            return reference.misaligned(x)
        if kind == "swapped" and x.dtype != bfloat16:
            return x.astype(x.dtype.newbyteorder("S"))
        if kind == "read-only":
            x = x.copy()
            x.flags.writeable = False
        if kind == "moved" and x.ndim > 1:
            return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0)
        return x

    def place(self, x: Array) -> tuple[Array | None, bool]:
        """Return where a result for x may go, and whether that is x itself."""
        kind = self.one_of("none", "none", "own", "strided", "x")
        if kind == "x" and x.flags.writeable and x.size:
            return x, True
        if kind == "own":
            return np.empty(x.shape, x.dtype), False
        if kind == "strided" and x.ndim:
            return np.empty((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)[..., ::2], False
        return None, False

    def source(self) -> tuple[int, int]:
        """Return a key and a draw."""
        return tuple(int(self.one_of(0, 1, 2**32, 2**64 - 1, self.rng.integers(2**63)))
                     for _ in range(2))

    def rate(self, shape: tuple[int, ...], shared: tuple[int, ...] = ()) -> Any:
        """Return a rate, or rates that broadcast."""
        one = self.one_of(0.0, 1.0, 0.5, 0.25, 0.1, 1e-9, self.rng.random())
        if self.rng.random() < 0.6 or not shape:
            return self.one_of(float, np.float32, np.array)(one)
        trailing = shape[self.rng.integers(len(shape)) :]
        lengths = tuple(
            1 if len(shape) - len(trailing) + a in shared or self.rng.random() < 0.2 else n
            for a, n in enumerate(trailing)
        )
        return self.rng.choice([0.0, 1.0, 0.5, one, self.rng.random()], lengths)

    def mask(self, shape: tuple[int, ...], *, scaling: Any = None) -> tuple[Mask, Array, Any]:
        """Return a mask, what it keeps, and its scales."""
        key, draw = self.source()
        shared = tuple(a for a in range(len(shape)) if self.rng.random() < 0.15)
        size = int(np.prod([1 if a in shared else n for a, n in enumerate(shape)]))
        offset = int(self.one_of(0, 0, 1, 127, 2**32 - 5, 2**64 - max(size, 1)))
        rate, scaling = self.rate(shape, shared), scaling or self.one_of(
            "inverted", "classic", "sqrt")
        mask = Mask(key, draw, shape, rate, scaling=scaling, shared_axes=shared, offset=offset,
                    storage=self.one_of("bits", "seed"))
        keep = reference.keep(key, draw, shape, rate, offset, shared)
        scale = reference.scale(rate, scaling)
        if scaling == "sqrt":  # of which the last bit is that of one power, or of two operations
            scale = np.sqrt(reference.scale(rate))
            np.testing.assert_allclose(scale, reference.scale(rate, scaling), rtol=1e-15)
        return mask, keep, scale


def same(got: Any, want: Any) -> None:
    """Raise unless arrays are the same to the bit, but for the sign and bits of a NaN."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, (got.shape, want.shape)
    wide = got.astype("f8"), want.astype("f8")
    np.testing.assert_array_equal(*wide)
    np.testing.assert_array_equal(*(np.signbit(one[~np.isnan(one)]) for one in wide))


def close(got: Any, want: Any, dtype: Any, more: float = 1.0) -> None:
    """Raise unless arrays are the same to rounding."""
    bound = CLOSE[np.dtype(dtype).newbyteorder("=")] * more
    assert np.shape(got) == np.shape(want), (np.shape(got), np.shape(want))
    np.testing.assert_allclose(
        np.asarray(got, "f8"), np.asarray(want, "f8"), rtol=bound, atol=bound)
