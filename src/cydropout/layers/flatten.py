"""Flatten: every sample as one vector."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cydropout._validate import check_integer
from cydropout.layers._layer import Array, Backward, Context, Layer, Shape, as_float, as_gradient
from cydropout.layers._settings import Checked

if TYPE_CHECKING:
    from typing_extensions import Self


def check_shape(shape: Any) -> tuple[int, ...]:
    """Return the shape of one sample."""
    return tuple(check_integer("expected_shape", size, "[0, inf)") for size in shape)


class Flatten(Layer):
    """Reshape ``(n, a, b, ...)`` to ``(n, a * b * ...)``.

    Parameters
    ----------
    *expected_shape : int
        The shape of one sample, as in ``Flatten(28, 28)``; other inputs are then refused.
    name : str, optional
        Name within a `Sequential`.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> y, backward = layers.Flatten().forward(np.ones((2, 3, 4)), layers.Context())
    >>> y.shape
    (2, 12)
    """

    expected_shape = Checked(check_shape)

    def __init__(self, *expected_shape: int, name: str | None = None) -> None:
        super().__init__(name=name, expected_shape=expected_shape)

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return the reshaped input, and the function that shapes gradients back."""
        x = as_float(x, self.path)
        if x.ndim < 1:
            raise ValueError(f"{self.path} needs a batch axis, got a 0-d array")
        shape = x.shape
        y = x.reshape(shape[0], *self.output_shape(shape[1:]))
        return y, lambda dy: as_gradient(dy, y.shape).reshape(shape)

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

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the layer that `get_config` described."""
        settings = dict(config)
        return cls(*settings.pop("expected_shape"), **settings)

    def __repr__(self) -> str:
        return f"Flatten({', '.join(map(str, self.expected_shape))})"
