"""Residual: layers around which a shortcut leads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cydropout.layers._layer import (
    NO_GRADIENT,
    Array,
    Backward,
    Context,
    Layer,
    Shape,
    as_gradient,
    restoring_draws,
)
from cydropout.layers._settings import Noise, OneOf, from_config, one_config
from cydropout.layers._wrapper import Wrapper
from cydropout.layers.dropout.stochastic_depth import StochasticDepth
from cydropout.layers.sequential import Sequential

if TYPE_CHECKING:
    from typing_extensions import Self


class Residual(Wrapper):
    """``y = x + drop(f_k(...f_1(x)))``, with the `StochasticDepth` of the branch.

    The branch keeps the shape of ``x``; input and output have the dtype of its parameters. A block
    of a transformer is one around `LayerNorm`, `MultiHeadAttention` and `Dropout`, and one around
    `LayerNorm`, two `Dense` and `Dropout`.

    Parameters
    ----------
    *layers : Layer
        Those of the branch, in order, or a list of them; `layer` holds them as a `Sequential`.
    rate : float
        Of the `StochasticDepth`; 0 draws nothing. Its mask stands in `Context.masks` under the
        attribute ``dropout``.
    per : {"sample", "batch"}
        For what one decision holds.
    name : str, optional
        Name within a `Sequential`.

    Raises
    ------
    ValueError
        If the branch changes the shape.

    References
    ----------
    He, Zhang, Ren, Sun, "Identity mappings in deep residual networks", ECCV 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> layer = layers.Residual(layers.Dense(4), layers.ReLU(), rate=0.1)
    >>> layer.build((4,), 0)
    >>> y, backward = layer.forward(np.ones((2, 4), "f4"), layers.Context())
    >>> y.shape
    (2, 4)
    """

    layer: Sequential
    per = OneOf(("sample", "batch"), "sample", fixed=True)
    dropout = Noise(lambda rate, layer: StochasticDepth(rate, per=layer.per), key="rate")

    def __init__(self, *layers: Layer, name: str | None = None, **settings: Any) -> None:
        if len(layers) == 1 and isinstance(layers[0], (list, tuple)):
            layers = tuple(layers[0])
        super().__init__(Sequential(layers), name=name, **settings)
        if not layers:
            raise ValueError("Residual needs the layers of its branch, got none")

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Create the parameters of the branch."""
        self.output_shape(input_shape)
        super().build(input_shape, rng, dtype)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return ``input_shape``, which the branch must give too."""
        shape = super().output_shape(input_shape)
        if shape != tuple(input_shape):
            raise ValueError(
                f"{self.path} cannot add {shape}, which its branch gives, to an input of shape "
                f"{tuple(input_shape)}"
            )
        return shape

    @property
    def branch(self) -> Any:
        """The branch, unless a subclass has a forward of its own."""
        own = type(self).forward is not Residual.forward or "forward" in vars(self)
        return None if own else self.layer.branch

    @restoring_draws
    def forward(self, x: Array, ctx: Context, mask: Any = None) -> tuple[Array, Backward]:
        """Return the sum, and the backward along both its terms.

        Parameters
        ----------
        x : array
            Of floats, as the branch wants it.
        ctx : Context
            Of the pass.
        mask : mask or array of bool, optional
            Used instead of the one of the branch that is drawn.
        """
        x = self.layer.convert(x)
        self.output_shape(x.shape[1:])
        branch, back = self.layer.forward(x, ctx)
        drop_back: Backward | None = None
        if mask is not None or (ctx.training and not ctx.is_idle(self.dropout)):
            branch, drop_back = self.dropout.forward(branch, ctx, mask)
        y = np.add(x, branch)

        def backward(dy: Array) -> Array:
            dy = as_gradient(dy, y.shape, y.dtype)
            dx = back(drop_back(dy) if drop_back else dy)
            return np.add(dx, dy) if ctx.input_gradient else NO_GRADIENT

        return y, backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; each layer by its kind and settings."""
        config = super().get_config()
        return {"layers": config.pop("layer")["layers"], **config}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the block that `get_config` described."""
        settings = dict(config)
        with one_config():
            return cls(*map(from_config, settings.pop("layers")), **settings)
