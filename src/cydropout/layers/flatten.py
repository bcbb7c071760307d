"""Flatten: every sample as one vector."""

from __future__ import annotations

import math
from typing import Any

from cydropout.layers._layer import Array, Backward, Context, Layer, Shape, as_float


class Flatten(Layer):
    """Reshape ``(n, a, b, ...)`` to ``(n, a * b * ...)``.

    Parameters
    ----------
    *expected_shape : int
        The shape of one sample, as in ``Flatten(28, 28)``; other inputs are then refused.
    name : str, optional
        Name within a `Sequential`.
    """

    def __init__(self, *expected_shape: int, name: str | None = None) -> None:
        super().__init__(name=name)
        if any(size < 0 for size in expected_shape):
            raise ValueError(f"expected shape must not be negative, got {expected_shape}")
        self.expected_shape = tuple(expected_shape)

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return the reshaped input, and the function that shapes gradients back."""
        x = as_float(x, self.path)
        if x.ndim < 1:
            raise ValueError(f"{self.path} needs a batch axis, got a 0-d array")
        shape = x.shape
        return x.reshape(shape[0], *self.output_shape(shape[1:])), lambda dy: dy.reshape(shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the number of elements of one sample."""
        if self.expected_shape and tuple(input_shape) != self.expected_shape:
            raise ValueError(
                f"{self.path} expects samples of shape {self.expected_shape}, "
                f"got {tuple(input_shape)}"
            )
        return (math.prod(input_shape),)

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Check ``input_shape``."""
        self.output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"expected_shape": self.expected_shape}

    def __repr__(self) -> str:
        return f"Flatten({', '.join(map(str, self.expected_shape))})"
