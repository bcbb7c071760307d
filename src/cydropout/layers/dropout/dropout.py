"""Dropout: zero each element with a given probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from cydropout._rates import Scaling
from cydropout._validate import check_choice
from cydropout.layers._layer import Context, Shape
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
    """

    one_rate = False

    def __init__(
        self,
        rate: Any,
        *,
        shared_axes: Sequence[int] = (),
        scaling: Scaling = "inverted",
        storage: Literal["bits", "seed"] = "bits",
        name: str | None = None,
    ) -> None:
        super().__init__(rate, name=name)
        check_choice("scaling", scaling, SCALINGS)
        check_choice("storage", storage, STORAGES)
        self.shared_axes = tuple(int(axis) for axis in shared_axes)
        self.scaling: Scaling = scaling
        self.storage: Literal["bits", "seed"] = storage

    def mask(self, shape: Shape, ctx: Context) -> Mask:
        """Draw the mask of one pass."""
        return ctx.draw(
            shape,
            self.rate,
            scaling=self.scaling,
            shared_axes=self.shared_axes,
            storage=self.storage,
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "shared_axes": self.shared_axes,
            "scaling": self.scaling,
            "storage": self.storage,
        }
