"""LSTM: a cell that remembers, and gates that say what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cydropout.layers._layer import Context, Shape
from cydropout.layers._settings import Noise
from cydropout.layers.dropout.zoneout import Zoneout
from cydropout.layers.recurrent._gated import Gated


class LSTM(Gated):
    """``c_t = f c_{t-1} + i m'(g)`` and ``h_t = o tanh(c_t)``, from ``h_0 = c_0 = 0``.

    ``i, f, o = sigmoid`` and ``g = tanh`` of the four parts of ``x_t W + m(h_{t-1}) R + b``.
    ``x`` is (n, steps, in), ``W`` (in, 4 units), ``R`` (units, 4 units), and ``y`` (n, steps,
    units), or (n, units) without ``return_sequences``, in the dtype of the parameters. ``m`` is
    recurrent dropout in the variational mode, ``m'`` in that of Semeniuta. Biases start at 0,
    those of the forget gate at 1.

    Each mask stands in `Context.masks` under the layer of noise that draws it: the attributes
    ``dropout``, ``recurrent_dropout``, ``zoneout`` and ``zoneout_cell``. `Context.states` carries
    the state on from one part of a sequence to the next. With `Context.lengths` the state stays
    as it is at the end of its sequence, which is also what is returned of the steps behind it.

    Parameters
    ----------
    units : int
        Size of the state.
    return_sequences : bool
        Whether all states h are returned, or the last one alone.
    dropout, recurrent_dropout : float
        Rate of the dropout of ``x``, and of that within the recurrence.
    dropout_per, recurrent_per : {"sequence", "step"}
        Whether one mask holds at all steps (Gal & Ghahramani), or each step has its own.
    recurrent_mode : {"variational", "semeniuta"}
        Drop units of the state on its way into the product, or of the update ``g`` alone, so that
        nothing of what is remembered is lost.
    zoneout, zoneout_cell : float
        Probability that a unit of h, and of c, stays as it was. ``h_t`` is then made of the new
        cell as it is before zoneout, as published.
    init : str
        Of ``W``, as for `Dense`; ``R`` is orthogonal.
    bias : bool
        Whether ``b`` exists.
    max_norm, l1, l2
        As for `Dense`, for ``W`` and ``R``.
    name : str, optional
        Name within a `Sequential`.

    Raises
    ------
    TypeError
        For an input that is no float.
    ValueError
        For an input that is not (n, steps, in), or a state that does not fit it.

    References
    ----------
    Hochreiter & Schmidhuber 1997, "Long short-term memory"; Gal & Ghahramani, "A theoretically
    grounded application of dropout in recurrent neural networks", NIPS 2016; Semeniuta, Severyn,
    Barth, "Recurrent dropout without memory loss", COLING 2016; Krueger et al., "Zoneout", ICLR
    2017.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> layer = layers.LSTM(3, recurrent_dropout=0.2)
    >>> layer.build((5, 4), 0)
    >>> y, backward = layer.forward(np.ones((2, 5, 4), "f4"), layers.Context())
    >>> y.shape
    (2, 5, 3)
    """

    cell = "lstm"
    gates = 4
    zoneout_cell = Noise(lambda rate, _: Zoneout(rate))

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Draw the weights, and let the forget gates begin open."""
        fresh = not self._parameters
        super().build(input_shape, rng, dtype)
        if fresh and self.bias:
            self._parameters["bias"].value[self.units : 2 * self.units] = 1

    def _masks(self, shape: Shape, ctx: Context, masks: Mapping[str, Any]) -> dict[str, Any]:
        found = super()._masks(shape, ctx, masks)
        return {**found, "zoneout_c": self._mask("zoneout_cell", shape, ctx, masks)}
