"""LockedDropout: the same mask at every step of a sequence."""

from __future__ import annotations

from cydropout.layers._layer import Shape
from cydropout.layers._settings import Integer
from cydropout.layers.dropout._shared import SharedDropout


class LockedDropout(SharedDropout):
    """Zero each feature of a sequence at all of its steps, with probability ``rate``.

    What is kept is scaled by ``1 / (1 - rate)``. The input has shape (batch, steps, features). At
    inference nothing is drawn, and with inverted scaling the input itself is returned. This is the
    variational dropout of recurrent networks, called locked in AWD-LSTM.

    A sequence that is trained in parts keeps its mask by way of the context: the mask stays in
    the dict until it is cleared, and parts may have other lengths.

    Parameters
    ----------
    rate : float or array
        Probability of dropping; an array gives one rate per element of the trailing axes.
    axis : int
        The axis of the steps.
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
    >>> layer, masks = layers.LockedDropout(0.5), {}
    >>> ctx = layers.Context(training=True, stream=MaskStream(0), masks=masks)
    >>> y, backward = layer.forward(np.ones((1, 2, 6)), ctx)
    >>> y[0]
    array([[2., 2., 0., 0., 2., 0.],
           [2., 2., 0., 0., 2., 0.]])
    >>> y, backward = layer.forward(np.ones((1, 1, 6)), ctx)  # the sequence goes on
    >>> y[0]
    array([[2., 2., 0., 0., 2., 0.]])
    >>> masks.clear()  # the next sequence draws another
    """

    axis = Integer(1)

    def along(self, shape: Shape) -> tuple[int, ...]:
        """Return the axis of the steps."""
        if not -len(shape) <= self.axis < len(shape):
            raise ValueError(f"{self.path} has its steps on axis {self.axis}; x has shape {shape}")
        return (self.axis,)
