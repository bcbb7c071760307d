"""LearningRateSchedule: a learning rate that changes while a model is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from cydropout._validate import check_choice, check_function
from cydropout.training.callbacks.base import Callback, Trainer
from cydropout.training.schedules import Schedule


class LearningRateSchedule(Callback):
    """Set the optimizer's learning rate before every epoch, or before every batch.

    The rate depends on the epoch or the step alone, so a resumed run needs nothing but the same
    schedule.

    Parameters
    ----------
    schedule : callable
        Returns the learning rate. A function takes the epoch (from 1), as in
        ``lambda epoch: 0.001 * 0.5 ** (epoch - 1)``; one of `cydropout.training.schedules`
        counts the epochs from 0. With ``per="step"`` both take the step: the batches of all
        epochs, from 0.
    per : {"epoch", "step"}
        How often the rate is set.

    Raises
    ------
    TypeError, ValueError
        If ``schedule`` cannot be called, or ``per`` is neither of the two.

    Examples
    --------
    >>> from cydropout.training.callbacks import LearningRateSchedule
    >>> from cydropout.training.schedules import Cosine
    >>> LearningRateSchedule(Cosine(0.1, 0.0, 100), per="step").per
    'step'
    """

    def __init__(
        self, schedule: Callable[[int], float], per: Literal["epoch", "step"] = "epoch"
    ) -> None:
        self.schedule = check_function("schedule", schedule, "the epoch")
        self.per = check_choice("per", per, ("epoch", "step"))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"schedule": self.schedule, "per": self.per}

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        """Set the rate of epoch ``epoch``."""
        if self.per == "epoch":
            counted = epoch - 1 if isinstance(self.schedule, Schedule) else epoch
            trainer.optimizer.learning_rate = self.schedule(counted)

    def on_batch_begin(self, trainer: Trainer, epoch: int, step: int) -> None:
        """Set the rate of step ``step``."""
        if self.per == "step":
            trainer.optimizer.learning_rate = self.schedule(step)
