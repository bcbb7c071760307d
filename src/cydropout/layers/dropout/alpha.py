"""AlphaDropout and FeatureAlphaDropout: dropout that keeps mean and variance after a SELU."""

from __future__ import annotations

from typing import Any

from cydropout.layers._layer import Context, Shape
from cydropout.layers.dropout._masked import MaskedLayer
from cydropout.masks import AlphaMask


class AlphaDropout(MaskedLayer):
    """y = a x + b where kept, else ``a LOWER + b`` with LOWER = -1.7581, a SELU's lower end.

    ``a`` and ``b`` are such that an input of mean 0 and variance 1 keeps both; see
    `cydropout.masks.AlphaMask`. At inference nothing is drawn, and the input itself is returned.

    Parameters
    ----------
    rate : float
        Probability of dropping.
    name : str, optional
        Name within a `Sequential`.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", NIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layers.AlphaDropout(0.5).forward(np.ones((2, 4), "f4"), ctx)
    >>> y.round(2)
    array([[ 1.67,  1.67, -0.78, -0.78],
           [ 1.67, -0.78, -0.78, -0.78]], dtype=float32)
    """

    def mask(self, shape: Shape, ctx: Context) -> Any:
        """Draw the mask of one pass."""
        return ctx.draw_as(AlphaMask, shape, self.rate, shared_axes=self._shared_axes(shape))

    def _shared_axes(self, shape: Shape) -> tuple[int, ...]:
        return ()


class FeatureAlphaDropout(AlphaDropout):
    """`AlphaDropout` of whole features: one decision for each ``x[sample, channel]``.

    Formula, parameters and errors are those of `AlphaDropout`. The input has shape
    (batch, channels, ...), and all of a channel of a sample is kept or dropped.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", NIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> x = np.ones((1, 4, 2, 2), "f4")
    >>> y, backward = layers.FeatureAlphaDropout(0.5).forward(x, ctx)
    >>> y[0, :, 0].round(2)
    array([[ 1.67,  1.67],
           [ 1.67,  1.67],
           [-0.78, -0.78],
           [-0.78, -0.78]], dtype=float32)
    """

    def _shared_axes(self, shape: Shape) -> tuple[int, ...]:
        if len(shape) < 2:
            raise ValueError(f"{self.path} needs an input (batch, channels, ...), not {shape}")
        return tuple(range(2, len(shape)))
