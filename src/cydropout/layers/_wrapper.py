"""Wrapper: a layer around another one; Identity: where there is none."""

from __future__ import annotations

from typing import Any

from cydropout.layers._layer import Array, Backward, Context, Layer, Shape, as_float, as_gradient
from cydropout.layers._settings import Inner
from cydropout.layers._state import Entries, Entry


class Identity(Layer):
    """``y = x``: the input itself."""

    with_lengths = "keep"

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return ``x``, and what returns ``dy``."""
        y = as_float(x, self.path)
        return y, lambda dy: as_gradient(dy, y.shape)


class Wrapper(Layer):
    """A layer that changes how ``layer`` runs; the parameters are that layer's.

    A subclass defines `forward`.
    """

    positional = "layer"
    with_lengths = "keep"
    layer: Layer = Inner(fixed=True)  # type: ignore[assignment]

    @property
    def unit_axis(self) -> int | None:  # type: ignore[override]
        """That of the layer inside."""
        axis: int | None = self.layer.unit_axis
        return axis

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Create the parameters of the layer inside."""
        self.layer.build(input_shape, rng, dtype)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return what the layer inside gives."""
        return self.layer.output_shape(input_shape)

    def keeps_lengths(self, input_shape: Shape) -> bool:
        """Whether the layer inside keeps them; raise if it cannot take them."""
        return super().keeps_lengths(input_shape) and self.layer.keeps_lengths(input_shape)

    def children(self) -> dict[str, Any]:
        """Return the layer inside, which goes by the wrapper's own name, and all others held."""
        found = super().children().items()
        return {"" if one is self.layer else name: one for name, one in found}

    def torch_entries(self) -> Entries:
        """Return the entries of the layer inside; parameters of the wrapper's own come first."""
        own = {name: Entry(parameter) for name, parameter in self._parameters.items()}
        return {**own, **self.layer.torch_entries()}
