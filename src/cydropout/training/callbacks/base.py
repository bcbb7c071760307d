"""Callback: code that runs between the epochs and the batches of a training run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cydropout._closed import Closed
from cydropout._validate import ArgumentTypeError, check_all, check_function, check_made, shown
from cydropout._words import Worded

if TYPE_CHECKING:
    from cydropout.training.trainer import Trainer as Trainer
else:
    Trainer = Any


def as_callbacks(callbacks: Any) -> list[Callback]:
    """Return callbacks as a list: one, several, or functions that stand for some.

    Examples
    --------
    >>> as_callbacks(Callback())[0].state_dict()
    {}
    """
    if callbacks is None:
        return []
    if isinstance(callbacks, str):
        raise ArgumentTypeError(f"callbacks must be a list of Callback, not {shown(callbacks)}")
    # An iterator would run dry after the first of the loops over it.
    listed = [*callbacks] if np.iterable(callbacks) else [callbacks]
    listed = [
        FunctionCallback(one) if callable(one) and not isinstance(one, (type, Callback)) else one
        for one in listed
    ]
    return [check_made(one) for one in check_all("callbacks", listed, Callback)]


class Callback(Worded, Closed):
    """Base of the callbacks: override what you need; every method does nothing.

    What a callback must remember for a resumed run to end like one that was never stopped goes
    through `state_dict` and `load_state_dict`; what must be the same in both parts of the run,
    `get_config` returns. To stop after this epoch set
    ``trainer.stop_training = True``. The methods come in this order: `on_train_begin`; for each
    epoch `on_epoch_begin`, for each batch `on_batch_begin` and `on_batch_end`, `on_batches_end`,
    `on_epoch_end`; in the end `on_train_end`, or `on_error`.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.layers import Dense
    >>> from cydropout.training import Trainer
    >>> class Losses(Callback):
    ...     count = 0
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
    #: Whether it does in each of several processes, which sees its rows of a batch alone, what it
    #: does in one.
    by_rows: bool = True
    #: Whether the first of several processes alone runs it, as what writes files.
    by_first: bool = False

    def on_train_begin(self, trainer: Trainer, metrics: tuple[str, ...]) -> None:
        """Run before the first epoch; ``metrics`` names what the records can hold."""

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        """Run before epoch ``epoch`` (from 1); also where a run resumes in its middle."""

    def on_batch_begin(self, trainer: Trainer, epoch: int, step: int) -> None:
        """Run before a batch; ``step`` counts those of all epochs, from 0, also after a resume."""

    def on_batch_end(
        self, trainer: Trainer, epoch: int, step: int, record: Mapping[str, float]
    ) -> None:
        """Run after a batch and the update if one is due, with the loss of the batch alone."""

    def on_batches_end(self, trainer: Trainer, epoch: int) -> None:
        """Run after the last batch of an epoch, before what is measured of it without dropout."""

    def on_epoch_end(self, trainer: Trainer, epoch: int, record: dict[str, float]) -> None:
        """Run after epoch ``epoch`` (from 1), before the checkpoint is saved.

        What is added to its record stays in the history.
        """

    def on_train_end(self, trainer: Trainer) -> None:
        """Run once after the last epoch, also when the run stopped early."""

    def on_error(self, trainer: Trainer, error: BaseException) -> None:
        """Run when an error ends the training, which is raised again afterwards."""

    def get_config(self) -> dict[str, Any]:
        """Return the settings that decide the run, by their names, which a resumed run compares."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return what to save: numbers, strings, arrays, and lists and dicts of them."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` returned."""


class FunctionCallback(Callback):
    """Call ``function(trainer, epoch, record)`` after every epoch.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.layers import Dense
    >>> from cydropout.training import Trainer
    >>> def note(trainer, epoch, record):
    ...     record["twice"] = 2 * epoch
    >>> trainer = Trainer(Dense(1), "mean_squared_error", "sgd", rng=0)
    >>> x = np.ones((8, 2), "float32")
    >>> trainer.fit(x, x[:, :1], epochs=2, callbacks=note, progress=False)["twice"]
    [2, 4]
    """

    def __init__(self, function: Callable[[Trainer, int, dict[str, float]], object]) -> None:
        self.function = check_function("function", function, "trainer, epoch and record")

    def on_epoch_end(self, trainer: Trainer, epoch: int, record: dict[str, float]) -> None:
        """Call the function."""
        self.function(trainer, epoch, record)

    def get_config(self) -> dict[str, Any]:
        """Return the function."""
        return {"function": self.function}
