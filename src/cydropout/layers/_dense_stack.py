"""`Dense` layers one after the other in one call: a training step without Python in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from cydropout._arrays import rows_of
from cydropout.functional.dense_stack import DenseLayer, DenseStack, Part
from cydropout.layers._layer import (
    NO_GRADIENT,
    Array,
    Backward,
    Context,
    Pass,
    as_gradient,
    in_order,
)
from cydropout.layers._parameter import Parameter
from cydropout.layers.activations import Activation
from cydropout.layers.dense import Dense
from cydropout.layers.dropout.dropout import Dropout


class Block(NamedTuple):
    """A dense layer, the activation after it, and the dropout after both, if there are any."""

    dense: Dense
    unit: Activation | None = None
    dropout: Dropout | None = None

    def describe(self) -> DenseLayer | None:
        """Return what the kernels are told, or None where they cannot run it."""
        dense, unit = self.dense, self.unit
        weight, bias = dense.parameter("weight"), dense.parameter("bias")
        trained = all(one.trainable for one in (weight, bias) if one is not None)
        alone = self.dropout is None or not self.dropout.shared_axes
        if weight is None or not trained or not alone or (unit and dense.activation != "linear"):
            return None
        name, a = (dense.activation, 1.0) if unit is None else (unit.function, unit.a)
        return DenseLayer(dense.units, name, a, bias is not None)


class Found(NamedTuple):
    """What a pass runs on: whose it is and of which kind, what makes its own arrays, the
    parameters, and the values of these.
    """

    owner: Any
    described: tuple[Any, ...]
    make: Callable[[], DenseStack]
    weights: list[Any]
    biases: list[Any]
    w: list[Any]
    b: list[Any]

    @property
    def key(self) -> Any:
        """What its arrays go by: two passes of one step need their own."""
        return self.owner, *self.described

    @property
    def parameters(self) -> list[Parameter]:
        """All of them."""
        return [one for one in (*self.weights, *self.biases) if one is not None]


class Stack:
    """The forward of such passes: in a training step one call, else one pass after the other.

    It needs the `Workspace` of the step, which holds its arrays.
    """

    def __init__(self, passes: Sequence[Pass], blocks: Sequence[Block]) -> None:
        self.passes, self.blocks = tuple(passes), tuple(blocks)

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return ``y``, and the function that adds up the gradients and returns ``dx``."""
        rows = rows_of(x) if x.ndim > 1 else x
        workspace: Any = ctx.workspace
        if not ctx.training or workspace is None or ctx.masks is not None:
            return in_order(self.passes, x, ctx)
        found = workspace.decided((self, rows.shape, rows.dtype), lambda: self.find(rows, ctx))
        stack = found and workspace.take(found.key, found.make)
        if stack is None or not stack.fits(rows, found.w, found.b):
            return in_order(self.passes, x, ctx)
        *_, weights, biases, w, b = found
        plans = plans_of(masks_of(self.blocks, x.shape[:-1], ctx))
        y = stack.forward(rows, w, b, plans, num_threads=ctx.num_threads)
        y = y.reshape(*x.shape[:-1], y.shape[-1])

        def backward(dy: Array) -> Array:
            dy = as_gradient(dy, y.shape, y.dtype)
            dw, db = ([one and one.unwritten() for one in own] for own in (weights, biases))
            later = [*_rest(weights, dw), *_rest(biases, db)]
            dx = stack.backward(
                dy, dw, db, input_gradient=ctx.input_gradient, num_threads=ctx.num_threads)
            for parameter, gradient in later:
                parameter.accumulate(gradient)
            return NO_GRADIENT if dx is None else dx.reshape(x.shape)

        return y, backward

    def wrote(self, part: Part | None) -> None:
        """Say that a step in one call has written the gradients, which are whole."""
        for block in self.blocks:
            for parameter in block.dense.parameters():
                parameter.wrote()

    def find(self, rows: Array, ctx: Context) -> Found | None:
        """Return what a pass over rows runs on, or None where one pass after the other runs.

        It is the same in every context that `forward` allows.
        """
        return found_of(self, self.blocks, rows)


def found_of(owner: Any, blocks: Sequence[Block], rows: Array, parts: bool = False) -> Found | None:
    """Return what a pass of dense layers over rows runs on, or None where the kernels do not fit.

    ``parts`` says whether some of the units alone may take part in a step.
    """
    layers = [layer for block in blocks if (layer := block.describe())]
    if len(layers) < len(blocks) or rows.ndim != 2 or not DenseStack.available():
        return None
    count, inputs = rows.shape
    if not DenseStack.takes(count, [inputs, *(layer.units for layer in layers)]):
        return None
    weights: list[Any] = [block.dense.parameter("weight") for block in blocks]
    biases: list[Any] = [block.dense.parameter("bias") for block in blocks]
    w, b = ([one and one.value for one in own] for own in (weights, biases))
    return Found(
        owner, (count, inputs, rows.dtype, parts, *layers),
        partial(DenseStack, count, inputs, layers, rows.dtype, parts), weights, biases, w, b)


def _rest(parameters: list[Any], places: list[Any]) -> list[tuple[Parameter, Array]]:
    """Give a place of its own to each gradient that adds to one that is there; return these."""
    rest = []
    for i, parameter in enumerate(parameters):
        if parameter is not None and places[i] is None:
            places[i] = np.empty_like(parameter.value)
            rest.append((parameter, places[i]))
    return rest


def masks_of(blocks: Sequence[Block], rows: tuple[int, ...], ctx: Context) -> list[Any]:
    """Return the mask of each block for so many rows, or None where it keeps all."""
    return [
        None if block.dropout is None or ctx.is_idle(block.dropout)
        else ctx.mask_for(block.dropout, (*rows, block.dense.units)) for block in blocks
    ]


def plans_of(masks: Sequence[Any]) -> list[Any]:
    """Return what draws and applies each mask."""
    return [None if mask is None else mask.fused_plan() for mask in masks]
