"""Adam and AdamW: steps of about one size for every element."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from cydropout._validate import check_number
from cydropout.functional.optimizer import corrected
from cydropout.training._settings import setting
from cydropout.training.optimizers.base import Optimizer


@dataclass(eq=False, repr=False)
class Adam(Optimizer):
    """``m = b1 m + (1 - b1) g``; ``v = b2 v + (1 - b2) g^2``; ``w -= lr M / (sqrt(V) + epsilon)``.

    ``M = m / (1 - b1^t)`` and ``V = v / (1 - b2^t)`` at step ``t``.

    Parameters
    ----------
    learning_rate, epsilon : float
        Step size, and what keeps the quotient finite.
    beta1, beta2 : float
        Decay of the two means, in [0, 1).

    References
    ----------
    Kingma & Ba 2015, "Adam: a method for stochastic optimization".

    Examples
    --------
    >>> Adam(beta2=0.99)
    Adam(learning_rate=0.001, beta1=0.9, beta2=0.99, epsilon=1e-08)
    >>> Adam(beta1=3)
    Traceback (most recent call last):
    ValueError: beta1 of Adam must be a number, at least 0 and below 1, not 3
    """

    kind = "adam"
    slots = ("m", "v")

    learning_rate: float = setting(check_number, "[0, inf)", default=0.001)
    _: KW_ONLY
    beta1: float = setting(check_number, "[0, 1)", default=0.9)
    beta2: float = setting(check_number, "[0, 1)", default=0.999)
    epsilon: float = setting(check_number, "(0, inf)", default=1e-8)

    def rule(self, step: int) -> dict[str, Any]:
        """Return the settings of the kernels' step."""
        return corrected(self.learning_rate, self.beta1, self.beta2, self.epsilon, step)


@dataclass(eq=False, repr=False)
class AdamW(Adam):
    """`Adam`, after ``w -= lr weight_decay w``.

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon : float
        As in `Adam`.
    weight_decay : float
        Decay that the gradient's size does not touch.

    References
    ----------
    Loshchilov & Hutter 2019, "Decoupled weight decay regularization".

    Examples
    --------
    >>> AdamW(0.01).weight_decay
    0.01
    """

    _: KW_ONLY
    weight_decay: float = setting(check_number, "[0, inf)", default=0.01)

    def rule(self, step: int) -> dict[str, Any]:
        """Return those of `Adam`, and the decay."""
        return super().rule(step) | {"decay": self.learning_rate * self.weight_decay}
