"""VariationalGaussianDropout: Gaussian dropout that learns its variance."""

from __future__ import annotations

from typing import Any

import numpy as np

from cydropout.layers._layer import Array, Context, Shape
from cydropout.layers._settings import Number, OneOf
from cydropout.layers.dropout._learned import LearnedNoise, LearnedRate
from cydropout.masks import GaussianMask


def _molchanov(log_alpha: Array) -> tuple[Array, Array]:
    """Return the divergence and its derivative in log alpha."""
    k1, k2, k3 = 0.63576, 1.87320, 1.48695
    s = np.exp(-np.logaddexp(0, -(k2 + k3 * log_alpha)))
    value = k1 - k1 * s + np.logaddexp(0, -log_alpha) / 2
    derivative = -k1 * k3 * s * (1 - s) - np.exp(-np.logaddexp(0, log_alpha)) / 2
    return np.asarray(value), np.asarray(derivative)


def _kingma(log_alpha: Array) -> tuple[Array, Array]:
    c1, c2, c3 = 1.16145124, -1.50204118, 0.58629921
    below = np.minimum(log_alpha, 0)
    a = np.exp(below)
    value = -below / 2 - a * (c1 + a * (c2 + a * c3))
    derivative = np.where(log_alpha <= 0, -0.5 - a * (c1 + a * (2 * c2 + a * 3 * c3)), 0.0)
    return np.asarray(value), np.asarray(derivative)


DIVERGENCES = {"molchanov": _molchanov, "kingma": _kingma}


class VariationalGaussianDropout(LearnedNoise):
    """y = x (1 + sqrt(alpha) n) with n standard normal, and alpha learned.

    ``log_alpha`` is the parameter. The penalty is ``kl_weight`` times the sum over the units, the
    places of the last axis, of the divergence from the log-uniform prior, up to a constant:

    - "molchanov": ``k1 - k1 sigmoid(k2 + k3 log alpha) + log(1 + 1 / alpha) / 2`` with k =
      0.63576, 1.87320, 1.48695; for any alpha.
    - "kingma": ``-log(alpha) / 2 - c1 alpha - c2 alpha**2 - c3 alpha**3`` with c = 1.16145124,
      -1.50204118, 0.58629921; from alpha = 1 on, its value there.

    Units of a large alpha are noise alone, and can be left out. At inference nothing is drawn, and
    the input itself is returned: the mean is 1.

    Parameters
    ----------
    rate : float
        Stands for ``alpha = rate / (1 - rate)`` to begin with; between 0 and 1, neither of them
        included.
    per_unit : bool
        One alpha for each unit, instead of one for all.
    kl : {"molchanov", "kingma"}
        Which approximation.
    kl_weight : float
        ``1 / N`` for a loss that is a mean over N samples, times the number of weights that a unit
        goes to where these are meant to be noisy.
    storage : {"values", "seed"}
        Hold what was drawn for the backward pass, 4 bytes an element, or draw it again.
    name : str, optional
        Name within a `Sequential`.

    References
    ----------
    Kingma, Salimans, Welling, "Variational dropout and the local reparameterization trick", NIPS
    2015. Molchanov, Ashukha, Vetrov, "Variational dropout sparsifies deep neural networks", ICML
    2017.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> layer = layers.VariationalGaussianDropout(0.2)
    >>> layer.build((4,), 0)
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layer.forward(np.ones((2, 4), "f4"), ctx)
    >>> y.round(2)
    array([[0.42, 1.08, 1.05, 1.55],
           [1.7 , 1.15, 0.78, 1.22]], dtype=float32)
    >>> round(float(layer.rate), 2)
    0.2
    """

    parameter_name = "log_alpha"
    noise = GaussianMask

    rate = LearnedRate(0.5)
    kl = OneOf(DIVERGENCES, "molchanov")
    kl_weight = Number(1e-4, "[0, inf)")

    @property
    def alpha(self) -> Any:
        """The variance of the factors learned so far: a float or, per unit, an array."""
        if not self._parameters:
            return self.initial_rate / (1 - self.initial_rate)
        alpha = np.exp(self._log_alpha)
        return float(alpha) if alpha.ndim == 0 else alpha

    def mask(self, shape: Shape, ctx: Context) -> Any:
        """Draw the noise of one pass."""
        sigma = np.exp(self._log_alpha / 2)
        return ctx.draw_as(GaussianMask, shape, sigma=sigma, storage=self.storage)

    def to_parameter(self, used: GaussianMask, gradient: Array) -> Array:
        """Return the gradient of log alpha: ``sqrt(alpha) / 2`` times that of sqrt(alpha)."""
        return np.asarray(gradient * np.asarray(used.sigma) / 2)

    def own_penalty(self) -> float:
        """Return the divergence, if alpha is learned; add its gradient to that of log alpha."""
        if not self.parameter.trainable:
            return 0.0
        value, derivative = DIVERGENCES[self.kl](self._log_alpha)
        weight = self.kl_weight * (1 if self.per_unit else self.units)
        gradient = np.asarray(weight * derivative)
        self.parameter.accumulate(gradient.astype(self.parameter.value.dtype))
        return float(weight * np.sum(value))

    @property
    def _log_alpha(self) -> Array:
        return self.parameter.value.astype(np.float64)
