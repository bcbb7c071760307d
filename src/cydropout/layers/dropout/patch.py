"""PatchDropout: train on some of the tokens."""

from __future__ import annotations

from typing import Any

from cydropout._rates import kept_count
from cydropout.layers._layer import Context, Shape
from cydropout.layers._settings import Integer
from cydropout.layers.dropout._masked import MaskedLayer
from cydropout.masks import TokenMask


class PatchDropout(MaskedLayer):
    """y[n, r] = x[n, i(n, r)]: every sample keeps ``round((1 - rate) * tokens)`` of its tokens.

    The input has shape (batch, tokens, features), the output (batch, kept, features): what is
    dropped is not there, so that the layers behind have less to do. Every sample draws a subset
    of its own, all subsets of that size being equally likely, and keeps the order. Nothing is
    scaled. At least one token stays, unless the rate is 1. At inference nothing is drawn, and the
    input itself is returned; `output_shape` speaks of inference.

    The mask has the kept tokens in ``indices``, int64 of shape (batch, kept); an array of that
    kind may be brought as ``mask=``, with any number of tokens.

    Parameters
    ----------
    rate : float
        Share of the tokens that are dropped.
    prefix : int
        So many tokens at the front always stay, such as a class token; they do not count.
    name : str, optional
        Name within a `Sequential`.

    References
    ----------
    Liu, Matsoukas, Strand, Azizpour, Smith, "PatchDropout: economizing vision transformers using
    patch dropout", WACV 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layers.PatchDropout(0.5).forward(np.arange(6.0).reshape(1, 6, 1), ctx)
    >>> y[0, :, 0]
    array([0., 4., 5.])
    """

    keeps_shape = False
    with_lengths = None
    prefix = Integer(0, "[0, inf)")

    def mask(self, shape: Shape, ctx: Context) -> Any:
        """Draw the subsets of one pass."""
        if len(shape) < 2 or shape[1] < self.prefix:
            raise ValueError(
                f"{self.path} needs an input (batch, tokens, ...) of at least {self.prefix} "
                f"tokens, not {shape}"
            )
        count = kept_count(self.rate, shape[1] - self.prefix)
        return ctx.draw_as(TokenMask, shape, count, self.prefix, num_threads=ctx.num_threads)

    def given(self, array: Any, shape: Shape) -> TokenMask:
        """Return the mask that keeps the tokens named in ``array``, of int."""
        return TokenMask.from_indices(shape, array)
