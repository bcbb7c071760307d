"""DropConnect: drop entries of the weight matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from cydropout import functional
from cydropout._rates import ONE, threshold
from cydropout.layers._affine import Affine, Operands
from cydropout.layers._fused import bias_activation_dropout
from cydropout.layers._layer import NO_GRADIENT, Array, Backward, Context, Shape, restoring_draws
from cydropout.layers._moments import Nodes, matched, quadrature, sampled
from cydropout.layers._settings import Count, Flag, Integer, OneOf
from cydropout.layers.dropout._weight_noise import WeightNoise
from cydropout.layers.dropout.dropout import STORAGES

SPANS = ("batch", "sample")
INFERENCES = ("mean", "gaussian")


class DropConnect(WeightNoise, Affine):
    """``y = act(x mask(W) + b)``; the mask keeps an entry of ``W`` with probability 1 - ``rate``.

    Kept entries are scaled by ``1 / (1 - rate)``. Shapes, dtypes and errors are those of `Dense`.
    At rate 0 no random number is used; at rate 1 ``y = act(b)``. A dropped entry of ``W`` is 0, so
    an input of NaN times a dropped entry is still NaN with one mask for a batch, but for rate 1;
    with one for each sample that product is 0.

    Parameters
    ----------
    units : int
        Size of the last axis of the output.
    rate : float
        Probability of dropping an entry; may be set again at any time.
    per : {"batch", "sample"}
        One mask for a pass, or as in the paper one for each row of the input, of which the masked
        matrices never exist: element ``(n * in + i) * units + j`` of the draw decides about entry
        (i, j) for row n.
    activation : str, optional
        As for `Dense`.
    inference : {"mean", "gaussian"}
        At inference use ``W`` itself, or return the mean of ``act(u)`` over the normal
        distribution that has the mean and the variance of the pre-activations: ``m = x W + b`` and
        ``v = rate / (1 - rate) (x * x) (W * W)``. At rate 1, whose ``v`` is infinite, "gaussian"
        is "mean".
    samples : int, optional
        The mean of "gaussian" is taken over so many normal numbers for each unit, as in the paper,
        the same for all rows. By default it is exact for "relu", and a Gauss-Hermite quadrature for
        the others; for "linear" it is always exact.
    rng : int
        Seed of these numbers, so that predictions are reproducible.
    drop_bias : bool
        Whether entries of ``b`` are dropped too, by a mask of their own.
    storage : {"bits", "seed"}, optional
        Keep the mask for the backward pass as bits, or draw it again. By default "bits" for one
        mask, and "seed" for one per sample, which has a bit for each entry and row.
    init, bias, max_norm, l1, l2, name
        As for `Dense`; ``max_norm`` bounds ``W``, not what a mask leaves of it.

    References
    ----------
    Wan, Zeiler, Zhang, LeCun, Fergus, "Regularization of neural networks using DropConnect",
    ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> layer = layers.DropConnect(2, 0.5)
    >>> layer.build((4,), 0)
    >>> layer.parameters()[0].value[...] = 1
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layer.forward(np.ones((1, 4), "f4"), ctx)
    >>> y.round(2)
    array([[4., 2.]], dtype=float32)
    """

    positional = "units rate"
    storage = OneOf(STORAGES, None)
    per = OneOf(SPANS, "batch")
    inference = OneOf(INFERENCES, "mean")
    samples = Count(None)
    rng = Integer(0, "[0, inf)")
    drop_bias = Flag(False)

    @property
    def per_row(self) -> bool:
        """Whether each row of the input has masks of its own."""
        return bool(self.per == "sample")

    def check_settings(self) -> None:
        """Choose a storage, where none is given."""
        if self.storage is None:
            self.storage = "bits" if self.per == "batch" else "seed"

    @restoring_draws
    def forward(
        self, x: Array, ctx: Context, mask: Any = None
    ) -> tuple[Array, Backward]:
        """Return ``y``, and the function that adds up ``dW`` and ``db`` and returns ``dx``.

        Parameters
        ----------
        x : array
            Of at least two axes.
        ctx : Context
            Of the pass.
        mask : mask or array of bool, or dict of them, optional
            Used instead of one that is drawn; with ``drop_bias`` a dict for "weight" and "bias".
        """
        found = self.operands(x)
        if not ctx.training and self.inference == "gaussian" and self.activation != "linear":
            return self._matched(found, ctx)
        weight, bias, rows, shape = found
        used = ctx.mask_for(self, self._mask_shapes(found, ctx), mask)
        threads = ctx.num_threads
        z = functional.dropconnect(rows, weight.value, used["weight"], num_threads=threads)
        noise, shift = used.get("bias"), None if bias is None else bias.value
        if noise is not None and bias is not None:
            z += noise.apply(np.broadcast_to(bias.value, noise.shape), num_threads=threads)
            shift = None
        y, back = bias_activation_dropout(
            z.reshape(shape), shift, self.activation, None, ctx, owned=True
        )

        def backward(dy: Array) -> Array:
            dz, dbias = back(dy)
            dz = dz.reshape(-1, self.units)
            dx, dweight = functional.dropconnect_backward(
                dz,
                rows,
                weight.value,
                used["weight"],
                input_gradient=ctx.input_gradient,
                weight_gradient=weight.trainable,
                num_threads=threads,
            )
            if dweight is not None:
                weight.accumulate(dweight)
            if noise is not None and bias is not None and bias.trainable:
                each = dz if noise.shape == dz.shape else dz.sum(axis=0)
                dbias = np.atleast_2d(noise.backward(each, num_threads=threads)).sum(axis=0)
            if bias is not None and dbias is not None:
                bias.accumulate(dbias)
            return NO_GRADIENT if dx is None else dx.reshape(*shape[:-1], rows.shape[1])

        return y, backward

    def _mask_shapes(self, found: Operands, ctx: Context) -> dict[str, Shape]:
        lead = found.rows.shape[:1] if self.per == "sample" and ctx.training else ()
        shapes = {"weight": (*lead, *found.weight.value.shape)}
        if self.drop_bias and found.bias is not None:
            shapes["bias"] = (*lead, self.units)
        return shapes

    def _matched(self, found: Operands, ctx: Context) -> tuple[Array, Backward]:
        kept = float(threshold(self.rate)) / ONE
        ratio = (1.0 - kept) / kept if kept else 0.0
        return matched(found, self.activation, ratio, self._nodes(), self.drop_bias, ctx)

    def _nodes(self) -> Nodes | None:
        if self.samples is not None:
            return sampled(self.rng, self.samples, self.units)
        return None if self.activation == "relu" else quadrature()
