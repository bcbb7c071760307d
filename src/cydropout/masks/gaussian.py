"""Multiplicative Gaussian noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cydropout._rates import periodic
from cydropout._validate import check_numbers, check_rate
from cydropout.masks.noise import NoiseMask, Storage


class GaussianMask(NoiseMask):
    """y = (1 + sigma n) x with n standard normal: the same map forward and backward.

    How n is drawn is said at `NoiseMask`. `gradients` gives that of sigma.

    Parameters
    ----------
    key, draw : int
        Which random numbers the noise is made of.
    shape : int or tuple of ints
        The shape of the arrays that the noise is for.
    rate : float or array, optional
        Stands for ``sigma = sqrt(rate / (1 - rate))``, which has the variance of inverted dropout
        at that rate. An array broadcasts against the trailing axes. Where it is 1, all is 0.
    sigma : float or array, optional
        The standard deviation itself, instead of ``rate``.
    storage : {"values", "seed"}
        Hold what was drawn from the first use on, or draw again at each use. The numbers are the
        same.
    offset : int
        The noise starts at this element of the draw.

    References
    ----------
    Srivastava et al. 2014, section 10; Kingma, Salimans, Welling, "Variational dropout and the
    local reparameterization trick", NIPS 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.masks import GaussianMask
    >>> mask = GaussianMask(key=0, draw=0, shape=3, sigma=0.1)
    >>> mask.apply(np.ones(3)).round(3)
    array([0.974, 1.118, 1.063])
    """

    _shown = ("sigma", "key", "draw", "offset")

    def __init__(
        self,
        key: int,
        draw: int,
        shape: int | tuple[int, ...],
        rate: ArrayLike | None = None,
        *,
        sigma: ArrayLike | None = None,
        storage: Storage = "values",
        offset: int = 0,
    ) -> None:
        super().__init__(key, draw, shape, offset, storage)
        if (rate is None) == (sigma is None):
            raise ValueError(f"give either a rate or a sigma, not {rate=} and {sigma=}")
        self._dropped: np.ndarray | bool = False
        if sigma is None:
            assert rate is not None
            p = check_rate(rate)
            self._dropped = p == 1.0 if isinstance(p, float) else (p == 1).any() and p == 1
            q = np.where(np.asarray(p) == 1, 1.0, 1.0 - np.asarray(p))
            sigma = np.sqrt(np.where(np.asarray(p) == 1, 0.0, p) / q)
        self.sigma = check_numbers("sigma", sigma, "[0, inf)")
        self._build()

    def _theta(self) -> np.ndarray:
        return np.atleast_2d(periodic(self.sigma, self.shape))

    @property
    def _parameter(self) -> float | np.ndarray:
        return self.sigma

    def _drop(self, y: np.ndarray) -> np.ndarray:
        if self._dropped is not False:
            np.copyto(y, np.zeros((), y.dtype), where=self._dropped)
        return y

    def _run(self, x: np.ndarray, y: np.ndarray, code: int, threads: int) -> None:
        super()._run(x, y, code, threads)
        self._drop(y)

    def gradients(
        self, x: ArrayLike, dy: ArrayLike, num_threads: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """dx = (1 + sigma n) dy, and dsigma: the sums of dy x n; see `NoiseMask.gradients`."""
        dx, dsigma = super().gradients(x, dy, num_threads)
        return self._drop(dx), self._drop(dsigma)
