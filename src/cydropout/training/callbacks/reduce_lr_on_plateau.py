"""ReduceLROnPlateau: a learning rate that falls when a metric no longer improves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cydropout._validate import check_integer, check_number
from cydropout.training.callbacks.base import Trainer
from cydropout.training.callbacks.monitor import Monitor


class ReduceLROnPlateau(Monitor):
    """``rate = max(factor rate, min_learning_rate)`` after ``patience`` epochs in vain.

    An epoch improves as for `EarlyStopping`. After a fall the count begins anew, and the next
    ``cooldown`` epochs do not count.

    Parameters
    ----------
    monitor : str
        Metric to watch, as for `EarlyStopping`.
    factor : float
        What the optimizer's learning rate is multiplied by, above 0 and below 1.
    patience : int
        Epochs without improvement after which it falls, at least 1, as in Keras; PyTorch's is 1
        less.
    min_delta : float
        Smallest change that counts, at least 0.
    cooldown : int
        Epochs after a fall in which nothing is counted.
    min_learning_rate : float
        The rate falls no further.
    higher : bool, optional
        Whether higher is better; has to be said of what is neither a loss nor an accuracy.

    Attributes
    ----------
    best : float
        Best value so far.
    best_epoch : int
        Epoch (from 1) that reached it; 0 before the first.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import Trainer
    >>> from cydropout.layers import Dense
    >>> from cydropout.training.callbacks import ReduceLROnPlateau
    >>> from cydropout.training.optimizers import SGD
    >>> trainer = Trainer(Dense(1), "mean_squared_error", SGD(0.5), rng=0)
    >>> x = np.zeros((8, 2), "float32")
    >>> history = trainer.fit(x, x[:, :1], epochs=3, progress=False,
    ...                       callbacks=ReduceLROnPlateau("loss", factor=0.1, patience=2))
    >>> trainer.optimizer.learning_rate
    0.05
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_learning_rate: float = 0.0,
        higher: bool | None = None,
    ) -> None:
        self.factor = check_number("factor", factor, "(0, 1)")
        self.cooldown = check_integer("cooldown", cooldown, "[0, inf)")
        self.min_learning_rate = check_number("min_learning_rate", min_learning_rate, "[0, inf)")
        super().__init__(monitor, patience, min_delta, higher)

    def _reset(self) -> None:
        super()._reset()
        self._cooling = 0

    def on_epoch_end(self, trainer: Trainer, epoch: int, record: Mapping[str, float]) -> None:
        """Compare the metric with the best so far."""
        if self._cooling:
            self._cooling, self._waited = self._cooling - 1, -1
        super().on_epoch_end(trainer, epoch, record)

    def waited_in_vain(self, trainer: Trainer) -> None:
        """Lower the rate."""
        optimizer = trainer.optimizer
        lower = max(self.factor * optimizer.learning_rate, self.min_learning_rate)
        optimizer.learning_rate = min(lower, optimizer.learning_rate)
        self._waited, self._cooling = 0, self.cooldown

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, its epoch, the epochs waited, and what is left of a cooldown."""
        return {**super().state_dict(), "cooling": self._cooling}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        super().load_state_dict(state)
        self._cooling = int(state["cooling"])
