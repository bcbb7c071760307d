"""Sequential: layers one after the other, as one layer."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cydropout._text import show
from cydropout._validate import check_shape
from cydropout.layers._fusion import plan, stacked
from cydropout.layers._layer import (
    Array,
    Backward,
    Context,
    Layer,
    Shape,
    as_float,
    in_order,
    native_dtype,
    restoring_draws,
)
from cydropout.layers._saved import save_model
from cydropout.layers._settings import Flag, Setting, from_config, to_config
from cydropout.layers._state import Entries, joined
from cydropout.random import MaskStream

if TYPE_CHECKING:
    from typing_extensions import Self


class Layers(Setting):
    """Layers in order, or the configs of some."""

    def check(self, value: Any, layer: Any) -> tuple[Layer, ...]:
        """Return a tuple of layers."""
        if not np.iterable(value) or isinstance(value, str):
            raise TypeError(f"layers must be a list of layers, not {value!r}")
        found = [from_config(one) if isinstance(one, Mapping) else one for one in value]
        for place, one in enumerate(found):
            if not isinstance(one, Layer):
                raise TypeError(f"entry {place} is no layer: {one!r}")
        return tuple(found)

    def read(self, layer: Any) -> list[dict[str, Any]]:
        """Return the config of each, with its kind."""
        return [to_config(one) for one in layer.layers]


class Dtype(Setting):
    """The dtype of a model's parameters."""

    def check(self, value: Any, layer: Any) -> np.dtype[Any]:
        """Return float32 or float64."""
        return native_dtype(value)

    def read(self, layer: Any) -> str:
        """Return its name."""
        return str(layer.dtype.name)


