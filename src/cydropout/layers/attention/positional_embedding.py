"""PositionalEmbedding: where in its sequence a position stands."""

from __future__ import annotations

from typing import Any

import numpy as np

from cydropout.layers._layer import (
    Array,
    Backward,
    Context,
    Shape,
    as_float,
    as_gradient,
    native_dtype,
)
from cydropout.layers._penalties import Weighted
from cydropout.layers._settings import Count, OneOf

ENCODINGS = ("learned", "sinusoidal")


class PositionalEmbedding(Weighted):
    """``y[n, t] = x[n, t] + P[t]``, with a vector for each position.

    ``x`` is (n, time, units) with at most ``length`` positions; the output has the dtype of the
    parameters. Learned vectors begin normal, with standard deviation 0.02. Sinusoidal ones are no
    parameters: ``P[t, 2i] = sin(t / 10000^(2i / units))``, and ``P[t, 2i + 1]`` is the cosine.

    Parameters
    ----------
    length : int
        The most positions that a sequence has.
    encoding : {"learned", "sinusoidal"}
        Whether the vectors are the parameter "weight", (length, units), or are given.
    max_norm, l1, l2
        As for `Dense`, of learned vectors; ``max_norm`` bounds that of a position.
    name : str, optional
        Name within a `Sequential`.

    Raises
    ------
    TypeError
        For an input that is no float.
    ValueError
        For an input without three axes, of too many positions, or of another number of units.

    References
    ----------
    Vaswani et al. 2017, "Attention is all you need", section 3.5.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> layer = layers.PositionalEmbedding(16)
    >>> layer.build((5, 8), 0)
    >>> y, backward = layer.forward(np.ones((1, 5, 8), "f4"), layers.Context())
    >>> y.shape
    (1, 5, 8)
    """

    positional = "length"
    biases = ()
    bounds_rows = True
    with_lengths = "keep"
    length = Count(shapes=True)
    encoding = OneOf(ENCODINGS, "learned", shapes=True)
    _vectors: Array | None = None

    @property
    def is_built(self) -> bool:
        """Whether the vectors are made."""
        return bool(self._parameters) or self._vectors is not None

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Draw the vectors from the NumPy generator ``rng``, or compute them."""
        units = self.output_shape(input_shape)[-1]
        if self.is_built:
            return
        kind = native_dtype(dtype or "float32")
        if self.encoding == "sinusoidal":
            self._vectors = sinusoids(self.length, units).astype(kind)
        else:
            drawn = np.random.default_rng(rng).standard_normal((self.length, units))
            self._add("weight", (0.02 * drawn).astype(kind))

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return the sum, and the function that adds up ``dP`` and returns ``dy``."""
        weight = self._parameters.get("weight")
        vectors = self._vectors if weight is None else weight.value
        if vectors is None:
            raise RuntimeError(f"{self.path} has no vectors yet: call build(input_shape) first")
        x = as_float(x, self.path).astype(vectors.dtype, copy=False)
        time = self.output_shape(x.shape[1:])[0]
        y = np.add(x, vectors[:time])

        def backward(dy: Array) -> Array:
            dy = as_gradient(dy, y.shape, y.dtype)
            if weight is not None and weight.trainable:
                weight.grad[:time] += dy.sum(axis=0)
            return dy

        return y, backward

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return ``input_shape``, which is (time, units)."""
        if len(input_shape) != 2 or not input_shape[1] or input_shape[0] > self.length:
            raise ValueError(
                f"{self.path} needs sequences of shape (time, units) of at most {self.length} "
                f"positions, got {tuple(input_shape)}"
            )
        vectors = self._vectors
        if "weight" in self._parameters:
            vectors = self._parameters["weight"].value
        if vectors is not None and input_shape[1] != vectors.shape[1]:
            raise ValueError(f"{self.path} has {vectors.shape[1]} units, got {input_shape[1]}")
        return tuple(input_shape)

def sinusoids(length: int, units: int) -> Array:
    """Return sines and cosines of the positions, in turn, in float64."""
    even = np.arange(units) // 2 * 2
    angles = np.arange(length)[:, None] / 10000.0 ** (even / units)
    vectors: Array = np.where(np.arange(units) % 2, np.cos(angles), np.sin(angles))
    return vectors
