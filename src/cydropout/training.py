"""The training loop: shuffle, step, measure, save."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import functional, losses, optimizers
from ._arguments import batches, check_samples, pair, positive
from .callbacks import Callback
from .checkpoints import (
    check_target,
    load_checkpoint,
    restore_run,
    run_state,
    save_checkpoint,
)
from .history import History, Mean, Record
from .layers.base import Context
from .layers.workspace import Workspace
from .nonfinite import NonFiniteLossError, first_nonfinite
from .progress import Progress
from .random import MaskStream, as_stream

__all__ = ["NonFiniteLossError", "Trainer"]

Array = np.ndarray[Any, Any]
# Independent generators from one key: NumPy's spawn keys keep them apart.
_WEIGHTS, _SHUFFLE = 0, 1


class Trainer:
    """Fit a model by minibatch gradient descent.

    Every random number comes from one stream: the masks are its draws, the weights and the
    order of the samples in epoch ``e`` are functions of its key (and ``e``) alone. So the same
    ``rng``, data and settings give the same parameters to the bit, and the whole random state of a
    run is two integers.

    Parameters
    ----------
    model : Sequential
        Built by the first `fit` when it is not yet, with weights drawn from the stream's key.
    loss : Loss or str
        For example ``"softmax_cross_entropy"``.
    optimizer : Optimizer or str
        For example ``"adam"``, with its default settings.
    rng : None, int, SeedSequence, Generator or MaskStream
        Where the randomness comes from.
    num_threads : int, optional
        Threads of the layers' and the optimizer's kernels. By default as many as the work is worth
        where they share one pool with BLAS (`cydropout.functional.shared_threads`), and else 1:
        two pools that took turns made a step 5 to 25 times slower.

    Attributes
    ----------
    stream : MaskStream
        The stream in use.
    stop_training : bool
        A callback sets it to end the run after the current epoch.
    """

    def __init__(
        self,
        model: Any,
        loss: Any,
        optimizer: Any,
        *,
        rng: Any = None,
        num_threads: int | None = None,
    ) -> None:
        if num_threads is not None:
            positive("num_threads", num_threads)
        self.model = model
        self.loss = losses.get(loss)
        self.optimizer = optimizers.get(optimizer)
        self.num_threads = num_threads
        self._threads: int | None = 1
        self.stream: MaskStream = as_stream(rng)
        self.stop_training = False

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        epochs: int,
        batch_size: int = 32,
        validation_data: tuple[Any, Any] | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool | str = True,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
        shuffle: bool = True,
    ) -> History:
        """Train for ``epochs`` epochs and return what was measured.

        Parameters
        ----------
        x, y : array-like
            Samples and targets along the first axis; the last, smaller batch is used too.
        epochs : int
            Epochs in all: a run resumed after epoch 3 with ``epochs=5`` does two more.
        batch_size : int
            Samples in a batch.
        validation_data : (x, y), optional
            Measured at the end of every epoch, without dropout.
        callbacks : sequence of Callback
            Run in this order.
        progress : bool or str
            Show a bar; a string is its label.
        checkpoint : path-like, optional
            File to save everything to after every epoch. Being killed at any moment leaves the
            last whole one.
        resume : bool
            Go on from ``checkpoint``, or start afresh when that file does not exist yet. The run
            ends bit-identical to one that was never stopped. Build the same trainer, data and
            callbacks again; a difference that can be seen is a `ValueError`.
        shuffle : bool
            Take the samples of each epoch in a new order.

        Raises
        ------
        ValueError
            For wrong lengths, counts or settings; nothing has been changed then.
        ImportError
            When the bar or the checkpoint needs a package that is not installed.
        NonFiniteLossError
            When the loss of a step is NaN or infinite, or the last step of an epoch leaves such
            parameters; it names epoch, step and layer. The checkpoint keeps the last good epoch.
        """
        x, y = pair(x, y, "x and y")
        held_out = None if validation_data is None else pair(*validation_data, "validation_data")
        positive("epochs", epochs)
        positive("batch_size", batch_size)
        if resume and checkpoint is None:
            raise ValueError("resume=True needs checkpoint=, the file to go on from")
        target = None if checkpoint is None else check_target(checkpoint)
        saved = load_checkpoint(target) if target and resume and target.exists() else None
        done = int(saved["epoch"]) if saved else 0
        run = {"samples": len(x), "batch_size": int(batch_size), "shuffle": bool(shuffle)}
        metrics = ("loss", "accuracy") + (("val_loss", "val_accuracy") if held_out else ())
        self._build(x)

        self.stop_training = False
        for callback in callbacks:
            callback.on_train_begin(self, metrics)
        history = restore_run(self, saved, run, callbacks) if saved else History()
        bar = Progress(progress, samples=len(x), epochs=max(epochs, done), done=done)
        with bar, self._one_pool():
            for epoch in range(done + 1, epochs + 1):
                if self.stop_training:
                    break
                started = time.perf_counter()
                bar.begin(epoch)
                for callback in callbacks:
                    callback.on_epoch_begin(self, epoch)
                record: Record = {"epoch": epoch}
                record |= self._epoch(x, y, epoch, batch_size, shuffle, bar, callbacks)
                if held_out:
                    record |= {f"val_{k}": v for k, v in self.evaluate(*held_out).items()}
                record["seconds"] = time.perf_counter() - started
                history.append(record)
                bar.end(record)
                for callback in callbacks:
                    callback.on_epoch_end(self, epoch, record)
                if target:
                    save_checkpoint(target, run_state(self, epoch, run, history, callbacks))
        for callback in callbacks:
            callback.on_train_end(self)
        return history

    def evaluate(self, x: Any, y: Any, *, batch_size: int = 1024) -> dict[str, float]:
        """Return the mean ``loss``, and ``accuracy`` where it has one, without dropout."""
        x, y = pair(x, y, "x and y")
        positive("batch_size", batch_size)
        self._build(x)
        loss, mean = self.loss.one_pass, Mean()
        with self._one_pool():
            for rows in batches(len(x), batch_size):
                value, _, accuracy = loss.measured(self._infer(x[rows]), y[rows])
                mean.add(len(y[rows]), value, accuracy)
        return mean.result()

    def predict(self, x: Any, *, batch_size: int = 1024) -> Array:
        """Return the model's output for every sample, without dropout."""
        x = check_samples(x)
        positive("batch_size", batch_size)
        self._build(x)
        with self._one_pool():
            parts = [self._infer(x[rows]) for rows in batches(len(x), batch_size)]
        return np.concatenate(parts)

    @contextmanager
    def _one_pool(self) -> Iterator[None]:
        """Have BLAS and the kernels run on one pool of threads, or the kernels on one thread."""
        with functional.shared_threads() as shared:
            before = self._threads
            self._threads = self.num_threads or (None if shared else 1)
            try:
                yield
            finally:
                self._threads = before

    def _infer(self, x: Array) -> Array:
        ctx = Context(training=False, num_threads=self._threads)
        y: Array = self.model.forward(self._cast(x), ctx)[0]
        return y

    def _epoch(
        self, x: Array, y: Array, epoch: int, batch_size: int, shuffle: bool, bar: Progress,
        callbacks: Sequence[Callback],
    ) -> Record:
        workspace = Workspace()
        ctx = Context(
            True, self.stream, self._threads, input_gradient=False, workspace=workspace)
        parameters = self.model.parameters()
        order = self._generator(_SHUFFLE, epoch).permutation(len(x)) if shuffle else None
        mean = Mean()
        before = (epoch - 1) * -(-len(x) // batch_size)
        for step, rows in enumerate(batches(len(x), batch_size, order), 1):
            for callback in callbacks:
                callback.on_batch_begin(self, epoch, before + step - 1)
            workspace.release()
            batch, target = self._cast(_taken(x, rows, workspace)), y[rows]
            draw = self.stream.next_draw
            prediction, backward = self._forward(batch, ctx)
            value, gradient, accuracy = self.loss.measured(prediction, target)
            if not math.isfinite(value):
                raise self._nonfinite(value, epoch, step, batch, ctx, draw)
            for parameter in parameters:
                parameter.zero_grad()
            backward(gradient)
            value += self.model.penalty()
            self.optimizer.step(parameters, num_threads=self._threads)
            mean.add(len(target), value, accuracy)
            bar.step(len(target), *mean.current())
        # Parameters that the last step spoilt would show in the next loss: after the checkpoint.
        if not all(np.isfinite(parameter.value).all() for parameter in parameters):
            raise self._nonfinite(math.nan, epoch, step, batch, ctx, draw)
        return mean.result()

    def _forward(self, batch: Array, ctx: Context) -> tuple[Array, Callable[[Array], object]]:
        """Return the predictions of all passes, below each other, and their way back."""
        # One pass over the batch repeated would be up to a fifth faster, but there a mask that
        # the whole batch shares would be the same in both halves.
        passes = [self.model.forward(batch, ctx) for _ in range(self.loss.passes)]
        predictions: tuple[Array, ...]
        predictions, backwards = zip(*passes, strict=True)
        if len(passes) == 1:
            return predictions[0], backwards[0]

        def backward(gradient: Array) -> None:
            for back, part in zip(backwards, np.split(gradient, len(backwards)), strict=True):
                back(part)

        return np.concatenate(predictions), backward

    def _nonfinite(
        self, value: float, epoch: int, step: int, batch: Array, ctx: Context, draw: int
    ) -> NonFiniteLossError:
        """Find the layer, and leave the stream where it was before the step."""
        self.stream.next_draw = draw
        layers = (first_nonfinite(self.model, batch, ctx) for _ in range(self.loss.passes))
        layer = next((layer for layer in layers if layer != "loss"), "loss")
        self.stream.next_draw = draw
        return NonFiniteLossError(value, epoch, step, layer)

    def _generator(self, *spawn_key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.stream.key, spawn_key=spawn_key))

    def _build(self, x: Array) -> None:
        self.model.build(x.shape[1:], self._generator(_WEIGHTS))

    def _cast(self, x: Array) -> Array:
        """Bring floats to the model's dtype: a value too large for it is then the input's fault."""
        dtype = getattr(self.model, "dtype", np.float32)
        return x.astype(dtype, copy=False) if x.dtype.kind == "f" else x


def _taken(x: Array, rows: Any, workspace: Workspace) -> Array:
    """Return the rows of ``x``, in an array of the workspace if they must be copied."""
    if isinstance(rows, slice):
        return x[rows]
    room = workspace.empty((len(rows), *x.shape[1:]), x.dtype)
    # Without the check of the numbers, which would need a second buffer.
    return np.take(x, rows, axis=0, out=room, mode="clip")
