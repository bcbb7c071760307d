"""Wrapper: a layer around another one; Identity: where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cydropout.layers._layer import Array, Backward, Context, Layer, Parameter, Shape, as_float
from cydropout.layers._settings import Inner
from cydropout.layers._state import Entries, Entry

if TYPE_CHECKING:
    from typing_extensions import Self


class Identity(Layer):
    """``y = x``: the input itself."""

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return ``x``, and what returns ``dy``."""
        return as_float(x, self.path), lambda dy: dy


class Wrapper(Layer):
    """A layer that changes how ``layer`` runs; the parameters are that layer's.

    A subclass defines `forward`.
    """

    positional = "layer"
    layer: Layer = Inner()  # type: ignore[assignment]

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

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Iterate over the wrapper's own parameters, then over those of the layer inside."""
        yield from self._parameters.items()
        yield from self.layer.named_parameters()

    def with_parameters(self, parameters: Mapping[str, Parameter]) -> Self:
        """Return a copy that runs with other parameters in the place of those named."""
        own = {name: p for name, p in parameters.items() if name in self._parameters}
        twin = super().with_parameters(own)
        inner = {name: p for name, p in parameters.items() if name not in own}
        twin.layer = self.layer.with_parameters(inner) if inner else self.layer
        return twin

    def torch_entries(self) -> Entries:
        """Return the entries of the layer inside; parameters of the wrapper's own come first."""
        own = {name: Entry(parameter) for name, parameter in self._parameters.items()}
        return {**own, **self.layer.torch_entries()}

    def walk(self) -> Iterator[Layer]:
        """Iterate over this layer, those of its noise, and those inside it."""
        yield from super().walk()
        yield from self.layer.walk()

    def penalty(self) -> float:
        """Return the term of the layer inside."""
        return self.layer.penalty()
