"""Dropout: zero each element with a given probability."""

from __future__ import annotations

from cydropout.layers._layer import Context, Shape
from cydropout.layers._settings import Axes, OneOf, Rates
from cydropout.layers.dropout._masked import MaskedLayer
from cydropout.masks import Mask

SCALINGS = ("inverted", "classic", "sqrt")
STORAGES = ("bits", "seed")


class Dropout(MaskedLayer):
    """Zero each element with probability ``rate`` and scale the rest by ``1 / (1 - rate)``.

    At inference nothing is drawn, and with inverted scaling the input itself is returned.

    Parameters
    ----------
    rate : float or array
        Probability of dropping; an array gives one rate per element of the trailing axes.
    shared_axes : sequence of int
        Axes along which one decision holds, such as ``(1,)`` for all steps of a sequence.
    scaling : {"inverted", "classic", "sqrt"}
        With ``q = 1 - rate``, training multiplies what is kept by ``1 / q``, ``1`` or
        ``q ** -0.5``, and inference multiplies everything by ``1``, ``q`` or ``q ** 0.5``.
    storage : {"bits", "seed"}
        Keep the mask for the backward pass as bits, or draw it again.
    name : str, optional
        Name within a `Sequential`.

    References
    ----------
    Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layers.Dropout(0.5).forward(np.ones((2, 4), "f4"), ctx)
    >>> y
    array([[2., 2., 0., 0.],
           [2., 0., 0., 0.]], dtype=float32)
    """

    rate = Rates()
    shared_axes = Axes(())
    scaling = OneOf(SCALINGS, "inverted")
    storage = OneOf(STORAGES, "bits")

    def mask(self, shape: Shape, ctx: Context) -> Mask:
        """Draw the mask of one pass."""
        return ctx.draw(
            shape,
            self.rate,
            scaling=self.scaling,
            shared_axes=self.shared_axes,
            storage=self.storage,
        )
