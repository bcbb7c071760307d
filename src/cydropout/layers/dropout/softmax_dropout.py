"""SoftmaxDropout: the softmax of attention scores, and dropout of its weights."""

from __future__ import annotations

from typing import Any

from cydropout import functional
from cydropout.layers._layer import Array, Backward, Context, Shape, as_float, restoring_draws
from cydropout.layers._settings import Flag, Number
from cydropout.layers.dropout._masked import MaskedLayer
from cydropout.masks import Mask


class SoftmaxDropout(MaskedLayer):
    """y = dropout(softmax(scale * x)) along the last axis: the weights of attention.

    The input holds the scores, (..., queries, keys). With ``q = 1 - rate``, a weight is zeroed
    with probability ``rate``, the others are divided by ``q``, so that a row no longer sums to 1.
    At inference nothing is drawn, and y is the softmax alone. From forward to backward only the
    bits of the mask and two numbers for each row are kept, besides the scores themselves.

    Parameters
    ----------
    rate : float
        Probability of dropping a weight.
    causal : bool
        Query ``i`` sees the keys 0 to ``i`` alone.
    scale : float
        Of the scores, such as ``features ** -0.5``.
    name : str, optional
        Name within a `Sequential`.

    References
    ----------
    Vaswani et al. 2017, "Attention is all you need", sections 3.2.1 and 5.4.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layers.SoftmaxDropout(0.5).forward(np.zeros((2, 4), "f4"), ctx)
    >>> y
    array([[0.5, 0.5, 0. , 0. ],
           [0.5, 0. , 0. , 0. ]], dtype=float32)
    """

    with_lengths = None
    causal = Flag(False)
    scale = Number(1.0)

    def mask(self, shape: Shape, ctx: Context) -> Mask:
        """Draw the mask of one pass."""
        return ctx.draw(shape, self.rate)

    @restoring_draws
    def forward(
        self, x: Array, ctx: Context, mask: Any = None, attention_mask: Any = None
    ) -> tuple[Array, Backward]:
        """Return the weights, and the function from their gradient to that of the scores.

        Parameters
        ----------
        x : array of shape (..., queries, keys)
            float16, bfloat16, float32 or float64.
        ctx : Context
            Of the pass.
        mask : mask or array of bool, optional
            Used instead of one that is drawn.
        attention_mask : array of bool, optional
            True where a key is seen; it broadcasts to ``x``. The weight of a key that is not seen
            is 0, and so are all weights of a query that sees none.
        """
        x = as_float(x, self.path)
        least = 2 if self.causal else 1
        if x.ndim < least:
            raise ValueError(f"{self.path} needs {least} axes or more, got shape {x.shape}")
        if attention_mask is not None:
            attention_mask = functional.AttentionMask(attention_mask, x.shape)
        used = ctx.mask_for(self, x.shape, mask) if ctx.training or mask is not None else None
        options: dict[str, Any] = {
            "attention_mask": attention_mask,
            "causal": self.causal,
            "scale": self.scale,
            "num_threads": ctx.num_threads,
        }
        y, statistics = functional.softmax_dropout(x, used, **options)

        def backward(dy: Array) -> Array:
            return functional.softmax_dropout_backward(dy, x, statistics, used, **options)

        return y, backward
