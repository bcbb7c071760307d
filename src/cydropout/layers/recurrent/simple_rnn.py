"""SimpleRNN: a state that is one activation."""

from __future__ import annotations

from typing import Any, Literal

from cydropout._validate import check_choice
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
    """

    gates = 1

    def __init__(
        self, units: int, *, activation: Literal["tanh", "relu"] = "tanh", **options: Any
    ) -> None:
        super().__init__(units, **options)
        check_choice("activation", activation, ("tanh", "relu"))
        self.activation = self.cell = activation

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return super().get_config() | {"activation": self.activation}
