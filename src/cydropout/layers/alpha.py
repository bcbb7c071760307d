"""AlphaDropout and FeatureAlphaDropout: dropout that keeps mean and variance after a SELU."""

from __future__ import annotations

from functools import partial
from typing import Any

from .._rates import check_one_rate
from .base import Array, Backward, Context, Layer, as_float


class AlphaDropout(Layer):
    """y = a x + b where kept, else ``a LOWER + b`` with LOWER = -1.7581, a SELU's lower end.

    ``a`` and ``b`` are such that an input of mean 0 and variance 1 keeps both; see
    `cydropout.masks.AlphaMask`. At inference nothing is drawn, and the input itself is returned.

    Parameters
    ----------
    rate : float
        Probability of dropping.
    name : str, optional
        Name within a `Sequential`.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", NIPS 2017.
    """

    def __init__(self, rate: float, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.rate = check_one_rate(rate, type(self).__name__)

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return ``mask(x)`` and the gradient of the mask."""
        x = as_float(x, self.path)
        mask = ctx.draw_alpha(x.shape, self.rate, shared_axes=self._shared_axes(x.ndim))
        y = mask.apply(x, num_threads=ctx.num_threads)
        return y, partial(mask.backward, num_threads=ctx.num_threads)

    def _shared_axes(self, ndim: int) -> tuple[int, ...]:
        return ()

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"rate": self.rate}


class FeatureAlphaDropout(AlphaDropout):
    """`AlphaDropout` of whole features: one decision for each ``x[sample, channel]``.

    The input has shape (batch, channels, ...).
    """

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return ``mask(x)`` and the gradient of the mask."""
        x = as_float(x, self.path)
        if x.ndim < 2:
            raise ValueError(f"{self.path} needs an input (batch, channels, ...), not {x.shape}")
        return super().forward(x, ctx)

    def _shared_axes(self, ndim: int) -> tuple[int, ...]:
        return tuple(range(2, ndim))
