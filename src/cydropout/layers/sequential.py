"""Sequential: layers one after the other, as one layer."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..random import MaskStream
from .base import (
    NO_GRADIENT,
    Array,
    Backward,
    Context,
    Forward,
    Layer,
    Parameter,
    Shape,
    as_float,
    native_dtype,
)


class Step(NamedTuple):
    """One pass over memory: the layers it stands for, and their joint forward."""

    layers: tuple[Layer, ...]
    forward: Forward


class Sequential(Layer):
    """``y = f_k(... f_2(f_1(x)))``.

    Layers that can share one pass over memory (`Dense`, an activation, `Dropout`) do; the numbers
    are the same to the bit. An input is converted to the model's dtype, unless the first layer
    takes integers, as `Embedding` does.

    Parameters
    ----------
    layers : sequence of Layer
        Each its own object. Its path is its place and its name, as in "0.dense".
    dtype : {"float32", "float64"}
        Dtype of the parameters; inputs are converted to it.
    fuse : bool
        False runs every layer alone.
    name : str, optional
        Name within another `Sequential`.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        dtype: Any = "float32",
        fuse: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        layers = list(layers)
        for place, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"entry {place} is no layer: {layer!r}")
        names = [layer.name for layer in layers if layer.named]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"layer name {twice!r} is used twice; names must be unique")
        if len({id(layer) for layer in layers}) < len(layers):
            raise ValueError("one layer object is used twice; give each place its own")
        self.dtype = native_dtype(dtype)
        self.fuse = fuse
        self.input_shape: Shape | None = None
        self.layers = tuple(layers)
        for place, layer in enumerate(layers):
            layer.path = f"{place}.{layer.name}"
        self.steps = tuple(self._plan())
        self.takes_integers = bool(layers) and layers[0].takes_integers

    def _plan(self) -> Iterator[Step]:
        place = 0
        while place < len(self.layers):
            layer = self.layers[place]
            count, forward = layer.absorb(self.layers[place + 1 :]) if self.fuse else (0, None)
            yield Step(self.layers[place : place + count + 1], forward or layer.forward)
            place += count + 1

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Create all parameters for samples of ``input_shape``.

        ``rng`` is None (fresh entropy), an int, a `SeedSequence`, a `numpy.random.Generator` or a
        `MaskStream`, of which it takes one draw. ``dtype`` replaces the one of the constructor.
        """
        input_shape = tuple(int(size) for size in input_shape)
        shapes = list(self._shapes(input_shape))
        if self.input_shape is None:
            self.dtype = self.dtype if dtype is None else native_dtype(dtype)
            if isinstance(rng, MaskStream):
                rng = np.random.SeedSequence([rng.key, rng.take()])
            rng = np.random.default_rng(rng)
            for layer, shape in zip(self.layers, [input_shape, *shapes], strict=False):
                layer.build(shape, rng, self.dtype)
            self.input_shape = input_shape
        for name, parameter in self.named_parameters():
            parameter.name = name

    def _shapes(self, shape: Shape) -> Iterator[Shape]:
        for layer in self.layers:
            shape = layer.output_shape(shape)
            yield shape

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Run the layers in order; backward runs them in the other order."""
        if not self.takes_integers:
            x = as_float(x, self.path).astype(self.dtype, copy=False)
        inner = ctx if ctx.input_gradient else replace(ctx, input_gradient=True)
        backwards: list[Backward] = []
        # Without an input gradient the way back ends at the first step that has parameters.
        leading = not ctx.input_gradient
        for step in self.steps:
            x, back = step.forward(x, ctx if leading else inner)
            if leading and not any(layer.parameters() for layer in step.layers):
                continue
            leading = False
            backwards.append(back)

        def backward(dy: Array) -> Array:
            for back in reversed(backwards):
                dy = back(dy)
            return dy if ctx.input_gradient else NO_GRADIENT

        return x, backward

    def __call__(self, x: Array) -> Array:
        """Return the output at inference."""
        return self.forward(x, Context())[0]

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Iterate over the parameters in order, each with its name, as in "0.dense.weight"."""
        for layer in self.layers:
            for name, parameter in layer.named_parameters():
                yield f"{layer.path}.{name}", parameter

    def walk(self) -> Iterator[Layer]:
        """Iterate over this layer and those inside it."""
        yield self
        for layer in self.layers:
            yield from layer.walk()

    def penalty(self) -> float:
        """Return the sum of the layers' own terms of the loss; add their gradients."""
        return sum(layer.penalty() for layer in self.layers)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape that the last layer gives."""
        return [tuple(input_shape), *self._shapes(tuple(input_shape))][-1]

    def summary(self, input_shape: Shape | None = None) -> str:
        """Print and return a table of the layers, their output shapes and parameters.

        Before `build`, ``input_shape`` says what one sample looks like; the model is not changed.
        """
        model = self
        if self.input_shape is None:
            if input_shape is None:
                raise ValueError("the model is not built: give summary an input_shape")
            model = copy.deepcopy(self)
            model.build(input_shape, rng=0)
        shape = tuple(input_shape or model.input_shape or ())
        counts = [sum(p.value.size for p in layer.parameters()) for layer in model.layers]
        rows = [("layer", "output shape", "parameters"), ("input", _sample(shape), "")]
        for layer, out, count in zip(model.layers, model._shapes(shape), counts, strict=True):
            rows.append((layer.path, _sample(out), f"{count:,}"))
        total = ("total", "", f"{sum(counts):,}")
        widths = [max(len(row[column]) for row in [*rows, total]) for column in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
        rule = "-" * len(lines[0])
        last = f"{total[0]:<{widths[0]}}  {'':<{widths[1]}}  {total[2]:>{widths[2]}}"
        table = "\n".join([lines[0], rule, *lines[1:], rule, last])
        print(table)
        return table

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, each layer by its kind and settings."""
        layers = [{"kind": layer.kind(), **layer.get_config()} for layer in self.layers]
        return {"layers": layers, "dtype": self.dtype.name, "fuse": self.fuse}

    def __repr__(self) -> str:
        lines = [f"    {layer!r},\n".replace("\n    ", "\n        ") for layer in self.layers]
        return f"Sequential([\n{''.join(lines)}], dtype={self.dtype.name!r})"


def _sample(shape: Shape) -> str:
    return f"({', '.join(['n', *map(str, shape)])})"
