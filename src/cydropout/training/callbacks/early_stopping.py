"""EarlyStopping: end a run that no longer improves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cydropout._validate import check_flag
from cydropout.training.callbacks.base import Trainer
from cydropout.training.callbacks.monitor import Monitor


class EarlyStopping(Monitor):
    """Stop when ``monitor`` has not improved for ``patience`` epochs.

    An epoch improves when it is better than the best so far by more than ``min_delta``: higher
    for an accuracy, lower for a loss. NaN is never an improvement.

    Parameters
    ----------
    monitor : str
        Metric to watch: ``"val_loss"``, ``"val_accuracy"``, ``"loss"`` or ``"accuracy"``, or
        ``"val_"`` and the name of one of the trainer's ``metrics``.
    patience : int
        Epochs without improvement after which to stop, at least 1.
    min_delta : float
        Smallest change that counts, at least 0.
    restore_best : bool
        Put the parameters of the best epoch back when the run ends: early, in time, by Ctrl-C or
        by an error.
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
    >>> from cydropout.training.callbacks import EarlyStopping
    >>> stop = EarlyStopping("val_loss", patience=3)  # for Trainer.fit(callbacks=[stop])
    >>> stop.patience
    3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        restore_best: bool = True,
        higher: bool | None = None,
    ) -> None:
        self.restore_best = check_flag("restore_best", restore_best)
        super().__init__(monitor, patience, min_delta, higher)
        self._like: dict[str, str] = {}

    def _reset(self) -> None:
        super()._reset()
        self._best_state: dict[str, Any] = {}

    def on_train_begin(self, trainer: Trainer, metrics: tuple[str, ...]) -> None:
        """Forget an earlier run; note what the parameters are like."""
        super().on_train_begin(trainer, metrics)
        self._like = _like({k: p.value for k, p in trainer.model.named_parameters()})

    def improved(self, trainer: Trainer) -> None:
        """Keep the parameters."""
        if self.restore_best:
            self._best_state = trainer.model.state_dict()

    def waited_in_vain(self, trainer: Trainer) -> None:
        """End the run."""
        trainer.stop_training = True

    def on_train_end(self, trainer: Trainer) -> None:
        """Put the best parameters back."""
        if self.restore_best and self._best_state:
            trainer.model.load_state_dict(self._best_state)

    def on_error(self, trainer: Trainer, error: BaseException) -> None:
        """Put the best parameters back."""
        self.on_train_end(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, its epoch, the epochs waited and the best parameters."""
        return {**super().state_dict(), "best_state": self._best_state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        best = dict(state["best_state"])
        if best and self._like and _like(best) != self._like:
            raise ValueError(f"best_state holds {_like(best)}, the model {self._like}")
        super().load_state_dict(state)
        self._best_state = best


def _like(state: Mapping[str, Any]) -> dict[str, str]:
    """Return the dtype and the shape of arrays, and the type of what is none."""
    return {name: f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray)
            else type(value).__name__ for name, value in state.items()}
