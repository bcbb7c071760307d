"""Dense layers with batchwise dropout around them, computed on what it keeps alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from cydropout import functional
from cydropout._arrays import contiguous
from cydropout.functional import Submatrix
from cydropout.functional.dense_stack import Part
from cydropout.layers._dense_stack import Block, Found, found_of
from cydropout.layers._fused import bias_activation_dropout
from cydropout.layers._layer import (
    NO_GRADIENT,
    Array,
    Backward,
    Context,
    Layer,
    Parameter,
    Pass,
    Shape,
    as_gradient,
    in_order,
)
from cydropout.layers.activations import Activation
from cydropout.layers.dense import Dense
from cydropout.layers.dropout.batchwise import BatchwiseDropout
from cydropout.masks import BitMask, ScaleMask

#: Below this rate gathering the weights takes longer than the smaller products save.
PAYS_FROM = 0.15


class Units(NamedTuple):
    """Which units of a layer take part, None for all, whether side by side, and their scale."""

    units: Array | None = None
    run: slice | None = slice(None)
    scale: float = 1.0
    lazy: bool = True

    @classmethod
    def drawn(cls, noise: BatchwiseDropout, shape: Shape, ctx: Context) -> Units:
        """Return what a dropout over (batch, units) keeps in all samples of a pass."""
        lazy = noise.lazy
        if ctx.masks is None and noise.layout == "slice":
            begin, end, scale = noise.run(shape, ctx)
            whole = end - begin == shape[1]
            units = None if whole else np.arange(begin, end, dtype=np.int64)
            return cls(units, slice(begin, end), scale, lazy)
        if ctx.masks is None and isinstance(noise.rate, float):
            keep, scale = noise.decisions(shape, ctx)
            keep = keep[0]
        else:
            mask = ctx.mask_for(noise, shape).over((1, shape[1]))
            keep, scale = mask.keep[0], float(mask.scale)
        units = np.flatnonzero(keep).astype(np.int64, copy=False)
        if units.size == keep.size:
            return cls(scale=scale, lazy=lazy)
        first, last = (int(units[0]), int(units[-1]) + 1) if units.size else (0, 0)
        run = slice(first, last) if last - first == units.size else None
        return cls(units, run, scale, lazy)


class Link(NamedTuple):
    """A dense layer, the activation behind it, and the dropout after both, if there are any."""

    dense: Dense
    unit: Activation | None
    noise: BatchwiseDropout | None

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, in order."""
        return tuple(layer for layer in self if layer is not None)

    def forward(
        self, h: Array, kept: Units, ctx: Context, leading: bool
    ) -> tuple[Array, Units, Backward]:
        """Return the units that are kept, which these are, and the backward to ``h``.

        ``leading`` says that nobody needs the gradient of ``h``.
        """
        weight, bias = (self.dense.parameter(name) for name in ("weight", "bias"))
        assert weight is not None
        shape, out = (len(h), self.dense.units), Units()
        if self.noise is not None:
            out = Units.drawn(self.noise, shape, ctx)
        submatrix, lazy = _submatrix(weight, kept.units, out.units), kept.lazy and out.lazy
        ends = None if bias is None else _submatrix(bias, None, out.units)
        w = _block(weight.value, kept, out, submatrix, ctx)
        shift = None if bias is None else bias.value
        if shift is not None and ends is not None:
            shift = functional.gather_submatrix(shift, ends, num_threads=1)
        kind = weight.value.dtype
        z = np.matmul(h, w, out=ctx.room((len(h), w.shape[1]), kind))
        y, back = bias_activation_dropout(
            z,
            shift,
            self.unit.function if self.unit else self.dense.activation,
            None if out.scale == 1 else ScaleMask(z.shape, out.scale),
            ctx,
            a=self.unit.a if self.unit else 1.0,
            owned=True,
        )

        def backward(dy: Array) -> Array:
            dz, dbias = back(dy)
            weight.accumulate_product(h.T, dz, submatrix, lazy=lazy)
            if bias is not None and dbias is not None:
                bias.accumulate(dbias, ends, lazy=out.lazy)
            if leading:
                return NO_GRADIENT
            dh: Array = np.matmul(dz, w.T, out=ctx.room(h.shape, kind))
            return dh

        return y, out, backward


