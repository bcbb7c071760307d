"""GaussianDropout: multiply by Gaussian noise of the variance that dropout has."""

from __future__ import annotations

from typing import Any

from cydropout.layers._layer import Context, Shape
from cydropout.layers._settings import Checked, Rates
from cydropout.layers.dropout._masked import MaskedLayer
from cydropout.masks import FactorMask, GaussianMask
from cydropout.masks.noise import check_storage


class GaussianDropout(MaskedLayer):
    """y = (1 + sigma n) x with ``sigma = sqrt(rate / (1 - rate))`` and n standard normal.

    At inference nothing is drawn, and the input itself is returned: the mean is 1. A mask that is
    brought as an array holds the factors.

    Parameters
    ----------
    rate : float or array
        The dropout rate whose variance the noise has; an array gives one rate per element of the
        trailing axes. At rate 1, whose variance is infinite, all is 0.
    storage : {"values", "seed"}
        Hold what was drawn for the backward pass, 4 bytes an element, or draw it again.
    name : str, optional
        Name within a `Sequential`.

    References
    ----------
    Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting",
    section 10.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layers.GaussianDropout(0.2).forward(np.ones((2, 4), "f4"), ctx)
    >>> y.round(2)
    array([[0.42, 1.08, 1.05, 1.55],
           [1.7 , 1.15, 0.78, 1.22]], dtype=float32)
    """

    rate = Rates()
    storage = Checked(check_storage, "values")

    def mask(self, shape: Shape, ctx: Context) -> Any:
        """Draw the noise of one pass."""
        return ctx.draw_as(GaussianMask, shape, self.rate, storage=self.storage)

    def given(self, array: Any, shape: Shape) -> FactorMask:
        """Return the noise whose factors are ``array``."""
        return FactorMask(shape, array)
