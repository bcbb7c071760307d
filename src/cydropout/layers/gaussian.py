"""GaussianDropout: multiply by Gaussian noise of the variance that dropout has."""

from __future__ import annotations

from functools import partial
from typing import Any

from .._rates import check_rate
from .base import Array, Backward, Context, Layer, as_float


class GaussianDropout(Layer):
    """y = (1 + sigma n) x with ``sigma = sqrt(rate / (1 - rate))`` and n standard normal.

    At inference nothing is drawn, and the input itself is returned: the mean is 1.

    Parameters
    ----------
    rate : float or array
        The dropout rate whose variance the noise has; an array gives one rate per element of the
        trailing axes. At rate 1, whose variance is infinite, all is 0.
    name : str, optional
        Name within a `Sequential`.

    References
    ----------
    Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting",
    section 10.
    """

    def __init__(self, rate: Any, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.rate = check_rate(rate)

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return ``noise(x)`` and the noise, which is its own adjoint."""
        x = as_float(x, self.path)
        apply = partial(ctx.draw_gaussian(x.shape, self.rate).apply, num_threads=ctx.num_threads)
        return apply(x), apply

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"rate": self.rate if isinstance(self.rate, float) else self.rate.tolist()}
