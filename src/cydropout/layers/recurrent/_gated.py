"""Gated: what `LSTM` and `GRU` have beyond a `SimpleRNN`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from cydropout._validate import check_choice
from cydropout.layers._layer import Context, Shape
from cydropout.layers.dropout.recurrent_dropout import RecurrentDropout
from cydropout.layers.recurrent._rnn import Recurrent, Span

MODES = ("variational", "semeniuta")


class Gated(Recurrent):
    """Base of `LSTM` and `GRU`, whose recurrent dropout may spare what is remembered."""

    def __init__(
        self,
        units: int,
        *,
        recurrent_mode: Literal["variational", "semeniuta"] = "variational",
        recurrent_dropout: float = 0.0,
        recurrent_per: Span = "sequence",
        **options: Any,
    ) -> None:
        super().__init__(
            units, recurrent_dropout=recurrent_dropout, recurrent_per=recurrent_per, **options
        )
        check_choice("recurrent_mode", recurrent_mode, MODES)
        self.recurrent_mode = recurrent_mode
        if recurrent_mode == "semeniuta":
            self.recurrent_dropout = RecurrentDropout(recurrent_dropout, per=recurrent_per)

    def _masks(self, shape: Shape, ctx: Context, masks: Mapping[str, Any]) -> dict[str, Any]:
        found = super()._masks(shape, ctx, masks)
        if self.recurrent_mode == "semeniuta":
            found["update"] = found.pop("hidden")
        return found

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return super().get_config() | {"recurrent_mode": self.recurrent_mode}