class Chain:
    """A batchwise dropout of the input, if there is one, and links one after the other."""

    def __init__(self, entry: BatchwiseDropout | None, links: Sequence[Link]) -> None:
        self.entry = entry
        self.links = tuple(links)
        self.layers = [*([entry] if entry else []), *(x for link in links for x in link.layers)]
        # What runs at inference, and where a mask differs between samples or units.
        self.plain: list[Layer | Pass] = [entry] if entry else []
        for link in links:
            forward = partial(link.dense.run, unit=link.unit)
            self.plain.append(Pass((link.dense,), forward))
            self.plain.extend([link.noise] if link.noise else [])

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return the output, and the backward, which adds up gradients of the kept weights."""
        if not self._is_compact(x, ctx):
            return in_order(self.plain, x, ctx)
        weight = self.links[0].dense.parameter("weight")
        assert weight is not None
        h, kept, enter = contiguous(x, weight.value.dtype), Units(), None
        backwards: list[Callable[[Array], Array]] = []
        if self.entry is not None:
            kept = Units.drawn(self.entry, x.shape, ctx)
            enter = Submatrix(h.shape, columns=kept.units)
            h = functional.gather_submatrix(h, enter, kept.scale, num_threads=ctx.num_threads)
        scale, leading = kept.scale, not ctx.input_gradient
        for link in self.links:
            h, kept, back = link.forward(h, kept, ctx, leading)
            if not leading or link.dense.needs_gradient:
                leading = False
                backwards.append(back)
        y, leave = h, None
        if kept.units is not None:
            leave = Submatrix((len(h), self.links[-1].dense.units), columns=kept.units)
            y = _spread(h, leave, 1.0, ctx)

        def backward(dy: Array) -> Array:
            dy = as_gradient(dy, y.shape, y.dtype)
            if leave is not None:
                dy = functional.gather_submatrix(dy, leave, num_threads=ctx.num_threads)
            for back in reversed(backwards):
                dy = back(dy)
            if enter is None or not ctx.input_gradient:
                return dy
            return _spread(dy, enter, scale, ctx)

        return y, backward

    def find(self, x: Array, ctx: Context) -> Found | None:
        """Return what a step in one call runs on, or None where there is no such step."""
        if self.links[-1].noise is not None or not self._is_compact(x, ctx):
            return None
        return found_of(self, [Block(link.dense, link.unit) for link in self.links], x, parts=True)

    def part(self, shape: Shape, ctx: Context) -> Part:
        """Draw what takes part in a step over samples of (batch, units)."""
        rows, width = shape
        noises = [(self.entry, width), *((link.noise, link.dense.units) for link in self.links)]
        units = [Units() if noise is None else Units.drawn(noise, (rows, size), ctx)
                 for noise, size in noises]
        return Part(
            [one.units for one in units], [one.scale for one in units], [one.lazy for one in units])

    def wrote(self, part: Part | None) -> None:
        """Say that a step in one call has written the gradients of a part."""
        assert part is not None
        units, lazy = part.units, part.lazy
        for i, link in enumerate(self.links):
            weight, bias = (link.dense.parameter(name) for name in ("weight", "bias"))
            assert weight is not None
            weight.wrote(_submatrix(weight, units[i], units[i + 1]), lazy=lazy[i] and lazy[i + 1])
            if bias is not None:
                bias.wrote(_submatrix(bias, None, units[i + 1]), lazy=lazy[i + 1])

    def _is_compact(self, x: Array, ctx: Context) -> bool:
        """Whether every mask is to be the same for all samples, with one scale for all units."""
        if not ctx.training or not isinstance(x, np.ndarray):
            return False
        if x.ndim != 2 or x.dtype.kind != "f":
            return False
        if not self._pays():
            return False
        width = x.shape[1]
        if not _shares(self.entry, (len(x), width), ctx):
            return False
        for link in self.links:
            units = link.dense.units
            weight, bias = (link.dense.parameter(name) for name in ("weight", "bias"))
            if link.unit and link.dense.activation != "linear":  # set since it was planned
                return False
            # What does not fit is refused where all of it is used.
            if weight is None or weight.value.shape != (width, units):
                return False
            if bias is not None and bias.value.shape != (units,):
                return False
            if not _shares(link.noise, (len(x), units), ctx):
                return False
            width = units
        return True

    def _pays(self) -> bool:
        """Whether enough is dropped, or a lazy step depends on it."""
        noises = filter(None, [self.entry, *(link.noise for link in self.links)])
        return any(n.lazy or np.max(n.rate, initial=0) >= PAYS_FROM for n in noises)


def _submatrix(
    parameter: Parameter, rows: Array | None, columns: Array | None
) -> Submatrix | None:
    """Return where such rows and columns lie in a parameter, or None where they are all."""
    if rows is None and columns is None:
        return None
    return Submatrix.from_sorted(parameter.value.shape, rows, columns)


def _shares(noise: BatchwiseDropout | None, shape: Shape, ctx: Context) -> bool:
    if noise is None:
        return True
    mask: Any = ctx.supplied(noise, shape)
    if mask is None:
        return isinstance(noise.rate, float)
    return (
        isinstance(mask, BitMask)
        and mask.fused_plan(shared_axes=(0,)) is not None
        and isinstance(mask.scale, float)
    )


def _block(
    matrix: Array, rows: Units, columns: Units, submatrix: Submatrix | None, ctx: Context
) -> Array:
    """Return some rows and columns: as they lie, where they are side by side, or a copy."""
    if submatrix is None or (rows.run is not None and columns.run is not None):
        part: Array = matrix[rows.run, columns.run]
        return part
    return functional.gather_submatrix(matrix, submatrix, num_threads=ctx.num_threads)


def _spread(block: Array, submatrix: Submatrix, scale: float, ctx: Context) -> Array:
    whole = np.zeros(submatrix.shape, block.dtype)
    return functional.scatter_submatrix(block, whole, submatrix, scale, num_threads=ctx.num_threads)
