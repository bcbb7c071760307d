"""Concrete noise: dropout's decision made smooth, so that its rate has a gradient."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cydropout._rates import periodic
from cydropout._validate import check_number, check_numbers
from cydropout.masks.noise import NoiseMask, Storage


class ConcreteMask(NoiseMask):
    """y = x (1 - z) / (1 - p) with z = sigmoid((logit p + logit u) / temperature).

    ``u`` is uniform on (0, 1), and p the rate: as the temperature falls, z becomes a decision to
    drop with probability p. The variate is ``logit u``, drawn as said at `NoiseMask`. `gradients`
    gives that of ``logit p``. A NaN goes through, since nothing is dropped altogether.

    Parameters
    ----------
    key, draw : int
        Which random numbers the noise is made of.
    shape : int or tuple of ints
        The shape of the arrays that the noise is for.
    logit : float or array
        ``log(p / (1 - p))``; an array broadcasts against the trailing axes.
    temperature : float
        Above 0.
    storage : {"values", "seed"}
        Hold what was drawn from the first use on, or draw again at each use. The numbers are the
        same.
    offset : int
        The noise starts at this element of the draw.

    References
    ----------
    Gal, Hron, Kendall, "Concrete dropout", NIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.masks import ConcreteMask
    >>> mask = ConcreteMask(key=0, draw=0, shape=3, logit=-1.0)
    >>> mask.apply(np.ones(3)).round(3)
    array([1.368, 0.   , 0.603])
    """

    logistic = True
    _shown = ("logit", "temperature", "key", "draw", "offset")

    def __init__(
        self,
        key: int,
        draw: int,
        shape: int | tuple[int, ...],
        logit: ArrayLike,
        *,
        temperature: float = 0.1,
        storage: Storage = "values",
        offset: int = 0,
    ) -> None:
        super().__init__(key, draw, shape, offset, storage)
        self.logit = check_numbers("logit", logit)
        self.temperature = check_temperature(temperature)
        self._sharpness = 1 / self.temperature
        self._build()

    def _theta(self) -> np.ndarray:
        logit = np.atleast_1d(periodic(self.logit, self.shape))
        with np.errstate(over="ignore"):
            return np.stack([logit, 1 + np.exp(logit), 1 / (1 + np.exp(-logit))])

    @property
    def _parameter(self) -> float | np.ndarray:
        return self.logit


def check_temperature(temperature: float) -> float:
    """Return ``temperature`` as a float; raise if it is not positive and finite."""
    return check_number("temperature", temperature, "(0, inf)")
