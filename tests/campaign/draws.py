"""The strategies that random calls are drawn from, and how results are compared."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import reference
from ml_dtypes import bfloat16

import cydropout

Array = np.ndarray
DTYPES = (np.float16, bfloat16, np.float32, np.float64)
REALS = (np.float32, np.float64)
#: How far results may be from the reference, by dtype.
CLOSE = {np.dtype(np.float32): 3e-5, np.dtype(np.float64): 1e-11}


class Counted:
    """A module, whose functions count how often each is taken from it."""

    calls: ClassVar[Counter[str]] = Counter()

    def __init__(self, module: Any) -> None:
        self.module = module

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self.module, name)


functional, masks = Counted(cydropout.functional), Counted(cydropout.masks)
#: Lengths: mostly small, sometimes 0 or more than a tile of an axis.
LENGTHS = st.sampled_from([0, 1, 2, 3, 5, 8, 33]) | st.integers(0, 70)
RATES = st.sampled_from([0.0, 1.0, 0.5, 0.25, 0.1, 1e-9]) | st.floats(0, 1)
THREADS = st.sampled_from([None, 1, 2, 3])
WORDS = st.sampled_from([0, 1, 2**32, 2**64 - 1]) | st.integers(0, 2**64 - 1)

integers = functools.cache(st.integers)


@functools.lru_cache(None, typed=True)
def sampled(*values: Any) -> st.SearchStrategy[Any]:
    """Return one of the values, the first of them being the simplest."""
    return st.sampled_from(values)


@functools.cache
def shapes(least: int, most: int, limit: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Return shapes of at most so many elements, and vectors of more than a tile."""
    def fitted(lengths: list[int]) -> tuple[int, ...]:
        while math.prod(lengths) > limit:
            lengths[lengths.index(max(lengths))] //= 2
        return tuple(lengths)

    found = st.lists(LENGTHS, min_size=least, max_size=most).map(fitted)
    return found | st.tuples(st.integers(2000, 9000)) if least < 2 and limit >= 9000 else found


@functools.cache
def axes(dimensions: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Return axes of an array, most often none."""
    return st.just(()) | hnp.valid_tuple_axes(dimensions, max_size=min(dimensions, 2)).map(
        lambda found: tuple(axis % dimensions for axis in found)) if dimensions else st.just(())


class Draws:
    """What a call is drawn from: ``draw`` is hypothesis's, for all that it shall make simple."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(draw(integers(0, 2**32 - 1)))  # for the numbers of arrays

    def one_of(self, *values: Any) -> Any:
        """Return one of the values."""
        return self.draw(sampled(*values))

    def pick(self, values: Sequence[Any]) -> Any:
        """Return one of the values, which need not be hashable."""
        return values[self.integer(0, len(values) - 1)]

    def integer(self, low: int, high: int) -> int:
        """Return an integer of these bounds."""
        return self.draw(integers(low, high))

    def length(self, least: int = 0, most: int = 70) -> int:
        """Return a length."""
        return max(least, min(most, self.draw(LENGTHS)))

    def shape(self, least: int = 0, most: int = 4, limit: int = 20000) -> tuple[int, ...]:
        """Return a shape of at most so many elements."""
        return self.draw(shapes(least, most, limit))

    def threads(self) -> int | None:
        """Return a number of threads."""
        return self.draw(THREADS)

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
        return self.draw(WORDS), self.draw(WORDS)

    def shared(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return axes that may be shared."""
        return self.draw(axes(len(shape)))

    def rate(self, shape: tuple[int, ...], shared: tuple[int, ...] = ()) -> Any:
        """Return a rate, or rates that broadcast."""
        one, kind = self.draw(RATES), self.one_of(float, np.float32, np.array, "many")
        if kind != "many" or not shape:
            return one if kind == "many" else kind(one)
        first = self.integer(0, len(shape) - 1)
        lengths = [1 if a in shared or self.one_of(False, False, False, True) else shape[a]
                   for a in range(first, len(shape))]
        return self.rng.choice([0.0, 1.0, 0.5, one, self.draw(RATES)], lengths)

    def mask(
        self, shape: tuple[int, ...], *, scaling: Any = None
    ) -> tuple[cydropout.Mask, Array, Any]:
        """Return a mask, what it keeps, and its scales."""
        key, draw = self.source()
        shared = self.shared(shape)
        size = int(np.prod([1 if a in shared else n for a, n in enumerate(shape)]))
        offset = int(self.one_of(0, 0, 1, 127, 2**32 - 5, 2**64 - max(size, 1)))
        rate, scaling = self.rate(shape, shared), scaling or self.one_of(
            "inverted", "classic", "sqrt")
        mask = masks.Mask(key, draw, shape, rate, scaling=scaling, shared_axes=shared,
                          offset=offset, storage=self.one_of("bits", "seed"))
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
