"""Which layers run as one pass over memory: a list of rules, applied once for each model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from cydropout._validate import is_ours
from cydropout.layers import activations
from cydropout.layers._batchwise import Chain, Link
from cydropout.layers._dense_stack import Block, Stack
from cydropout.layers._layer import Array, Backward, Context, Forward, Layer, Pass
from cydropout.layers.batch_norm import BatchNorm
from cydropout.layers.conv import Conv2D
from cydropout.layers.dense import Dense
from cydropout.layers.dropout.batchwise import BatchwiseDropout
from cydropout.layers.dropout.dropout import Dropout
from cydropout.layers.pooling import MaxPool2D

ACTIVATIONS = (
    activations.ReLU, activations.Sigmoid, activations.Tanh, activations.Softplus,
    activations.SELU, activations.GELU,
)
#: The classes that may share a pass, with what each does alone.
FUSED: dict[type, Any] = {
    kind: kind.forward
    for kind in (Dense, Conv2D, BatchNorm, MaxPool2D, Dropout, BatchwiseDropout, *ACTIVATIONS)
}


def plan(layers: Sequence[Layer], fuse: bool = True) -> tuple[Pass, ...]:
    """Return the passes that run ``layers``: as few as can be, or with ``fuse=False`` one each.

    Examples
    --------
    >>> from cydropout.layers import Dense, Dropout, ReLU
    >>> [len(one.layers) for one in plan([Dense(8), ReLU(), Dropout(0.5), Dense(2)])]
    [3, 1]
    """
    passes: list[Pass] = []
    left = list(layers)
    while left:
        found = (rule(left) for rule in (RULES if fuse else ()))
        one = next((each for each in found if each is not None), None)
        passes.append(one or Pass((left[0],), forward_of(left[0])))
        left = left[len(passes[-1].layers) :]
    return tuple(passes)


def forward_of(layer: Layer) -> Forward:
    """Return how a layer runs; one that is not of ours is held to what a layer returns."""
    forward: Forward = layer.forward
    return forward if is_ours(forward) else partial(_checked, layer)


def _checked(layer: Layer, x: Array, ctx: Context) -> tuple[Array, Backward]:
    found: Any = layer.forward(x, ctx)
    if (not isinstance(found, tuple) or len(found) != 2 or not callable(found[1])
            or not isinstance(found[0], np.ndarray)):
        kinds = type(found).__name__
        if isinstance(found, tuple):
            kinds = f"({', '.join(type(one).__name__ for one in found)})"
        raise TypeError(
            f"forward of {type(layer).__name__}, at {layer.path!r}, must return (y, backward), "
            f"an array and the function that takes dy to dx, not {kinds}"
        )
    return found


def stacked(passes: Sequence[Pass]) -> tuple[Pass, ...]:
    """Return the passes of a training step, of which those of `Dense` in a row are one call."""
    found: list[Pass] = []
    for described, run in groupby(passes, lambda one: one.block is not None):
        members = list(run)
        if described:
            layers = tuple(layer for one in members for layer in one.layers)
            stack = Stack(members, [one.block for one in members])
            members = [Pass(layers, stack.forward)]
        found += members
    return tuple(found)


def chain(layers: Sequence[Layer]) -> Pass | None:
    """`BatchwiseDropout` next to `Dense`: the products run on the units kept alone."""
    place = int(_is(layers, 0, BatchwiseDropout))
    entry = layers[0] if place else None
    links: list[Link] = []
    while (not links or links[-1].noise is not None) and _is(layers, place, Dense):
        dense: Any = layers[place]
        place += 1
        unit: Any = None
        if dense.activation == "linear" and _is(layers, place, *ACTIVATIONS):
            unit, place = layers[place], place + 1
        noise: Any = None
        if _is(layers, place, BatchwiseDropout):
            noise, place = layers[place], place + 1
        links.append(Link(dense, unit, noise))
    if not links or (entry is None and links[0].noise is None):
        return None
    first: Any = entry
    return Pass(tuple(layers[:place]), Chain(first, links).forward)


def product(layers: Sequence[Layer]) -> Pass | None:
    """`Dense` or `Conv2D`, then an activation, then `Dropout`: one pass behind the product."""
    if not _is(layers, 0, Dense, Conv2D):
        return None
    first: Any = layers[0]
    unit: Any = None
    dropout: Any = None
    place = 1
    if first.activation == "linear" and _is(layers, place, *ACTIVATIONS):
        unit, place = layers[place], place + 1
    # The mask of maps with their channels first would lie otherwise than the product does.
    if getattr(first, "data_format", "channels_last") == "channels_last" and _is(
        layers, place, Dropout
    ):
        dropout, place = layers[place], place + 1
    block = Block(first, unit, dropout) if isinstance(first, Dense) else None
    return Pass(tuple(layers[:place]), partial(first.run, unit=unit, dropout=dropout), block)


def normalization(layers: Sequence[Layer]) -> Pass | None:
    """`BatchNorm`, then `ReLU` or `MaxPool2D` or both."""
    if not _is(layers, 0, BatchNorm):
        return None
    first: Any = layers[0]
    relu = _is(layers, 1, activations.ReLU)
    place, pool = 1 + relu, None
    if _is(layers, place, MaxPool2D):
        pool, place = layers[place], place + 1
    if place == 1:
        return None
    return Pass(tuple(layers[:place]), partial(first.run, relu=relu, pool=pool))


#: The first that knows how the layers begin says what runs as one.
RULES = (chain, product, normalization)


def _is(layers: Sequence[Layer], place: int, *kinds: type) -> bool:
    """Whether there is a layer of these classes, and neither a subclass nor anybody changed it."""
    if place >= len(layers) or type(layers[place]) not in kinds:
        return False
    kind, own = type(layers[place]), vars(layers[place])
    return kind.forward is FUSED[kind] and "forward" not in own
