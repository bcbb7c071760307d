"""What a layer of products does behind its product, and which layers it takes in for that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from cydropout.layers._fused import bias_activation_dropout
from cydropout.layers._layer import Array, Context, Layer
from cydropout.layers.activations import Activation
from cydropout.layers.dropout.dropout import Dropout


class Behind(NamedTuple):
    """An activation, with softplus's sharpness, then a dropout; and the layers taken for it."""

    activation: str
    a: float
    dropout: Dropout
    taken: tuple[Layer, ...]


def taken_in(activation: str, following: Sequence[Layer], noise: bool = True) -> Behind:
    """Return what to take in of the layers that come next: an activation, and with noise a dropout.

    An activation is taken where the layer itself has none.
    """
    a, dropout, count = 1.0, Dropout(0.0), 0
    unit = following[0] if following else None
    if activation == "linear" and isinstance(unit, Activation):
        activation, a, count = unit.function, unit.a, 1
    after = following[count] if count < len(following) else None
    if noise and type(after) is Dropout:
        dropout, count = after, count + 1
    return Behind(activation, a, dropout, tuple(following[:count]))


def finish(
    z: Array, bias: Array | None, activation: str, a: float, dropout: Dropout, ctx: Context
) -> tuple[Array, Callable[[Array], tuple[Array, Array | None]]]:
    """Return ``y = mask(act(z + bias))``, in the place of z, and the way to ``(dz, dbias)``."""
    at_work = ctx.training and not ctx.is_idle(dropout)
    mask = ctx.mask_for(dropout, z.shape) if at_work else None
    y, back = bias_activation_dropout(z, bias, activation, mask, ctx, a=a, owned=True)
    if ctx.training or dropout.scaling == "inverted":
        return y, back
    y, scale_back = dropout.forward(y, ctx)
    return y, lambda dy: back(scale_back(dy))


def is_silent(dropout: Dropout) -> bool:
    """Whether the rate is 0."""
    return isinstance(dropout.rate, float) and dropout.rate == 0
