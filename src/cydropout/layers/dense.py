"""Dense: a matrix product, with bias and activation in the pass that follows it."""

from __future__ import annotations

import numpy as np

from cydropout.layers._affine import Affine
from cydropout.layers._fused import finish
from cydropout.layers._layer import NO_GRADIENT, Array, Backward, Context, Layer, in_order


class Dense(Affine):
    """``y = act(x W + b)``.

    ``x`` is ``(n, ..., in)``, ``W`` is ``(in, units)`` and ``y`` is ``(n, ..., units)``, in the
    dtype of the parameters.

    Parameters
    ----------
    units : int
        Size of the last axis of the output.
    activation : str, optional
        "linear" (the default), "relu", "sigmoid", "tanh", "softplus", "selu" or "gelu".
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

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.layers import Context, Dense
    >>> layer = Dense(2, activation="relu")
    >>> layer.build((3,), rng=0)
    >>> y, backward = layer.forward(np.ones((4, 3), "float32"), Context())
    >>> y.shape, backward(y).shape
    ((4, 2), (4, 3))
    """

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return ``y``, and the function that adds up ``dW`` and ``db`` and returns ``dx``."""
        return self.run(x, ctx)

    def run(
        self, x: Array, ctx: Context, unit: Layer | None = None, dropout: Layer | None = None
    ) -> tuple[Array, Backward]:
        """Run the layer, and an activation and a dropout that share its pass."""
        if unit is not None and self.activation != "linear":  # set since it was planned
            return in_order([layer for layer in (self, unit, dropout) if layer], x, ctx)
        weight, bias, rows, shape = self.operands(x)
        kind = weight.value.dtype
        z = np.matmul(rows, weight.value, out=ctx.room((len(rows), self.units), kind))
        z = z.reshape(shape)
        shift = None if bias is None else bias.value
        y, back = finish(z, shift, self.activation, unit, dropout, ctx)

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
