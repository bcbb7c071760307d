"""Concrete noise: dropout's decision made smooth, so that its rate has a gradient."""

import numpy as np
from numpy.typing import ArrayLike

from cydropout._rates import periodic
from cydropout._validate import check_number, check_numbers
from cydropout.masks.noise import NoiseMask, Storage
from cydropout.random import MaskStream


class ConcreteMask(NoiseMask):
    """y = x (1 - z) / (1 - p) with z = sigmoid((logit p + logit u) / temperature).

    ``u`` is uniform on (0, 1), and p the rate: as the temperature falls, z becomes a decision to
    drop with probability p. The variate is ``logit u``, drawn as said at `NoiseMask`. `gradients`
    gives that of ``logit p``. A NaN goes through, since nothing is dropped altogether.

    Parameters
    ----------
    stream : MaskStream
        Where the draw is taken from.
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

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range; no draw is taken then.

    References
    ----------
    Gal, Hron, Kendall, "Concrete dropout", NIPS 2017.
    """

    logistic = True

    def __init__(
        self,
        stream: MaskStream,
        shape: int | tuple[int, ...],
        logit: ArrayLike,
        *,
        temperature: float = 0.1,
        storage: Storage = "values",
        offset: int = 0,
    ) -> None:
        super().__init__(stream, shape, offset, storage)
        self.logit = check_numbers("logit", logit)
        self.temperature = check_temperature(temperature)
        self._sharpness = 1 / self.temperature
        self._take(stream)

    def _theta(self) -> np.ndarray:
        logit = np.atleast_1d(periodic(self.logit, self.shape))
        with np.errstate(over="ignore"):
            return np.stack([logit, 1 + np.exp(logit), 1 / (1 + np.exp(-logit))])

    @property
    def _parameter(self) -> float | np.ndarray:
        return self.logit

    def __repr__(self) -> str:
        return (f"ConcreteMask(shape={self.shape}, logit={self.logit}, "
                f"temperature={self.temperature}, key={self.key}, draw={self.draw}, "
                f"offset={self.offset})")


def check_temperature(temperature: float) -> float:
    """Return ``temperature`` as a float; raise if it is not positive and finite."""
    return check_number("temperature", temperature, "(0, inf)")
