"""Standout: a dense layer whose units are dropped with probabilities it computes itself."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from cydropout import functional
from cydropout.layers._affine import Affine, product
from cydropout.layers._fused import check_activation
from cydropout.layers._initializers import initial
from cydropout.layers._layer import (
    NO_GRADIENT,
    Array,
    Backward,
    Context,
    Shape,
    as_gradient,
    restoring_draws,
)
from cydropout.layers._settings import Checked, Flag, Number
from cydropout.layers.dropout._masked import NoisyLayer
from cydropout.masks import KeepMask

PARAMETERS = (("weight", "bias"), ("rate_weight", "rate_bias"))


class Standout(NoisyLayer, Affine):
    """``y = m act(z)`` with ``z = x W + b`` and m = 1 with probability ``k = sigmoid(r)``, else 0.

    Tied, ``r = alpha z + beta``: a unit is kept the more often, the larger its input. Untied,
    ``r = alpha (x V + c) + beta``, with the parameters ``rate_weight`` and ``rate_bias``. At
    inference nothing is drawn, and ``y = k act(z)``, the mean; nothing is scaled in training.

    The gradient of k is exact at inference. In training backward takes m for k, ``dk = dy act(z)``
    (straight-through), and passes ``dy act'(z)`` where the mask keeps.
    `cydropout.functional.standout` says how m is drawn.

    Parameters
    ----------
    units : int
        Size of the last axis of the output.
    activation : str
        "linear", "relu", "sigmoid", "tanh", "softplus", "selu" or "gelu".
    alpha, beta : float
        Settings, which are not trained: beta alone is the logit of the probability of keeping a
        unit whose ``z`` is 0.
    tied : bool
        Whether r comes from z.
    init, bias, max_norm, l1, l2, name
        As for `Dense`; the first two of the parameters of the rate too, and in a mapping of
        ``l1`` and ``l2`` these have names too.

    References
    ----------
    Ba & Frey, "Adaptive dropout for training deep neural networks", NIPS 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> layer = layers.Standout(4)
    >>> layer.build((3,), 0)
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layer.forward(np.ones((2, 3), "f4"), ctx)
    >>> y.shape
    (2, 4)
    """

    by_rows = False  # the kernel draws by itself
    activation = Checked(check_activation, "relu")
    alpha = Number(1.0)
    beta = Number(0.0)
    tied = Flag(True, shapes=True)

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Draw the weights from the NumPy generator ``rng``."""
        rng = np.random.default_rng(rng)
        if self._parameters:
            return
        super().build(input_shape, rng, dtype)
        if self.tied:
            return
        kind = self._parameters["weight"].value.dtype
        weight = initial(self.init, input_shape[-1], self.units, rng, kind)
        self._add("rate_weight", weight)
        if self.bias:
            self._add("rate_bias", np.zeros(self.units, kind))

    def penalisable(self) -> tuple[str, ...]:
        """Return the names of the parameters, those of the rate where there are some."""
        rates = () if self.tied else ("rate_weight", "rate_bias")[: 1 + self.bias]
        return super().penalisable() + rates

    def given(self, array: Any, shape: Shape) -> KeepMask:
        """Return the decisions that ``array``, of bool, says."""
        return KeepMask(shape, array)

    @restoring_draws
    def forward(self, x: Array, ctx: Context, mask: Any = None) -> tuple[Array, Backward]:
        """Return ``y``, and the function that adds up all gradients and returns ``dx``.

        Parameters
        ----------
        x : array of shape (n, ..., in)
            Of floats.
        ctx : Context
            Of the pass.
        mask : mask of bits or array of bool, optional
            Which outputs are kept, used instead of decisions that are drawn.
        """
        _, _, rows, shape = self.operands(x)
        paths = [
            product(rows, self._parameters[weight], self._parameters.get(bias), ctx.input_gradient)
            for weight, bias in (PARAMETERS[:1] if self.tied else PARAMETERS)
        ]
        z, *rates = (path.reshape(shape) for path, _ in paths)
        r = rates[0] if rates else None
        used = ctx.supplied(self, shape, mask) if ctx.training else None
        y, used = functional.standout(
            z, r, self.activation, alpha=self.alpha, beta=self.beta,
            rng=ctx.whole_stream(self) if ctx.training and used is None else None,
            mask=used, training=ctx.training, num_threads=ctx.num_threads,
        )
        ctx.record(self, used)

        def backward(dy: Array) -> Array:
            dy = as_gradient(dy, y.shape, z.dtype)
            gradients = functional.standout_backward(
                dy, z, r, self.activation, used, alpha=self.alpha, beta=self.beta,
                num_threads=ctx.num_threads,
            )
            parts = [
                back(dz.reshape(-1, self.units))
                for (_, back), dz in zip(paths, gradients, strict=False)
                if dz is not None
            ]
            if not ctx.input_gradient:
                return NO_GRADIENT
            return reduce(np.add, parts).reshape(*shape[:-1], rows.shape[1])

        return y, backward
