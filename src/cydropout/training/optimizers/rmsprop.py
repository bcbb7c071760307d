"""RMSprop: the gradient, over the root of the mean of its squares."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from cydropout._validate import check_number
from cydropout.training._settings import setting
from cydropout.training.optimizers.base import Optimizer


@dataclass(eq=False, repr=False)
class RMSprop(Optimizer):
    """``v = rho v + (1 - rho) g^2``; ``w -= lr g / (sqrt(v) + epsilon)``.

    Parameters
    ----------
    learning_rate, epsilon : float
        Step size, and what keeps the quotient finite.
    rho : float
        Decay of the mean, in [0, 1).

    References
    ----------
    Tieleman & Hinton 2012, lecture 6.5 of "Neural networks for machine learning".

    Examples
    --------
    >>> RMSprop(0.01)
    RMSprop(learning_rate=0.01, rho=0.9, epsilon=1e-08)
    """

    kind = "rmsprop"
    slots = ("v",)

    learning_rate: float = setting(check_number, "[0, inf)", default=0.001)
    _: KW_ONLY
    rho: float = setting(check_number, "[0, 1)", default=0.9)
    epsilon: float = setting(check_number, "(0, inf)", default=1e-8)

    def rule(self, step: int) -> dict[str, Any]:
        """Return the settings of the kernels' step."""
        return {"learning_rate": self.learning_rate, "beta2": self.rho, "epsilon": self.epsilon}
