"""Embedding: a vector for each word; EmbeddingDropout: forget some words altogether."""

from __future__ import annotations

from typing import Any

import numpy as np

from cydropout import functional
from cydropout._samples import unpadded
from cydropout._validate import check_array, check_integer, optional
from cydropout.layers._initializers import check_init, initial
from cydropout.layers._layer import (
    NO_GRADIENT,
    Array,
    Backward,
    Context,
    Shape,
    as_gradient,
    native_dtype,
    restoring_draws,
)
from cydropout.layers._penalties import Weighted
from cydropout.layers._settings import Checked, Count, Noise
from cydropout.layers.dropout._shared import SharedDropout


def check_padding_idx(token: Any) -> int | None:
    """Return a token, or None."""
    return optional(check_integer, "padding_idx", token, "[0, inf)")


class EmbeddingDropout(SharedDropout):
    """Zero each row of a table with probability ``rate``, and scale the rest by ``1/(1 - rate)``.

    The input is the table itself, of shape (vocabulary, units): a word that is dropped is so
    wherever it occurs. ``Embedding(..., rate=rate)`` runs this on its weight, and reads only the
    rows that it needs.

    Parameters
    ----------
    rate : float or array
        Probability of dropping; an array of shape (vocabulary, 1) gives one rate per word.
    scaling, storage, name
        As for `Dropout`.

    References
    ----------
    Gal & Ghahramani, "A theoretically grounded application of dropout in recurrent neural
    networks", NIPS 2016; Merity, Keskar, Socher, "Regularizing and optimizing LSTM language
    models", ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layers.EmbeddingDropout(0.5).forward(np.ones((4, 2), "f4"), ctx)
    >>> y
    array([[2., 2.],
           [2., 2.],
           [0., 0.],
           [0., 0.]], dtype=float32)
    """

    def along(self, shape: Shape) -> tuple[int, ...]:
        """Return the axis of the units."""
        if len(shape) != 2:
            raise ValueError(f"{self.path} needs a table (vocabulary, units), not {shape}")
        return (1,)


class Embedding(Weighted):
    """``y = mask(W)[tokens]``: the rows of ``W`` that the tokens name.

    ``tokens`` are integers of any shape (n, ...), ``W`` is (vocabulary, units) and ``y`` is
    (n, ..., units), in the dtype of ``W``. Tokens have no gradient: ``backward`` returns an empty
    array.

    Parameters
    ----------
    vocabulary : int
        How many words there are; tokens lie between 0 and ``vocabulary - 1``.
    units : int
        Size of a word's vector.
    init : str
        As for `Dense`, whose input would be one of ``vocabulary`` features.
    rate : float or array
        Rate of the `EmbeddingDropout` of the words; 0 draws nothing. Its mask stands in
        `Context.masks` under the attribute ``dropout``.
    max_norm, l1, l2
        As for `Dense`; ``max_norm`` bounds the vector of a word.
    padding_idx : int, optional
        A token whose vector begins as 0, and gets no gradient. It is no length: see
        `Context.lengths`, with which any token may stand in the padding.
    name : str, optional
        Name within a `Sequential`, where it comes first.

    Raises
    ------
    TypeError
        For tokens that are no integers.
    ValueError
        For tokens outside the vocabulary.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> layer = layers.Embedding(10, 4)
    >>> layer.build((5,), 0)
    >>> y, backward = layer.forward(np.array([[1, 2, 9]]), layers.Context())
    >>> y.shape
    (1, 3, 4)
    """

    takes_integers = True
    biases = ()
    bounds_rows = True
    with_lengths = "keep"
    positional = "vocabulary units"
    vocabulary = Count(shapes=True)
    units = Count(shapes=True)
    init = Checked(check_init, "glorot")
    dropout = Noise(lambda rate, _: EmbeddingDropout(rate), key="rate")
    padding_idx = Checked(check_padding_idx, None)

    def check_settings(self) -> None:
        """Refuse a padding that is no token."""
        if self.padding_idx is not None and self.padding_idx >= self.vocabulary:
            raise ValueError(
                f"padding_idx must be below the vocabulary of {self.vocabulary}, not "
                f"{self.padding_idx}"
            )

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Draw the vectors from the NumPy generator ``rng``."""
        if self._parameters:
            return
        kind = native_dtype(dtype or "float32")
        weight = initial(self.init, self.vocabulary, self.units, np.random.default_rng(rng), kind)
        if self.padding_idx is not None:
            weight[self.padding_idx] = 0
        self._add("weight", weight)

    @restoring_draws
    def forward(self, x: Array, ctx: Context, mask: Any = None) -> tuple[Array, Backward]:
        """Return the words' vectors, and the function that adds up ``dW``.

        Parameters
        ----------
        x : array of int
            The tokens.
        ctx : Context
            Of the pass.
        mask : mask or array of bool, of shape (vocabulary, units) or (vocabulary, 1), optional
            Used instead of one that is drawn.
        """
        if not self._parameters:
            raise RuntimeError(f"{self.path} has no weights yet: call build(input_shape) first")
        weight = self._parameters["weight"]
        tokens, threads = check_array(f"x of {self.path}", x), ctx.num_threads
        if tokens.dtype.kind not in "iu":
            raise TypeError(f"{self.path} needs tokens that are integers, not {tokens.dtype}")
        real = ctx.real(tokens.shape)
        if real is not None:
            tokens = unpadded(tokens, real)
        for token in (tokens.min(), tokens.max()) if tokens.size else ():
            if not 0 <= token < self.vocabulary:
                raise ValueError(
                    f"{self.path} has a vocabulary of {self.vocabulary}, but token {token} came"
                )
        used = None
        if ctx.training and (mask is not None or not ctx.is_idle(self.dropout)):
            used = ctx.whole.mask_for(self.dropout, weight.value.shape, mask)
        y = functional.gather(weight.value, tokens, used, num_threads=threads)

        def backward(dy: Array) -> Array:
            dy = as_gradient(dy, y.shape, weight.value.dtype)
            if weight.trainable:
                functional.scatter_add(dy, tokens, weight.grad, used, num_threads=threads)
                if self.padding_idx is not None:
                    weight.grad[self.padding_idx] = 0
            return NO_GRADIENT

        return y, backward

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return ``input_shape`` with an axis of ``units`` behind it."""
        return (*input_shape, self.units)
