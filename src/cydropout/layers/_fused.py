"""One pass over memory for bias, activation and dropout, behind a product or alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cydropout import functional
from cydropout._validate import check_choice
from cydropout.layers._layer import Array, Context, as_gradient
from cydropout.masks import BitMask

ACTIVATIONS = ("linear", "relu", "sigmoid", "tanh", "softplus", "selu", "gelu")


def check_activation(activation: str | None) -> str:
    """Return the name of an activation, "linear" for None; raise if there is none of that name."""
    activation = "linear" if activation is None else activation
    check_choice("activation", activation, ACTIVATIONS)
    return activation


def bias_activation_dropout(
    z: Array,
    bias: Array | None,
    activation: str,
    mask: BitMask | None,
    ctx: Context,
    *,
    a: float = 1.0,
    owned: bool = False,
) -> tuple[Array, Callable[[Array], tuple[Array, Array | None]]]:
    """Return ``y = mask(act(z + bias))`` and the function from ``dy`` to ``(dz, dbias)``.

    ``owned`` says that nobody else needs ``z``, so that ``y`` may take its place.
    """
    if owned and bias is None and activation == "linear" and mask is None:
        return z, lambda dy: (as_gradient(dy, z.shape, z.dtype), None)
    # A linear unit's derivative is 1 and a ReLU's shows in the sign of y: then z need not be kept.
    from_output = activation in ("linear", "relu")
    y = functional.bias_activation_dropout(
        z,
        bias,
        activation,
        mask,
        a=a,
        out=z if owned and from_output else ctx.room(z.shape, z.dtype),
        num_threads=ctx.num_threads,
    )
    saved = (y if activation == "relu" else None) if from_output else z
    shift = np.zeros(bias.shape, bias.dtype) if from_output and bias is not None else bias

    def backward(dy: Array) -> tuple[Array, Array | None]:
        dy = as_gradient(dy, y.shape, y.dtype)
        dz, dbias = functional.bias_activation_dropout_backward(
            dy,
            dy if saved is None else saved,
            shift,
            activation,
            mask,
            a=a,
            out=ctx.room(y.shape, y.dtype),
            num_threads=ctx.num_threads,
        )
        return dz, dbias

    return y, backward


def finish(
    z: Array, bias: Array | None, activation: str, unit: Any, dropout: Any, ctx: Context
) -> tuple[Array, Callable[[Array], tuple[Array, Array | None]]]:
    """Return ``y = mask(act(z + bias))``, in the place of z, and the backward to ``(dz, dbias)``.

    ``activation`` is that of the product, in whose place a layer ``unit`` may stand.
    """
    a = 1.0
    if unit is not None:
        activation, a = unit.function, unit.a
    mask = None
    if dropout is not None and ctx.training and not ctx.is_idle(dropout):
        mask = ctx.mask_for(dropout, z.shape)
    y, back = bias_activation_dropout(z, bias, activation, mask, ctx, a=a, owned=True)
    if dropout is None or ctx.training or dropout.scaling == "inverted":
        return y, back
    y, scale_back = dropout.forward(y, ctx)
    return y, lambda dy: back(scale_back(dy))
