"""Exact subsets: so many items of so many, no more and no fewer."""

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout._rates import size_of
from cydropout._validate import check_offset, check_shape
from cydropout.masks.given import KeepMask
from cydropout.random import MaskStream


def subset(
    stream: MaskStream,
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
    stream : MaskStream
        Where the draw is taken from; none is taken if all items are, or none.
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
        If a number is negative, ``count`` is above ``size``, or ``size`` above 2**32.

    References
    ----------
    Knuth, "The art of computer programming", volume 2, section 3.4.2.
    """
    rows, size, count = check_shape((rows, size, count))
    offset = check_offset(offset, rows * size)
    threads = check_num_threads(num_threads)
    if count > size or size > 2**32:
        raise ValueError(f"{count} of {size} items cannot be chosen")
    if count in (0, size):
        return np.full((rows, size), count > 0) if flags else np.tile(np.arange(count), (rows, 1))
    return api.subset(stream.key, stream.take(), offset, rows, size, count, flags, threads)


def column_mask(
    stream: MaskStream,
    shape: tuple[int, ...],
    count: int,
    scale: float,
    *,
    per_sample: bool = False,
    num_threads: int | None = None,
) -> KeepMask:
    """Return the mask that keeps ``count`` columns of a table, the same or others in each row."""
    rows, columns = shape
    keep = subset(
        stream, rows if per_sample else 1, columns, count, flags=True, num_threads=num_threads
    )
    return KeepMask(shape, keep, scale)


class TokenMask:
    """y[n, r] = x[n, indices[n, r]]: some tokens of every sample, and no others.

    The way back puts the gradients where the tokens were, and 0 at the others.

    Parameters
    ----------
    shape : tuple of ints
        The shape of the arrays that the mask is for, (batch, tokens, ...).
    indices : array of int, of shape (batch, kept)
        Which tokens each sample keeps, none of them twice.

    Raises
    ------
    TypeError, ValueError
        If the indices are no integers, do not fit, or name a token twice.
    """

    def __init__(self, shape: tuple[int, ...], indices: ArrayLike) -> None:
        self.shape = check_shape(shape)
        if len(self.shape) < 2:
            raise ValueError(f"tokens need a shape (batch, tokens, ...), not {self.shape}")
        self.indices = _arrays.as_index_array(indices, self.shape[1], "indices")
        if self.indices.ndim != 2 or len(self.indices) != self.shape[0]:
            raise ValueError(
                f"indices have shape {self.indices.shape}, but x has shape {self.shape}; "
                "give one row for each sample"
            )
        ordered = np.sort(self.indices, axis=1)
        twice = ordered[:, 1:][ordered[:, 1:] == ordered[:, :-1]]
        if twice.size:
            raise ValueError(f"indices name token {twice[0]} of a sample twice")

    @classmethod
    def drawn(
        cls,
        stream: MaskStream,
        shape: tuple[int, ...],
        count: int,
        prefix: int = 0,
        num_threads: int | None = None,
    ) -> "TokenMask":
        """Draw ``count`` of the tokens behind the first ``prefix`` ones, which always stay."""
        batch, tokens = shape[:2]
        mask = cls.__new__(cls)
        mask.shape = tuple(shape)
        mask.indices = subset(stream, batch, tokens - prefix, count, num_threads=num_threads)
        if prefix:
            first = np.tile(np.arange(prefix), (batch, 1))
            mask.indices = np.concatenate([first, mask.indices + prefix], axis=1)
        return mask

    @property
    def nbytes(self) -> int:
        """Bytes held from forward to backward."""
        return self.indices.nbytes

    def apply(self, x: ArrayLike, num_threads: int | None = None) -> np.ndarray:
        """Return the kept tokens: an array of shape (batch, kept, ...) and the dtype of ``x``.

        Parameters and errors are those of `Mask.apply`.
        """
        first = np.arange(self.shape[0])[:, np.newaxis] * self.shape[1]
        return self._gather(x, self.shape, first + self.indices, num_threads)

    def backward(self, dy: ArrayLike, num_threads: int | None = None) -> np.ndarray:
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
        array, code = _arrays.as_float_array(x)
        if array.shape != shape:
            raise ValueError(f"x has shape {array.shape}, but the mask takes {shape}")
        token = self.shape[2:]
        y = np.empty((*index.shape, *token), array.dtype.newbyteorder("="))
        api.gather(_arrays.contiguous(array), index, y, size_of(token), code, None, threads)
        return y.astype(array.dtype, copy=False)

    def __repr__(self) -> str:
        return f"TokenMask(shape={self.shape}, kept={self.indices.shape[1]})"
