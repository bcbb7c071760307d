"""LearningRateSchedule: a learning rate that changes while a model is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .base import Callback

if TYPE_CHECKING:
    from ..training import Trainer


class LearningRateSchedule(Callback):
    """Set the optimizer's learning rate before every epoch.

    The rate depends on the epoch alone, so a resumed run needs nothing but the same schedule.

    Parameters
    ----------
    schedule : callable
        Takes the epoch (from 1) and returns the learning rate, as in
        ``lambda epoch: 0.001 * 0.5 ** (epoch - 1)``.
    """

    def __init__(self, schedule: Callable[[int], float]) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule must be a function of the epoch, got {schedule!r}")
        self.schedule = schedule

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        """Set the rate of epoch ``epoch``."""
        trainer.optimizer.learning_rate = self.schedule(epoch)
