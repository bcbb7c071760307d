"""The training loop: shuffle, step, measure, save."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cydropout._validate import (
    check_count,
    check_flag,
    check_made,
    check_number,
    is_method,
    optional,
)
from cydropout.layers._layer import Context, Layer, check_model
from cydropout.layers._workspace import Workspace
from cydropout.random import MaskStream, as_stream
from cydropout.training import losses, optimizers
from cydropout.training._batches import (
    Batches,
    as_batches,
    held_out,
    order_of,
    split_off,
)
from cydropout.training._checks import check_data, check_smallest
from cydropout.training._class_weights import ClassWeighted
from cydropout.training._configuration import check_override
from cydropout.training._metrics import as_metrics
from cydropout.training._parallel import as_parallel, ends_all
from cydropout.training._settled import SettledSteps
from cydropout.training._steps import Last, Steps
from cydropout.training._updates import Update
from cydropout.training.callbacks.base import Callback, as_callbacks
from cydropout.training.checkpoint import check_state, save_checkpoint
from cydropout.training.history import History, Record
from cydropout.training.nonfinite import NonFiniteLossError, check_parameters
from cydropout.training.progress import Progress, check_bar
from cydropout.training.run import Run, all_or_nothing, check_saves, saved_run

__all__ = ["NonFiniteLossError", "Trainer"]

Array = np.ndarray[Any, Any]


class Trainer(Steps):
    """Fit a model by minibatch gradient descent.

    Every random number comes from one stream: the masks are its draws, the weights and the
    order of the samples in epoch ``e`` are functions of its key (and ``e``) alone. So the same
    ``rng``, data and settings give the same parameters to the bit, and the whole random state of a
    run is two integers.

    Parameters
    ----------
    model : Sequential
        Built by the first `fit` when it is not yet, with weights drawn from the stream's key.
    loss : Loss, str or function
        For example ``"softmax_cross_entropy"``; a function as `losses.FunctionLoss` takes it.
    optimizer : Optimizer or str
        For example ``"adam"``, with its default settings.
    rng : None, int, SeedSequence, Generator or MaskStream
        Where the randomness comes from.
    metrics : function, str, sequence of them, or mapping of names to them
        ``metric(predictions, targets)`` of all validation data, and of all that `evaluate` gets,
        is one number. Or scorers of scikit-learn: ``"f1_macro"``, ``make_scorer(f1_score)``; they
        get labels or probabilities, as the loss says. What has a ``sample_weight`` gets the weights
        too, where the data have some.
    clip_norm : float, optional
        Largest norm of the gradients of all parameters together; longer ones are scaled to it.
    clip_value : float, optional
        Largest magnitude of an element of a gradient. It is clipped before the norm is.
    num_threads : int, optional
        Threads of the layers' and the optimizer's kernels. By default as many as the work is worth
        where they share one pool with BLAS (`cydropout.functional.shared_threads`), and else 1:
        two pools that took turns made a step 5 to 25 times slower.
    comm : mpi4py.MPI.Comm, optional
        Processes that train together: each calls `fit` with the same arguments, and computes with
        its rows of every batch. Masks and steps are those of one process, but for rounding.
    reduction : {"fast", "ordered"}
        How gradients are summed over the samples of a batch. With "ordered" every number of
        processes up to 12, also one without ``comm``, ends with the same weights to the bit, where
        BLAS has as many threads in each: it cuts a batch into 12 parts (fewer samples: one each),
        computes each part alone, with its rows of the masks, and sums the parts by halves. That
        takes longer. Layers that compute with all samples of a batch are refused.

    Attributes
    ----------
    stream : MaskStream
        The stream in use.
    epoch : int
        Whole epochs done, of all calls of `fit`.
    history : History
        What the last call of `fit` measured, also where Ctrl-C or an error ended it.
    stop_training : bool
        A callback sets it to end the run after the current epoch.
    masks : list of dict
        The masks of the last batch by layer, one dict for each pass of the loss, while a callback
        has `Callback.reads_masks`.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.layers import Dense, Dropout, Sequential
    >>> model = Sequential([Dense(8, activation="relu"), Dropout(0.5), Dense(2)])
    >>> trainer = Trainer(model, "softmax_cross_entropy", "adam", rng=0)
    >>> x, y = np.eye(4, dtype="float32"), np.array([0, 0, 1, 1])
    >>> history = trainer.fit(x, y, epochs=2, progress=False)
    >>> len(history), trainer.predict(x).shape
    (2, (4, 2))
    """

    def __init__(
        self, model: Any, loss: Any, optimizer: Any, *, rng: Any = None, metrics: Any = (),
        clip_norm: float | None = None, clip_value: float | None = None,
        num_threads: int | None = None, comm: Any = None, reduction: str = "fast",
    ) -> None:
        self._parallel = as_parallel(comm, reduction)
        self.reduction = reduction
        self.model: Any = check_model(model)
        self.loss = check_made(losses.get(loss))
        self.optimizer = check_made(optimizers.get(optimizer))
        self.metrics = as_metrics(metrics)
        self.clip_norm = optional(check_number, "clip_norm", clip_norm, "(0, inf)")
        self.clip_value = optional(check_number, "clip_value", clip_value, "(0, inf)")
        self.num_threads = optional(check_count, "num_threads", num_threads)
        self._threads: int | None = 1
        self._settled: SettledSteps | None = None
        self.stream: MaskStream = as_stream(rng)
        self.epoch = 0
        self.stop_training = False
        self.masks: list[dict[Layer, Any]] = []
        self._run: Run | None = None

    @ends_all
    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int,
        batch_size: int = 32,
        validation_data: Any = None,
        validation_split: float = 0.0,
        callbacks: Iterable[Callback] = (),
        progress: bool | str = True,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | None = None,
        resume: bool = False,
        override: Iterable[str] = (),
        accumulate: int = 1,
        shuffle: bool = True,
        drop_last: bool = False,
        sample_weight: Any = None,
        class_weight: Any = None,
        lengths: Any = None,
        sharded: bool = False,
    ) -> History:
        """Train for ``epochs`` epochs and return what was measured.

        A further call goes on from where the last one ended: its epochs are counted, and their
        samples ordered, as if it had been one call; `reset` begins to count anew.

        Parameters
        ----------
        x, y : array-like
            Samples and targets along the first axis. A `numpy.memmap` is read a batch at a time,
            and SciPy's sparse matrices are made dense a batch at a time; a table (pandas, polars)
            holds numbers alone. Without ``y``, ``x`` brings the batches, ``(x, y)``, with weights
            ``(x, y, w)``, or ``(x, y, w, lengths)``, where ``w`` may be None: as a list or whatever
            else has a length and places, whose order is shuffled; as an iterable, which is read
            once an epoch, in its own order; or as a function that takes the NumPy generator of the
            epoch and returns an iterable. Such a function can shuffle as it likes, as with
            `cydropout.training.data.shuffled`, and do it again.
        epochs : int
            Epochs of this call: one resumed after its epoch 3 with ``epochs=5`` does two more.
        batch_size : int
            Samples in a batch, where ``x`` and ``y`` are arrays.
        validation_data : (x, y), (x, y, w), (x, y, w, lengths) or iterable of batches, optional
            Measured at the end of every epoch, without dropout.
        validation_split : float
            Share of the samples that is held back for that, of the last ones, as in Keras: shuffle
            sorted data before.
        callbacks : Callback, or iterable of Callback
            Run in this order. A function stands for a callback that calls it after every epoch,
            as ``function(trainer, epoch, record)``.
        progress : bool or str
            Show a bar; a string is its label.
        checkpoint : path-like, optional
            File to save everything to after every epoch. Being killed at any moment leaves the
            last whole one.
        checkpoint_every : int, optional
            Save after every so many batches too, counted over all epochs.
        resume : bool
            Go on from ``checkpoint``, or start afresh when that file does not exist yet. The run
            ends bit-identical to one that was never stopped, also from the middle of an epoch.
            Build the same trainer, data and callbacks again: their settings, the shapes of the data
            and the parameters are compared with the saved ones; the first that differs is a
            `ValueError`. An iterable must bring the same batches again: those that were done are
            read and left. Arrays and lists go to the place at once.
        override : set of str
            Settings that may differ from the saved, each by its path in the error or a part of it,
            as in ``{"learning_rate"}``. With other batches the epoch begins anew, with other arrays
            of state the optimizer does.
        accumulate : int
            Take a step after every so many batches, by their gradients together: that of one batch
            of all their samples, to rounding, weights included. What is left at the end of an epoch
            makes one more. `BatchNorm` takes the statistics of each batch, and `lazy` gradients of
            submatrices are stepped whole.
        shuffle : bool
            Take the samples, or the batches of a list, in a new order in each epoch. The order
            depends on the key of ``rng`` and on the epoch alone.
        drop_last : bool
            Leave out the samples of an epoch that make no whole batch.
        sample_weight : array-like, optional
            A number of at least 0 for each sample, or for each position of a sequence, ``(n, t)``.
            The loss of a batch is the weighted mean, which the sum of its weights divides, and so
            are loss and accuracy of an epoch.
        class_weight : mapping of int to float or "balanced", optional
            What a position of each label weighs in training, times its ``sample_weight``; labels
            left out weigh 1. Balanced is ``n / (classes n_c)``, of ``n_c`` positions of a class.
        lengths : array of int, optional
            How many positions of each sequence count, ``x`` being (n, time, ...); what stands
            behind them in ``x`` and ``y`` moves nothing. Where the predictions are sequences too,
            padding weighs nothing in the loss, and `metrics` get the other positions alone.
        sharded : bool
            Of several processes each has samples of its own in ``x`` and ``y``, or its rows of
            every batch where ``x`` brings them, instead of all; validation data are the same for
            all. ``batch_size`` is that of all together: with a quarter of the samples a process
            brings a quarter of each batch.

        Raises
        ------
        ValueError, TypeError
            For data, targets or settings that are wrong or do not fit the model and the loss; no
            step was taken then.
        ImportError
            When the bar or the checkpoint needs a package that is not installed.
        NonFiniteLossError
            When the loss of a step is NaN or infinite, or the last step of an epoch leaves such
            parameters; it names epoch, step and layer. The checkpoint keeps the last good state.
        """
        with self._together():
            check_count("epochs", epochs)
            check_count("batch_size", batch_size)
            check_count("accumulate", accumulate)
            optional(check_count, "checkpoint_every", checkpoint_every)
            override = check_override(override, resume)
            check_flag("shuffle", shuffle)
            check_flag("drop_last", drop_last)
            check_flag("sharded", sharded)
            check_bar(progress)
            callbacks = as_callbacks(callbacks)
            if checkpoint is None and (resume or checkpoint_every):
                name = "resume=True" if resume else "checkpoint_every"
                raise ValueError(f"{name} needs checkpoint=, the file to save to and go on from")
            keeps = self.model.keeps_lengths
            shares = None if self._parallel is None else self._parallel.share(sharded)
            data = as_batches(x, y, batch_size, shuffle, epochs, "x and y", keeps, drop_last,
                              sample_weight, lengths, shares)
            held = (None if validation_data is None
                    else held_out(validation_data, 1024, epochs, keeps))
            held = split_off(validation_split, data, held)
            find = partial(saved_run, checkpoint, resume)
            target, saved = find() if self._parallel is None else self._parallel.of_first(find)
            saved = saved if resume else None
            metrics = ["loss", "accuracy"]
            metrics += [f"val_{name}" for name in (*metrics, *self.metrics)] if held else []
            parts = {"model": self.model, "loss": self.loss, "optimizer": self.optimizer,
                     "trainer": self, "data": {
                         **data.run, "class_weight": class_weight, "accumulate": accumulate,
                         "validation_split": validation_split},
                     "validation_data": (held and held.run) or None}
            update = Update(accumulate, self._update)
            run = Run(parts, callbacks, update, self._leads, epoch=self.epoch, first=self.epoch,
                      made=self._run.made if self._run else {})
            if saved:
                run.compare(saved, override, self._run)
            orders = partial(order_of, saved.key if saved else self.stream.key)
            batch = data.first((saved.epoch if saved else self.epoch) + 1, orders)
            weighted = class_weight is not None
            shape = check_data(self.model, self.loss, data, batch, weighted=weighted)
            train = ClassWeighted(data, self.loss, class_weight, shape) if weighted else data
            self._build(batch.x)
            changed = run.built(batch.x, saved, override)
            check_smallest(self.model, data)
            if self._parallel is not None:
                self._parallel.check(self, callbacks, data.smallest)
                self._parallel.begin(self, run.settings, data, batch)
                progress = progress if self._parallel.leads else False
            if self.optimizer.groups:
                self.optimizer.check_groups(dict(self.model.named_parameters()))
            if held:
                batch = held.first(1, orders)
                check_data(self.model, self.loss.one_pass, held, batch, "validation_data: ")
            if target and self._leads:
                check_saves(self, run, target)
            with all_or_nothing(self, callbacks) if saved else nullcontext(), self._together():
                self.stop_training, self._run = False, run
                run.tell("on_train_begin", self, tuple(metrics))
                for callback in callbacks if target else ():
                    check_state(callback.state_dict(), f"the state of {type(callback).__name__}")
                if saved:
                    run.restore(self, saved, changed)
        done = run.epoch * (data.samples or 0) + run.mean.count
        last = max(run.first + epochs, run.epoch)
        bar = Progress(progress, samples=data.samples, epochs=last, done=done)
        try:
            with bar, self._one_pool():
                while self._goes_on(run, last):
                    self._epoch(run, train, held, bar, target, checkpoint_every)
        except BaseException as error:
            self._unsettle()
            run.tell("on_error", self, error)
            raise
        finally:
            self.epoch = run.epoch
            run.end()
        run.tell("on_train_end", self)
        return run.history

    def _epoch(
        self, run: Run, data: Batches | ClassWeighted, held: Batches | None, bar: Progress,
        target: Path | None, checkpoint_every: int | None,
    ) -> None:
        """Do one epoch, or what is left of it."""
        epoch, started = run.epoch + 1, time.perf_counter() - run.seconds
        bar.begin(epoch)
        run.tell("on_epoch_begin", self, epoch)
        workspace = Workspace(settled=run.is_settled(data))
        ctx = Context(True, self.stream, self._threads, False, workspace=workspace,
                      sums=None if self._parallel is None else self._parallel.sums)
        ctx = ctx.entering(self.model)
        layers = [one for one in self.model.walk() if not is_method(one.own_penalty, Layer)]
        parameters = dict(self.model.named_parameters())
        if workspace.settled:
            alone = {self.clip_norm, self.clip_value, self._parallel} == {None}
            self._settled = SettledSteps(
                self.model, self.loss, self.optimizer, layers, parameters,
                alone and run.update.every == 1, self._threads, run.made)
            run.made = self._settled.made
        last: Last | None = None
        batches = data.epoch(epoch, partial(order_of, self.stream.key), run.step)
        for batch in batches if self._parallel is None else self._parallel.cut(batches):
            x, now = self._cast(batch.x), ctx
            if batch.lengths is not None or batch.rows is not None:
                now = replace(ctx, lengths=batch.lengths, rows=batch.rows)
            last = x, now, self.stream.next_draw
            run.tell("on_batch_begin", self, epoch, run.steps)
            watched = any(callback.reads_masks for callback in run.callbacks)
            workspace.release()
            record, weight = self._step(run, layers, parameters, x, batch, now, watched)
            run.tell("on_batch_end", self, epoch, run.steps, record)
            run.add(batch.samples, record, weight)
            left = -run.steps % checkpoint_every if target and checkpoint_every else sys.maxsize
            samples, after = self._several(run, batches, ctx, left)
            last = after or last
            run.seconds = time.perf_counter() - started
            bar.step(batch.samples + samples, run.mean)
            if target and checkpoint_every and run.steps % checkpoint_every == 0:
                check_parameters(self, parameters, epoch, run.step, last)
                self._save(run, target)
        self._unsettle()
        if not run.mean.count:
            raise ValueError(f"epoch {epoch} got no batch: the iterable is at its end")
        run.update.finish(layers, parameters)
        check_parameters(self, parameters, epoch, run.step, last)
        run.tell("on_batches_end", self, epoch)
        measured: Record = {"epoch": epoch} | run.mean.result()
        if held:
            measured |= {f"val_{k}": v for k, v in self._measure(held).items()}
        measured["seconds"] = time.perf_counter() - started
        measured = self._parallel.led(measured) if self._parallel else measured
        run.end_epoch(measured)
        bar.end(measured)
        run.tell("on_epoch_end", self, epoch, measured)
        run.history.records[-1].update(measured)  # with what a callback has added
        if target:
            self._save(run, target)

    def _save(self, run: Run, target: Path) -> None:
        if self._leads:
            save_checkpoint(target, run.state(self))
