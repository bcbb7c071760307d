"""Gated: what `LSTM` and `GRU` have beyond a `SimpleRNN`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cydropout.layers._layer import Context, Shape
from cydropout.layers._settings import Noise, OneOf
from cydropout.layers.dropout.dropout import Dropout
from cydropout.layers.dropout.recurrent_dropout import RecurrentDropout
from cydropout.layers.recurrent._rnn import Recurrent, one_mask

MODES = ("variational", "semeniuta")


class Gated(Recurrent):
    """Base of `LSTM` and `GRU`, whose recurrent dropout may spare what is remembered."""

    recurrent_mode = OneOf(MODES, "variational", fixed=True)
    recurrent_dropout = Noise(lambda rate, layer: layer.recurrent_noise(rate))

    def recurrent_noise(self, rate: Any) -> Dropout:
        """Return the dropout of the mode."""
        if self.recurrent_mode == "variational":
            return one_mask(rate, self.recurrent_per)
        return RecurrentDropout(rate, per=self.recurrent_per)

    def _masks(self, shape: Shape, ctx: Context, masks: Mapping[str, Any]) -> dict[str, Any]:
        found = super()._masks(shape, ctx, masks)
        if self.recurrent_mode == "semeniuta":
            found["update"] = found.pop("hidden")
        return found
