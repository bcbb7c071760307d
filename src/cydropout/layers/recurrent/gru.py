"""GRU: a state that is renewed as far as its gates say."""

from __future__ import annotations

from typing import Any

import numpy as np

from cydropout.layers._layer import Shape
from cydropout.layers.recurrent._gated import Gated


class GRU(Gated):
    """``h_t = (1 - u) m'(n) + u h_{t-1}``, from ``h_0 = 0``.

    ``r, u = sigmoid(x_t W + m(h_{t-1}) R + b)`` in their two parts, and in the third
    ``n = tanh(x_t W + b + r (m(h_{t-1}) R + b'))``: the reset comes after the product, as in
    PyTorch and by default in Keras. ``x`` is (n, steps, in), ``W`` (in, 3 units), ``R`` (units,
    3 units), and ``y`` (n, steps, units), or (n, units) without ``return_sequences``. ``b'``, of
    shape (units,), is the parameter "inner_bias". ``m`` and ``m'`` are as in `LSTM`.

    Parameters
    ----------
    units : int
        Size of the state.
    **options
        As for `LSTM`, but for ``zoneout_cell``.

    References
    ----------
    Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014; for
    the dropout see `LSTM`.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> layer = layers.GRU(3, return_sequences=False)
    >>> layer.build((5, 4), 0)
    >>> y, backward = layer.forward(np.ones((2, 5, 4), "f4"), layers.Context())
    >>> y.shape
    (2, 3)
    """

    biases = ("bias", "inner_bias")
    cell = "gru"
    gates = 3

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Draw the weights; the biases are 0."""
        super().build(input_shape, rng, dtype)
        if self.bias and "inner_bias" not in self._parameters:
            kind = self._parameters["weight"].value.dtype
            self._add("inner_bias", np.zeros(self.units, kind))
