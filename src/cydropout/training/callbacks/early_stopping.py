"""EarlyStopping: end a run that no longer improves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from cydropout._validate import check_count, check_flag, check_number, optional
from cydropout._words import did_you_mean
from cydropout.training.callbacks.base import Callback, Trainer


class EarlyStopping(Callback):
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
        Put the parameters of the best epoch back when the run ends, whether early or not.
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
        if not isinstance(monitor, str):
            raise TypeError(f"monitor must be the name of a metric, not {monitor!r}")
        self.monitor = monitor
        self.patience = check_count("patience", patience)
        self.min_delta = check_number("min_delta", min_delta, "[0, inf)")
        self.restore_best = check_flag("restore_best", restore_best)
        self.higher = optional(check_flag, "higher", higher)
        self._known = higher is not None or monitor.endswith(("accuracy", "loss"))
        self._sign = -1.0 if higher or (higher is None and monitor.endswith("accuracy")) else 1.0
        self._reset()

    def _reset(self) -> None:
        self.best = self._sign * math.inf
        self.best_epoch = 0
        self._waited = 0
        self._best_state: dict[str, Any] = {}

    def on_train_begin(self, trainer: Trainer, metrics: tuple[str, ...]) -> None:
        """Forget an earlier run; refuse a metric that this one does not measure."""
        self._require(metrics)
        if not self._known:
            raise ValueError(
                f"EarlyStopping cannot know which {self.monitor!r} is better: say higher=True or "
                "higher=False"
            )
        self._reset()

    def on_epoch_end(self, trainer: Trainer, epoch: int, record: Mapping[str, float]) -> None:
        """Compare the metric with the best so far."""
        self._require(record)
        value = record[self.monitor]
        if self._sign * value < self._sign * self.best - self.min_delta:
            self.best, self.best_epoch, self._waited = value, epoch, 0
            if self.restore_best:
                self._best_state = {k: np.array(v) for k, v in trainer.model.state_dict().items()}
            return
        self._waited += 1
        if self._waited >= self.patience:
            trainer.stop_training = True

    def on_train_end(self, trainer: Trainer) -> None:
        """Put the best parameters back."""
        if self.restore_best and self._best_state:
            trainer.model.load_state_dict(self._best_state)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "monitor": self.monitor,
            "patience": self.patience,
            "min_delta": self.min_delta,
            "restore_best": self.restore_best,
            "higher": self.higher,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, its epoch, the epochs waited and the best parameters."""
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "waited": self._waited,
            "best_state": self._best_state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self.best = float(state["best"])
        self.best_epoch = int(state["best_epoch"])
        self._waited = int(state["waited"])
        self._best_state = dict(state["best_state"])

    def _require(self, names: Any) -> None:
        if self.monitor not in names:
            hint = did_you_mean(self.monitor, names)
            if self.monitor.startswith("val_") and "val_loss" not in names:
                hint = "; pass validation_data to fit"
            raise ValueError(
                f"EarlyStopping watches {self.monitor!r}, but this run measures "
                f"{[n for n in names if n not in ('epoch', 'seconds')]}{hint}"
            )

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"EarlyStopping({settings})"
