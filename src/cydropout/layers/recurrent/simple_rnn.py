"""SimpleRNN: a state that is one activation."""

from __future__ import annotations

from cydropout.layers._settings import OneOf
from cydropout.layers.recurrent._rnn import Recurrent


class SimpleRNN(Recurrent):
    """``h_t = act(x_t W + m(h_{t-1}) R + b)``, from ``h_0 = 0``.

    ``x`` is (n, steps, in), ``W`` (in, units), ``R`` (units, units), and ``y`` (n, steps, units),
    or (n, units) without ``return_sequences``; ``m`` is the recurrent dropout.

    Parameters
    ----------
    units : int
        Size of the state.
    activation : {"tanh", "relu"}
        The ``act`` of the formula.
    **options
        As for `LSTM`, but for those that only a cell with gates has.

    References
    ----------
    Elman 1990, "Finding structure in time"; Gal & Ghahramani, "A theoretically grounded
    application of dropout in recurrent neural networks", NIPS 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> layer = layers.SimpleRNN(3)
    >>> layer.build((5, 4), 0)
    >>> y, backward = layer.forward(np.ones((2, 5, 4), "f4"), layers.Context())
    >>> y.shape
    (2, 5, 3)
    """

    gates = 1
    activation = OneOf(("tanh", "relu"), "tanh")

    @property
    def cell(self) -> str:  # type: ignore[override]
        """The name of the cell."""
        return str(self.activation)
