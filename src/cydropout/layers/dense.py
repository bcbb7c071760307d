"""Dense: a matrix product, with bias, activation and dropout in the pass that follows it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from cydropout.layers._absorb import finish, is_silent, taken_in
from cydropout.layers._affine import Affine
from cydropout.layers._layer import NO_GRADIENT, Absorbed, Array, Backward, Context, Layer, in_order
from cydropout.layers._settings import Noise
from cydropout.layers.dropout.dropout import Dropout


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
    max_norm : float, optional
        After each step of an optimizer, a column of ``W``, which is what comes into one unit, is
        scaled back to this norm where it is longer. Biases are not bounded.
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

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way to prevent
    neural networks from overfitting", JMLR 15 (2014), for ``max_norm``.
    """

    noises = ("dropout",)
    dropout = Noise(lambda rate, _: Dropout(rate), key="rate")

    def forward(self, x: Array, ctx: Context, mask: Any = None) -> tuple[Array, Backward]:
        """Return ``y``, and the function that adds up ``dW`` and ``db`` and returns ``dx``.

        Parameters
        ----------
        x : array of shape (n, ..., in)
            Of floats.
        ctx : Context
            Of the pass.
        mask : mask or array of bool, optional
            Of the output, used in training instead of one that is drawn at ``rate``.
        """
        ctx = ctx if mask is None else ctx.supplying({self.dropout: mask})
        return self._run(x, ctx, self.activation, 1.0, self.dropout)

    def absorb(self, following: Sequence[Layer]) -> Absorbed:
        """Take in an activation and a dropout that come next, where this layer has none."""
        if not is_silent(self.dropout):
            return Absorbed(0, self.forward)
        activation, a, dropout, taken = taken_in(self.activation, following)
        if not taken:
            return Absorbed(0, self.forward)
        # Where no dropout is taken in, the layer's own may yet be given a mask.
        noise = dropout if isinstance(taken[-1], Dropout) else self.dropout
        return Absorbed(
            len(taken), partial(self._joint, taken=taken, activation=activation, a=a, dropout=noise)
        )

    def apart(self) -> Sequence[Layer]:
        """Return the layer without its dropout, on the same parameters, and that dropout."""
        if is_silent(self.dropout) or type(self).forward is not Dense.forward:
            return (self,)
        plain = copy.copy(self)
        plain.dropout = Dropout(0.0)
        return plain, self.dropout

    @property
    def draws(self) -> bool:
        """Whether the layer has a dropout of its own."""
        return not is_silent(self.dropout)

    def drops(self, ctx: Context) -> bool:
        """Whether it drops in this pass: it draws, or is given a mask."""
        masks = ctx.masks if ctx.training else None
        return self.draws or (masks is not None and masks.find(self.dropout) is not None)

    def _joint(
        self, x: Array, ctx: Context, taken: Sequence[Layer], activation: str, a: float,
        dropout: Dropout,
    ) -> tuple[Array, Backward]:
        # The layer's own dropout may have been given a rate, or a mask, since this was planned.
        if self.drops(ctx):
            return in_order((self, *taken), x, ctx)
        return self._run(x, ctx, activation, a, dropout)

    def _run(
        self, x: Array, ctx: Context, activation: str, a: float, dropout: Dropout
    ) -> tuple[Array, Backward]:
        weight, bias, rows, shape = self.operands(x)
        kind = weight.value.dtype
        z = np.matmul(rows, weight.value, out=ctx.room((len(rows), self.units), kind))
        z = z.reshape(shape)
        y, back = finish(z, bias.value if bias is not None else None, activation, a, dropout, ctx)

        def backward(dy: Array) -> Array:
            dz, dbias = back(dy)
            columns = dz.reshape(-1, self.units)
            weight.accumulate_product(rows.T, columns)
            if bias is not None and dbias is not None:
                bias.accumulate(dbias)
            if not ctx.input_gradient:
                return NO_GRADIENT
            dx: Array = np.matmul(columns, weight.value.T, out=ctx.room(rows.shape, kind))
            return dx.reshape(*shape[:-1], rows.shape[1])

        return y, backward
