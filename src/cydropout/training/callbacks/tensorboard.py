"""TensorBoard: what a run measures, as event files."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from cydropout._files.replace import expanded
from cydropout._optional import require
from cydropout._validate import check_count, optional
from cydropout.training.callbacks.base import Callback, Trainer


class TensorBoard(Callback):
    """Write event files that TensorBoard shows; needs ``cydropout[tensorboard]``.

    After every epoch its record, at the number of the epoch, with ``learning_rate``; with
    ``every`` also the loss of single batches, at the number of the step. A run that resumes adds a
    file; what it does again it writes again, and that is the same. Of several processes the first
    one writes.

    Parameters
    ----------
    directory : path-like
        Where the files go; each run wants its own.
    every : int, optional
        Write ``batch/loss`` (and ``batch/accuracy``) of every so many batches too.

    Raises
    ------
    ImportError
        When made, without tensorboardX.

    Examples
    --------
    >>> from cydropout.training.callbacks import TensorBoard
    >>> callback = TensorBoard("runs/first", every=10)  # writes when a run begins
    """

    by_first = True

    def __init__(self, directory: str | os.PathLike[str], every: int | None = None) -> None:
        self._writer_class = require("tensorboardX", "tensorboard").SummaryWriter
        self.directory = str(expanded(directory, "directory"))
        self.every = optional(check_count, "every", every)
        self._writer: Any = None

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        """Open the file of the run."""
        if self._writer is None:
            # The library names files by the second, and would write over one of the same.
            suffix = f".{time.time_ns()}"
            self._writer = self._writer_class(self.directory, filename_suffix=suffix)

    def on_batch_end(
        self, trainer: Trainer, epoch: int, step: int, record: Mapping[str, float]
    ) -> None:
        """Write the record of the batch, if it is its turn."""
        if self.every and step % self.every == 0:
            self._write("batch/", record, step)

    def on_epoch_end(self, trainer: Trainer, epoch: int, record: Mapping[str, float]) -> None:
        """Write the record of the epoch."""
        rest = {name: value for name, value in record.items() if name != "epoch"}
        rest["learning_rate"] = trainer.optimizer.learning_rate
        self._write("", rest, epoch)
        self._writer.flush()

    def on_train_end(self, trainer: Trainer) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def on_error(self, trainer: Trainer, error: BaseException) -> None:
        """Close the file with all that came before the error."""
        self.on_train_end(trainer)

    def _write(self, group: str, record: Mapping[str, float], step: int) -> None:
        for name, value in record.items():
            self._writer.add_scalar(group + name, value, step)
