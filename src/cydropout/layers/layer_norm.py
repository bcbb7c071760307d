"""LayerNorm: each sample's features at mean 0 and variance 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from cydropout import functional
from cydropout.layers._layer import (
    Array,
    Backward,
    Context,
    Parameter,
    Shape,
    as_float,
    as_gradient,
    native_dtype,
)
from cydropout.layers._penalties import Penalised
from cydropout.layers._settings import Number


class LayerNorm(Penalised):
    """``y = (x - mean) / sqrt(variance + epsilon) * weight + bias`` along the last axis.

    ``x`` is (n, ..., features); each row has a mean and a variance of its own, in training and at
    inference alike. ``weight`` begins at 1 and ``bias`` at 0, both (features,). The output has the
    dtype of the parameters.

    Parameters
    ----------
    epsilon : float
        Added to the variance; above 0.
    l1, l2
        As for `Dense`.
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
    Ba, Kiros, Hinton 2016, "Layer normalization".

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> layer = layers.LayerNorm()
    >>> layer.build((4,), 0, "float64")
    >>> y, backward = layer.forward(np.arange(4.0)[None], layers.Context())
    >>> y.round(3)
    array([[-1.342, -0.447,  0.447,  1.342]])
    """

    positional = "epsilon"
    with_lengths = "keep"
    epsilon = Number(1e-5, "(0, inf)")

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Create ``weight`` and ``bias``."""
        self.output_shape(input_shape)
        if self._parameters:
            return
        kind, features = native_dtype(dtype or "float32"), input_shape[-1]
        self._parameters["weight"] = Parameter(np.ones(features, kind), "weight")
        self._parameters["bias"] = Parameter(np.zeros(features, kind), "bias")

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return ``y``, and the function that adds up the sums and returns ``dx``."""
        if not self._parameters:
            raise RuntimeError(f"{self.path} has no weights yet: call build(input_shape) first")
        weight, bias = self._parameters["weight"], self._parameters["bias"]
        x = as_float(x, self.path).astype(weight.value.dtype, copy=False)
        if x.ndim < 2:
            raise ValueError(f"{self.path} needs a batch axis and features, got shape {x.shape}")
        self.output_shape(x.shape[1:])
        y, statistics = functional.layer_norm(
            x, weight.value, bias.value, epsilon=self.epsilon, num_threads=ctx.num_threads
        )

        def backward(dy: Array) -> Array:
            dy = as_gradient(dy, x.shape, x.dtype)
            dx, dweight, dbias = functional.layer_norm_backward(
                dy, x, statistics, weight.value, num_threads=ctx.num_threads
            )
            weight.accumulate(dweight)
            bias.accumulate(dbias)
            return dx

        return y, backward

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return ``input_shape``."""
        if not input_shape or not input_shape[-1]:
            raise ValueError(f"{self.path} needs inputs with features, got shape {input_shape}")
        found = self._parameters["weight"].value.size if self._parameters else input_shape[-1]
        if input_shape[-1] != found:
            raise ValueError(f"{self.path} has {found} features, got {input_shape[-1]}")
        return tuple(input_shape)
