"""Dense: a matrix product, with bias, activation and dropout in the pass that follows it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from .activations import Activation
from .affine import Affine
from .base import NO_GRADIENT, Absorbed, Array, Backward, Context, Layer, in_order
from .dropout import Dropout
from .fused import bias_activation_dropout
from .penalties import Strength


class Dense(Affine):
    """``y = mask(act(x W + b))``.

    ``x`` is ``(n, ..., in)``, ``W`` is ``(in, units)`` and ``y`` is ``(n, ..., units)``, in the
    dtype of the parameters.

    Parameters
    ----------
    units : int
        Size of the last axis of the output.
    activation : str, optional
        "linear" (the default), "relu", "sigmoid", "tanh", "softplus", "selu" or "gelu".
    rate : float or array
        Dropout rate of the output; 0 draws nothing.
    init : str
        "glorot" (uniform), "he" (normal) or "lecun" (normal), or any of them in full, as in
        "he_uniform". Biases start at zero.
    bias : bool
        Whether ``b`` exists.
    l1, l2 : float or mapping
        ``l1 sum |W| + l2 sum W**2`` is added to the loss of a training step. A mapping gives one
        strength for each parameter that it names, as in ``l2={"weight": 1e-4, "bias": 1e-5}``.
        For weight decay that an adaptive step does not rescale take `optimizers.AdamW`.
    name : str, optional
        Name within a `Sequential`.

    Raises
    ------
    TypeError
        For an input that is no float.
    ValueError
        For an input of less than two axes or another number of features.
    """

    def __init__(
        self,
        units: int,
        *,
        activation: str | None = None,
        rate: Any = 0.0,
        init: str = "glorot",
        bias: bool = True,
        l1: Strength = 0.0,
        l2: Strength = 0.0,
        name: str | None = None,
    ) -> None:
        super().__init__(
            units, activation=activation, init=init, bias=bias, l1=l1, l2=l2, name=name
        )
        self.dropout = Dropout(rate)

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return ``y``, and the function that adds up ``dW`` and ``db`` and returns ``dx``."""
        return self._run(x, ctx, self.activation, 1.0, self.dropout)

    def absorb(self, following: Sequence[Layer]) -> Absorbed:
        """Take in an activation and a dropout that come next, where this layer has none."""
        activation, a, dropout, count = self.activation, 1.0, self.dropout, 0
        silent = _is_silent(dropout)
        unit = following[0] if following else None
        if silent and activation == "linear" and isinstance(unit, Activation):
            activation, a, count = unit.function, unit.a, 1
        noise = following[count] if count < len(following) else None
        if silent and type(noise) is Dropout:
            dropout, count = noise, count + 1
        if not count:
            return Absorbed(0, self.forward)
        taken = tuple(following[:count])
        return Absorbed(
            count, partial(self._joint, taken=taken, activation=activation, a=a, dropout=dropout)
        )

    def apart(self) -> Sequence[Layer]:
        """Return the layer without its dropout, on the same parameters, and that dropout."""
        if _is_silent(self.dropout) or type(self).forward is not Dense.forward:
            return (self,)
        plain = copy.copy(self)
        plain.dropout = Dropout(0.0)
        return plain, self.dropout

    def _joint(
        self, x: Array, ctx: Context, taken: Sequence[Layer], activation: str, a: float,
        dropout: Dropout,
    ) -> tuple[Array, Backward]:
        # The layer's own dropout may have been given a rate, or a mask, since this was planned.
        if not _is_silent(self.dropout) or self.dropout in (ctx.masks or ()):
            return in_order((self, *taken), x, ctx)
        return self._run(x, ctx, activation, a, dropout)

    def _run(
        self, x: Array, ctx: Context, activation: str, a: float, dropout: Dropout
    ) -> tuple[Array, Backward]:
        weight, bias, rows, shape = self.operands(x)
        z = np.matmul(rows, weight.value).reshape(shape)
        silent = _is_silent(dropout) and ctx.masks is None
        mask = dropout.used_mask(shape, ctx) if ctx.training and not silent else None
        y, back = bias_activation_dropout(
            z, bias.value if bias is not None else None, activation, mask, ctx, a=a, owned=True
        )
        scale_back: Backward | None = None
        if not ctx.training and dropout.scaling != "inverted":
            y, scale_back = dropout.forward(y, ctx)

        def backward(dy: Array) -> Array:
            dz, dbias = back(scale_back(dy) if scale_back else dy)
            columns = dz.reshape(-1, self.units)
            weight.accumulate_product(rows.T, columns)
            if bias is not None and dbias is not None:
                bias.accumulate(dbias)
            if not ctx.input_gradient:
                return NO_GRADIENT
            dx: Array = np.matmul(columns, weight.value.T).reshape(*shape[:-1], rows.shape[1])
            return dx

        return y, backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return super().get_config() | {"rate": self.dropout.get_config()["rate"]}


def _is_silent(dropout: Dropout) -> bool:
    return isinstance(dropout.rate, float) and dropout.rate == 0
