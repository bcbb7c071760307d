"""Exact subsets: so many items of so many, no more and no fewer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout._rates import size_of
from cydropout._validate import check_flag, check_integer, check_offset, check_shape
from cydropout.masks.base import WORD_BITS, BaseMask, check_source
from cydropout.masks.given import KeepMask


def subset(
    key: int,
    draw: int,
    rows: int,
    size: int,
    count: int,
    *,
    offset: int = 0,
    flags: bool = False,
    num_threads: int | None = None,
) -> np.ndarray:
    """Choose ``count`` of ``size`` items for each row, all subsets being equally likely.

    Item j of a row is taken if and only if ``u (size - j) < (count - taken) 2**32``, where u is
    the word ``i % 4`` of the Philox block ``i // 4`` of the draw, ``i = offset + row size + j``,
    and ``taken`` the number of items taken before it (Knuth, Algorithm S).

    Parameters
    ----------
    key, draw : int
        Which random numbers decide; none are used if all items are taken, or none.
    rows, size, count : int
        How many rows there are, items in each, and of these taken.
    offset : int
        The first row begins at this element of the draw.
    flags : bool
        Return of each item whether it is taken.
    num_threads : int, optional
        By default as many as the work is worth.

    Returns
    -------
    array of int64, of shape (rows, count), or of bool, of shape (rows, size)
        The items of each row in ascending order, or, with ``flags``, a bool for each.

    Raises
    ------
    ValueError
        If a number is negative, ``count`` is above ``size``, ``size`` above 2**32, or the offset
        and the items together above 2**61, which a draw has.

    References
    ----------
    Knuth, "The art of computer programming", volume 2, section 3.4.2.

    Examples
    --------
    >>> from cydropout.masks import subset
    >>> subset(key=0, draw=0, rows=2, size=5, count=3)
    array([[0, 3, 4],
           [0, 2, 3]])
    """
    key, draw = check_source(key, draw)
    rows, size, count = (
        check_integer(name, value, "[0, inf)")
        for name, value in (("rows", rows), ("size", size), ("count", count))
    )
    flags = check_flag("flags", flags)
    offset = check_offset(offset, rows * size, WORD_BITS)
    threads = check_num_threads(num_threads)
    if size > 2**32:
        raise ValueError(f"size must be at most 2**32, not {size}")
    if count > size:
        raise ValueError(f"count must be at most {size}: {count} of {size} items cannot be chosen")
    if count in (0, size):
        return np.full((rows, size), count > 0) if flags else np.tile(np.arange(count), (rows, 1))
    return api.subset(key, draw, offset, rows, size, count, flags, threads)


class ColumnMask(KeepMask):
    """y = scale * x in ``count`` columns of a table, the same or others in each row, else 0.

    Parameters
    ----------
    key, draw : int
        Which random numbers decide, as said at `subset`.
    shape : tuple of ints
        (rows, columns).
    count : int
        How many columns are kept.
    scale : float
        What these are multiplied by.
    per_sample : bool
        Whether each row draws columns of its own.
    num_threads : int, optional
        For drawing.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.masks import ColumnMask
    >>> ColumnMask(key=0, draw=0, shape=(2, 4), count=2, scale=2.0).apply(np.ones((2, 4)))
    array([[2., 0., 0., 2.],
           [2., 0., 0., 2.]])
    """

    _shown = ("effective_rate", "key", "draw")

    def __init__(
        self,
        key: int,
        draw: int,
        shape: tuple[int, ...],
        count: int,
        scale: float = 1.0,
        *,
        per_sample: bool = False,
        num_threads: int | None = None,
    ) -> None:
        shape = check_shape(shape)
        if len(shape) != 2:
            raise ValueError(f"a table has the shape (rows, columns), not {shape}")
        rows, columns = shape
        keep = subset(
            key, draw, rows if check_flag("per_sample", per_sample) else 1, columns, count,
            flags=True, num_threads=num_threads,
        )
        super().__init__(shape, keep, scale)
        if 0 < count < columns:
            self.key, self.draw = key, draw


class TokenMask(BaseMask):
    """y[n, r] = x[n, indices[n, r]]: some tokens of every sample, and no others.

    `backward` puts the gradients where the tokens were, and 0 at the others.

    Parameters
    ----------
    key, draw : int
        Which random numbers decide, as said at `subset`.
    shape : tuple of ints
        The shape of the arrays that the mask is for, (batch, tokens, ...).
    count : int
        How many of the tokens behind the first ``prefix`` ones each sample keeps.
    prefix : int
        So many tokens always stay.
    num_threads : int, optional
        For drawing.

    Attributes
    ----------
    indices : array of int64, of shape (batch, kept)

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.masks import TokenMask
    >>> mask = TokenMask(key=0, draw=0, shape=(1, 5), count=2)
    >>> mask.apply(np.arange(5.0)[None])
    array([[0., 4.]])
    >>> mask.backward(np.ones((1, 2)))
    array([[1., 0., 0., 0., 1.]])
    """

    _shown = ("dropped_fraction", "key", "draw")

    def __init__(
        self,
        key: int,
        draw: int,
        shape: tuple[int, ...],
        count: int,
        prefix: int = 0,
        num_threads: int | None = None,
    ) -> None:
        self.shape = _token_shape(shape)
        prefix = check_integer("prefix", prefix, f"[0, {self.shape[1]}]")
        batch, free = self.shape[0], self.shape[1] - prefix
        chosen = subset(key, draw, batch, free, count, num_threads=num_threads)
        first = np.tile(np.arange(prefix), (batch, 1))
        self.indices = np.concatenate([first, chosen + prefix], axis=1) if prefix else chosen
        if 0 < count < free:
            self.key, self.draw = key, draw

    @classmethod
    def from_indices(cls, shape: tuple[int, ...], indices: ArrayLike) -> TokenMask:
        """Return the mask that keeps the tokens named: int, of shape (batch, kept), none twice.

        Raises
        ------
        TypeError, ValueError
            If the indices are no integers, do not fit, or name a token twice.
        """
        mask = cls.__new__(cls)
        mask.shape = shape = _token_shape(shape)
        mask.indices = _arrays.as_index_array(indices, shape[1], "indices")
        if mask.indices.ndim != 2 or len(mask.indices) != shape[0]:
            raise ValueError(
                f"indices have shape {mask.indices.shape}, but x has shape {shape}; "
                "give one row for each sample"
            )
        ordered = np.sort(mask.indices, axis=1)
        twice = ordered[:, 1:][ordered[:, 1:] == ordered[:, :-1]]
        if twice.size:
            raise ValueError(f"indices name token {twice[0]} of a sample twice")
        return mask

    def _cut(self, start: int, stop: int) -> dict[str, Any]:
        return {"indices": self.indices[start:stop]}

    @property
    def _result_shape(self) -> tuple[int, ...]:
        return (*self.indices.shape, *self.shape[2:])

    @property
    def dropped_fraction(self) -> float:
        """The share of tokens that are dropped."""
        return 1.0 - self.indices.shape[1] / self.shape[1] if self.shape[1] else 0.0

    @property
    def nbytes(self) -> int:
        """Bytes held from forward to backward."""
        return self.indices.nbytes

    def apply(  # type: ignore[override]
        self, x: ArrayLike, num_threads: int | None = None
    ) -> np.ndarray:
        """Return the kept tokens: an array of shape (batch, kept, ...) and the dtype of ``x``.

        Parameters and errors are those of `Mask.apply`.
        """
        first = np.arange(self.shape[0])[:, np.newaxis] * self.shape[1]
        return self._gather(x, self.shape, first + self.indices, num_threads)

    def backward(  # type: ignore[override]
        self, dy: ArrayLike, num_threads: int | None = None
    ) -> np.ndarray:
        """Return the gradient for x: that of a kept token, 0 at the others."""
        kept = self.indices.shape
        places = np.full(self.shape[:2], -1)
        np.put_along_axis(places, self.indices, np.arange(self.indices.size).reshape(kept), axis=1)
        return self._gather(dy, (*kept, *self.shape[2:]), places, num_threads)

    def _gather(
        self, x: ArrayLike, shape: tuple[int, ...], index: np.ndarray, num_threads: int | None
    ) -> np.ndarray:
        """Return the tokens that ``index`` picks of ``x``, which must have ``shape``."""
        threads = check_num_threads(num_threads)
        if _arrays.is_foreign(x):
            return _arrays.as_given(  # type: ignore[no-any-return]
                x, None, lambda array: self._gather(array, shape, index, num_threads))
        array, code = _arrays.as_float_array(x)
        if array.shape != shape:
            raise ValueError(f"x has shape {array.shape}, but the mask takes {shape}")
        token = self.shape[2:]
        y = np.empty((*index.shape, *token), array.dtype.newbyteorder("="))
        api.gather(_arrays.contiguous(array), index, y, size_of(token), code, None, threads)
        return y.astype(array.dtype, copy=False)


def _token_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    checked = check_shape(shape)
    if len(checked) < 2:
        raise ValueError(f"tokens need a shape (batch, tokens, ...), not {checked}")
    return checked
