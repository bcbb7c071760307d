"""LayerDrop: skip a layer."""

from __future__ import annotations

from typing import Any

from cydropout.layers._layer import (
    Array,
    Backward,
    Context,
    Shape,
    as_float,
    as_gradient,
    restoring_draws,
)
from cydropout.layers._wrapper import Wrapper
from cydropout.layers.dropout._masked import MaskedLayer
from cydropout.masks import Mask


class LayerDrop(MaskedLayer, Wrapper):
    """y = x with probability ``rate``, else y = layer(x): one decision for a whole training pass.

    A pass that skips the layer computes nothing of it: y is x itself, its parameters get no
    gradient, and backward returns ``dy``. What runs is not scaled up. At inference the layer runs
    always, unless a mask is brought: so layers are pruned.

    `StochasticDepth` stands inside a residual block and zeroes the branch that was computed, per
    sample if wanted, with ``1 / (1 - rate)`` on what it keeps. This one stands around the whole
    block, shortcut included, and saves its time; there is no scale.

    Parameters
    ----------
    layer : Layer
        What may be skipped; its output has the shape of its input.
    rate : float
        Probability of skipping it.
    name : str, optional
        Name within a `Sequential`.

    Raises
    ------
    ValueError
        If the layer's output has another shape than its input.

    References
    ----------
    Fan, Grave, Joulin, "Reducing transformer depth on demand with structured dropout", ICLR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> layer = layers.LayerDrop(layers.Tanh(), 0.5)
    >>> layer.build((2,), 0)
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layer.forward(np.ones((2, 2), "f4"), ctx)
    >>> y.round(2)
    array([[0.76, 0.76],
           [0.76, 0.76]], dtype=float32)
    """

    positional = "layer rate"

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Create the parameters of the layer inside."""
        self.output_shape(input_shape)
        super().build(input_shape, rng, dtype)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return ``input_shape``, which the layer inside must give too."""
        shape = super().output_shape(input_shape)
        if shape != tuple(input_shape):
            raise ValueError(
                f"{self.path} can skip no layer that turns shape {tuple(input_shape)} into {shape}"
            )
        return shape

    def mask(self, shape: Shape, ctx: Context) -> Mask:
        """Draw the decision of one pass, a mask of one element."""
        return ctx.whole.draw((1,), self.rate)

    @restoring_draws
    def forward(self, x: Array, ctx: Context, mask: Any = None) -> tuple[Array, Backward]:
        """Return what the layer inside gives, or ``x`` itself.

        Parameters
        ----------
        x : array
            As the layer inside wants it.
        ctx : Context
            Of the pass.
        mask : mask of shape (1,) or array of bool, optional
            The decision, instead of one that is drawn: True runs the layer.
        """
        x = as_float(x, self.path)
        self.output_shape(x.shape[1:])
        if not ctx.training and mask is None:
            return self.layer.forward(x, ctx.entering(self.layer))
        if ctx.mask_for(self, (1,), mask).keep[0]:
            return self.layer.forward(x, ctx.entering(self.layer))
        return x, lambda dy: as_gradient(dy, x.shape)
