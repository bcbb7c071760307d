"""Callback: code that runs between the epochs and the batches of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cydropout.training.trainer import Trainer as Trainer
else:
    Trainer = Any


class Callback:
    """Base of the callbacks: override what you need; every method does nothing.

    What a callback must remember for a resumed run to end like one that was never stopped goes
    through `state_dict` and `load_state_dict`. To stop after this epoch set
    ``trainer.stop_training = True``. The methods come in this order: `on_train_begin`; for each
    epoch `on_epoch_begin`, for each batch `on_batch_begin` and `on_batch_end`, `on_epoch_end`; in
    the end `on_train_end`, or `on_error`.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.layers import Dense
    >>> from cydropout.training import Trainer
    >>> class Losses(Callback):
    ...     def on_train_begin(self, trainer, metrics):
    ...         self.count = 0
    ...     def on_batch_end(self, trainer, epoch, step, record):
    ...         self.count += "loss" in record
    >>> losses = Losses()
    >>> trainer = Trainer(Dense(1), "mean_squared_error", "sgd", rng=0)
    >>> x = np.ones((8, 2), "float32")
    >>> history = trainer.fit(
    ...     x, x[:, :1], epochs=2, batch_size=4, callbacks=[losses], progress=False)
    >>> losses.count
    4
    """

    #: Whether `on_batch_end` reads ``trainer.masks``; `on_batch_begin` may set it for its batch.
    reads_masks: bool = False

    def on_train_begin(self, trainer: Trainer, metrics: tuple[str, ...]) -> None:
        """Run before the first epoch; ``metrics`` names what the records can hold."""

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        """Run before epoch ``epoch`` (from 1); also where a run resumes in its middle."""

    def on_batch_begin(self, trainer: Trainer, epoch: int, step: int) -> None:
        """Run before a batch; ``step`` counts those of all epochs, from 0, also after a resume."""

    def on_batch_end(
        self, trainer: Trainer, epoch: int, step: int, record: Mapping[str, float]
    ) -> None:
        """Run after a batch and its update, with the loss (and accuracy) of the batch alone."""

    def on_epoch_end(self, trainer: Trainer, epoch: int, record: Mapping[str, float]) -> None:
        """Run after epoch ``epoch`` (from 1) with its record, before the checkpoint is saved."""

    def on_train_end(self, trainer: Trainer) -> None:
        """Run once after the last epoch, also when the run stopped early."""

    def on_error(self, trainer: Trainer, error: BaseException) -> None:
        """Run when an error ends the training, which is raised again afterwards."""

    def state_dict(self) -> dict[str, Any]:
        """Return what to save: numbers, strings, arrays, and lists and dicts of them."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` returned."""
