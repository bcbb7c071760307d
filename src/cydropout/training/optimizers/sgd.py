"""SGD: a step along the gradient, or along its velocity."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from cydropout._validate import check_flag, check_number
from cydropout.training._settings import setting
from cydropout.training.optimizers.base import Optimizer


@dataclass(eq=False, repr=False)
class SGD(Optimizer):
    """``g += weight_decay w``; ``v = momentum v + g``; ``w -= lr v``.

    With ``nesterov`` the last is ``w -= lr (g + momentum v)``; without momentum ``w -= lr g``.

    Parameters
    ----------
    learning_rate, momentum, weight_decay : float
        ``momentum`` lies in [0, 1). The decay is coupled: it adds to the gradient, as an ``l2`` of
        half the size would, and so to the momentum; `AdamW` has the decoupled one.
    nesterov : bool
        Needs a momentum.

    References
    ----------
    Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.layers import Parameter
    >>> w = Parameter(np.ones(2), "w")
    >>> w.accumulate(np.array([1.0, -1.0]))
    >>> SGD(0.5).step([w])
    >>> w.value
    array([0.5, 1.5])
    """

    kind = "sgd"

    learning_rate: float = setting(check_number, "[0, inf)", default=0.01)
    _: KW_ONLY
    momentum: float = setting(check_number, "[0, 1)", default=0.0)
    nesterov: bool = setting(check_flag, default=False)
    weight_decay: float = setting(check_number, "[0, inf)", default=0.0)

    def check_settings(self) -> None:
        """Refuse Nesterov's step without a momentum."""
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=True needs momentum > 0, got momentum=0")

    @property
    def slots(self) -> tuple[str, ...]:
        """The velocity, if there is a momentum."""
        return ("velocity",) if self.momentum else ()

    @property
    def rests(self) -> bool:
        """Whether nothing moves without a gradient."""
        return not self.slots and self.weight_decay == 0

    def rule(self, step: int) -> dict[str, Any]:
        """Return the settings of the kernels' step."""
        return {"learning_rate": self.learning_rate, "beta1": self.momentum,
                "nesterov": self.nesterov, "decay": self.weight_decay}