class Sequential(Layer):
    """``y = f_k(...f_2(f_1(x)))``.

    Layers that can share one pass over memory (`Dense`, an activation, `Dropout`) do; the numbers
    are the same to the bit, or next to a `BatchwiseDropout` to rounding. An input is converted to
    the model's dtype, unless the first layer takes integers, as `Embedding` does.

    Parameters
    ----------
    layers : sequence of Layer
        Its path is its place and its name, as in "0.dense". A layer may stand in several models,
        which then share its parameters, and at several places of one: gradients add up, and one
        entry is saved. A layer that draws masks or carries states has one place in a model.
    dtype : {"float32", "float64"}
        Dtype of the parameters; inputs are converted to it.
    fuse : bool
        False runs every layer alone.
    name : str, optional
        Name within another `Sequential`.

    Examples
    --------
    >>> from cydropout.layers import Dense, Dropout, ReLU, Sequential
    >>> model = Sequential([Dense(8), ReLU(), Dropout(0.5), Dense(2)])
    >>> model.output_shape((5,)), len(model.steps)
    ((2,), 2)
    >>> Sequential.from_config(model.get_config()).get_config() == model.get_config()
    True
    """

    positional = "layers"
    _derived = ("_origin", "steps", "_stacked")
    layers = Layers(fixed=True)
    dtype = Dtype("float32", shapes=True)
    fuse = Flag(True, fixed=True)
    with_lengths = "keep"

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        dtype: Any = "float32",
        fuse: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(layers, dtype=dtype, fuse=fuse, name=name)
        names = [layer.name for layer in dict.fromkeys(self.layers) if layer.named]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"layer name {twice!r} is used twice; names must be unique")
        self.input_shape: Shape | None = None
        _check_noise(self.children())
        for path, layer in self.children().items():
            if layer.path == layer.name:
                layer.path = path
        self._plan()
        self.takes_integers = bool(self.layers) and self.layers[0].takes_integers

    def _plan(self) -> None:
        self.steps = plan(self.layers, self.fuse)
        self._stacked = stacked(self.steps)

    @property
    def is_built(self) -> bool:
        """Whether the layers are built for inputs of a shape."""
        return self.input_shape is not None

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Create all parameters for samples of ``input_shape``.

        ``rng`` is None (fresh entropy), an int, a `numpy.random.SeedSequence` or ``Generator``, or
        a `MaskStream`, of which it takes one draw. ``dtype`` replaces the one of the constructor.
        """
        input_shape = check_shape(tuple(input_shape), "input_shape")
        shapes = list(self._shapes(input_shape))
        if self.input_shape is None:
            self.dtype = self.dtype if dtype is None else native_dtype(dtype)
            make = partial(self._build_layers, [input_shape, *shapes])
            if isinstance(rng, MaskStream):
                rng.restoring(make, rng)
            else:
                make(rng)
            self.input_shape = input_shape
        for name, parameter in self.named_parameters():
            if f".{name}".endswith(f".{parameter.name}"):  # not of a model that it is in, too
                parameter.name = name
        self._plan()  # with what has been set since it was made

    def _build_layers(self, shapes: Sequence[Shape], rng: Any) -> None:
        if isinstance(rng, MaskStream):
            rng = np.random.SeedSequence([rng.key, rng.take()])
        rng = np.random.default_rng(rng)
        for layer, shape in zip(self.layers, shapes, strict=False):
            layer.build(shape, rng, self.dtype)

    def _shapes(self, shape: Shape) -> Iterator[Shape]:
        for layer in self.layers:
            shape = layer.output_shape(shape)
            yield shape

    @restoring_draws
    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Run the layers in order; backward runs them in the other order."""
        steps = self.steps if ctx.workspace is None else self._stacked
        return in_order(steps, self.convert(x), ctx)

    @property
    def branch(self) -> Any:
        """The model itself, unless a subclass has a forward or convert of its own."""
        own = any(getattr(type(self), name) is not getattr(Sequential, name) or name in vars(self)
                  for name in ("forward", "convert"))
        return None if own else self

    def parts(self) -> Sequence[Layer]:
        """Return the layers, each in its own parts; a model of another dtype is one part."""
        if self.branch is None:
            return (self,)
        parts: list[Layer] = []
        for layer in self.layers:
            alike = getattr(layer, "dtype", self.dtype) == self.dtype
            parts.extend(layer.parts() if alike else (layer,))
        return parts

    def convert(self, x: Array) -> Array:
        """Return the input in the model's dtype, unless the first layer takes integers."""
        if self.takes_integers:
            return x
        return as_float(x, self.path).astype(self.dtype, copy=False)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write configuration and parameters to one file, which `load_model` reads.

        The file is in the format of safetensors. Classes of layers other than those of this package
        are looked for by their names when it is read: see `register`.

        Raises
        ------
        ValueError
            If the model is not built, or could not be made again from its config.
        """
        if self.input_shape is None:
            raise ValueError("the model is not built: it has no parameters to save")
        save_model(self, path, self.input_shape)

    def __call__(self, x: Array, lengths: Any = None) -> Array:
        """Return the output at inference, of sequences of these lengths where they differ."""
        return self.forward(x, Context(lengths=lengths))[0]

    def __len__(self) -> int:
        return len(self.layers)

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, place: int | slice) -> Any:
        """Return the layer at a place, or a model that has the layers of a slice in common."""
        if not isinstance(place, slice):
            return self.layers[place]
        start, _, step = place.indices(len(self))
        if step != 1:
            raise ValueError(f"a slice of a model has the step 1, not {step}")
        part = Sequential(self.layers[place], dtype=self.dtype, fuse=self.fuse)
        if self.input_shape is not None:
            part.build([self.input_shape, *self._shapes(self.input_shape)][start])
        return part

    def children(self) -> dict[str, Any]:
        """Return the layers by place and name, as in "0.dense", and all others held."""
        others = super().children().items()
        return dict(zip(self.paths, self.layers, strict=True)) | {
            name: one for name, one in others if not name.startswith("layers.")
        }

    @property
    def paths(self) -> list[str]:
        """The place and the name of each layer, as in "0.dense"."""
        return [f"{place}.{layer.name}" for place, layer in enumerate(self.layers)]

    def _replaced(self, new: dict[int, Any]) -> Self:
        twin = super()._replaced(new)
        if twin is not self:
            twin._plan()
        return twin

    def torch_entries(self) -> Entries:
        """Return the layers' entries under their places, as in "0.weight"."""
        return joined(
            {str(place): layer.torch_entries() for place, layer in enumerate(self.layers)}
        )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape that the last layer gives."""
        return [tuple(input_shape), *self._shapes(tuple(input_shape))][-1]

    def keeps_lengths(self, input_shape: Shape) -> bool:
        """Whether all layers keep them; raise if one cannot take them."""
        if self.with_lengths is None:
            return super().keeps_lengths(input_shape)
        shape = tuple(input_shape)
        for layer in self.layers:
            if not layer.keeps_lengths(shape):
                return False
            shape = layer.output_shape(shape)
        return True

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
        rows = [("layer", "output shape", "parameters"), ("input", _sample(shape), "")]
        shapes = model._shapes(shape)
        for path, layer, out in zip(model.paths, model.layers, shapes, strict=True):
            rows.append((path, _sample(out), _count(layer)))
        total = ("total", "", _count(model))
        widths = [max(len(row[column]) for row in [*rows, total]) for column in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
        rule = "-" * len(lines[0])
        last = f"{total[0]:<{widths[0]}}  {'':<{widths[1]}}  {total[2]:>{widths[2]}}"
        table = "\n".join([lines[0], rule, *lines[1:], rule, last])
        show(table)
        return table

    def __repr__(self) -> str:
        lines = [f"    {layer!r},\n".replace("\n    ", "\n        ") for layer in self.layers]
        return f"Sequential([\n{''.join(lines)}], dtype={self.dtype.name!r})"


def _check_noise(children: Mapping[str, Layer]) -> None:
    """Raise if a layer that draws masks has two places, whose masks nobody could tell apart."""
    found: dict[Layer, str] = {}
    for path, child in children.items():
        for layer in child.walk():
            if hasattr(type(layer), "fitted") and layer in found:
                raise ValueError(
                    f"{layer.name!r} draws masks, and is used twice, in {found[layer]!r} and in "
                    f"{path!r}: give each place its own"
                )
        found |= dict.fromkeys(child.walk(), path)


def _count(layer: Layer) -> str:
    return f"{sum(parameter.value.size for parameter in layer.parameters()):,}"


def _sample(shape: Shape) -> str:
    return f"({', '.join(['n', *map(str, shape)])})"
