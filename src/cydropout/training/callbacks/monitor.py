"""Monitor: what callbacks share that watch a metric."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

from cydropout._validate import check_count, check_flag, check_number, optional
from cydropout._words import did_you_mean
from cydropout.training.callbacks.base import Callback, Trainer


class Monitor(Callback):
    """Base of the callbacks that wait for ``monitor`` to improve, for ``patience`` epochs.

    A subclass defines what happens in `improved` and in `waited_in_vain`.
    """

    def __init__(
        self, monitor: str, patience: int, min_delta: float, higher: bool | None
    ) -> None:
        if not isinstance(monitor, str):
            raise TypeError(f"monitor must be the name of a metric, not {monitor!r}")
        self.monitor = monitor
        self.patience = check_count("patience", patience)
        self.min_delta = check_number("min_delta", min_delta, "[0, inf)")
        self.higher = optional(check_flag, "higher", higher)
        self._known = higher is not None or monitor.endswith(("accuracy", "loss"))
        self._sign = -1.0 if higher or (higher is None and monitor.endswith("accuracy")) else 1.0
        self._reset()

    def _reset(self) -> None:
        self.best = self._sign * math.inf
        self.best_epoch = 0
        self._waited = 0

    def improved(self, trainer: Trainer) -> None:
        """Run after an epoch that is better than all before it."""

    def waited_in_vain(self, trainer: Trainer) -> None:
        """Run after each epoch from the one on with which the patience ends."""

    def on_train_begin(self, trainer: Trainer, metrics: tuple[str, ...]) -> None:
        """Forget an earlier run; refuse a metric that this one does not measure."""
        self._require(metrics)
        if not self._known:
            raise ValueError(
                f"{type(self).__name__} cannot know which {self.monitor!r} is better: say "
                "higher=True or higher=False"
            )
        self._reset()

    def on_epoch_end(self, trainer: Trainer, epoch: int, record: Mapping[str, float]) -> None:
        """Compare the metric with the best so far."""
        self._require(record)
        value = record[self.monitor]
        if self._sign * value < self._sign * self.best - self.min_delta:
            self.best, self.best_epoch, self._waited = value, epoch, 0
            self.improved(trainer)
            return
        self._waited += 1
        if self._waited >= self.patience:
            self.waited_in_vain(trainer)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, its epoch, and the epochs waited."""
        return {"best": self.best, "best_epoch": self.best_epoch, "waited": self._waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self.best = float(state["best"])
        self.best_epoch = int(state["best_epoch"])
        self._waited = int(state["waited"])

    def _require(self, names: Any) -> None:
        if self.monitor not in names:
            hint = did_you_mean(self.monitor, names)
            if self.monitor.startswith("val_") and "val_loss" not in names:
                hint = "; pass validation_data to fit"
            raise ValueError(
                f"{type(self).__name__} watches {self.monitor!r}, but this run measures "
                f"{[n for n in names if n not in ('epoch', 'seconds')]}{hint}"
            )

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({settings})"
