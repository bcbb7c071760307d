"""What a trainer does without dropout: predictions, and measures of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np

from cydropout import functional
from cydropout._closed import Closed
from cydropout._samples import check_samples
from cydropout._validate import check_count, check_made
from cydropout.layers._fusion import forward_of
from cydropout.layers._layer import Context
from cydropout.random import MaskStream
from cydropout.training._batches import Batches, as_batches, order_of, padded, weights_of
from cydropout.training._checks import check_batch, check_data, check_sequences
from cydropout.training._metrics import Metrics, measure
from cydropout.training._parallel import Parallel
from cydropout.training.history import History
from cydropout.training.losses import Loss

Array = np.ndarray[Any, Any]


class Evaluation(Closed):
    """The part of `Trainer` that changes no parameters."""

    model: Any
    loss: Loss
    metrics: Metrics
    num_threads: int | None
    stream: MaskStream
    _threads: int | None
    _parallel: Parallel | None
    stop_training: bool
    _run: Any
    epoch: int
    clip_norm: float | None
    clip_value: float | None
    reduction: str

    @property
    def history(self) -> History:
        """What the last call of `fit` measured, of whole epochs."""
        return self._run.history if self._run else History()

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint of the run would hold now, for callbacks to save.

        Before a batch or after an epoch it is whole; during a batch its counts are those before.
        """
        if self._run is None:
            raise RuntimeError("there is no run yet: call fit first")
        found: dict[str, Any] = self._run.state(self)
        return found

    def reset(self) -> None:
        """Count the epochs from 0 again, and with them the orders of the samples.

        Model, optimizer and stream stay as they are.
        """
        self.epoch = 0

    def get_config(self) -> dict[str, Any]:
        """Return the settings that decide a run, but those of model, loss and optimizer."""
        return {"metrics": [*self.metrics], "clip_norm": self.clip_norm,
                "clip_value": self.clip_value, "reduction": self.reduction}

    def evaluate(
        self, x: Any, y: Any = None, *, batch_size: int = 1024, sample_weight: Any = None,
        lengths: Any = None,
    ) -> dict[str, float]:
        """Return the mean ``loss``, and ``accuracy`` where it has one, without dropout.

        Without ``y``, ``x`` brings the batches, as in `fit`, with their weights and lengths.
        """
        check_made(self)
        check_count("batch_size", batch_size)
        data = as_batches(x, y, batch_size, False, 1, "x and y", self.model.keeps_lengths,
                          weight=sample_weight, lengths=lengths)
        batch = data.first(1, partial(order_of, self.stream.key))
        check_data(self.model, self.loss.one_pass, data, batch)
        self._build(batch.x)
        return self._measure(data)

    @property
    def _leads(self) -> bool:
        """Whether this process writes the files."""
        return self._parallel is None or self._parallel.leads

    def _sums(self, array: Array) -> Array:
        """Return the sum of an array over all processes."""
        return array if self._parallel is None else self._parallel.sums(array)

    def _together(self) -> AbstractContextManager[None]:
        """Have an error of one process within be one of all."""
        parallel = check_made(self)._parallel
        return nullcontext() if parallel is None else parallel.together()

    def _measure(self, data: Batches) -> dict[str, float]:
        with self._one_pool():
            batches = data.epoch(1, partial(order_of, self.stream.key))
            return measure(batches, self._infer, self.loss.one_pass, self.metrics)

    def predict(self, x: Any, *, batch_size: int = 1024, lengths: Any = None) -> Array:
        """Return the model's output for every sample, without dropout.

        ``lengths`` are those of sequences, as in `fit`; the output has their padding too.
        """
        x = check_batch(check_made(self).model, check_samples(x))
        check_count("batch_size", batch_size)
        lengths = check_sequences(self.model, x, lengths)
        self._build(x)
        with self._one_pool():
            parts = [self._infer(*rows) for rows in padded(x, lengths, batch_size)]
        return np.concatenate(parts)

    @contextmanager
    def _one_pool(self) -> Iterator[None]:
        """Have BLAS and the kernels run on one pool of threads, or the kernels on one thread."""
        with functional.shared_threads() as shared, functional.reused_memory():
            before = self._threads
            self._threads = self.num_threads or (None if shared else 1)
            try:
                yield
            finally:
                self._threads = before

    def _goes_on(self, run: Any, last: int) -> bool:
        """Whether another epoch follows, as the first process says; raise if they have parted."""
        if self._parallel is not None:
            self._parallel.agree(epochs=[last, run.epoch, run.step], draws=self.stream.next_draw,
                                 weights=self.model.state_dict())
            self.stop_training = self._parallel.led({"stop": self.stop_training})["stop"]
        return bool(run.epoch < last and not self.stop_training)

    def _infer(self, x: Array, lengths: Array | None) -> Array:
        ctx = Context(training=False, num_threads=self._threads, lengths=lengths)
        y: Array = forward_of(self.model)(self._cast(x), ctx)[0]
        return y

    def _build(self, x: Array) -> None:
        self.model.build(x.shape[1:], weights_of(self.stream.key))

    def _cast(self, x: Array) -> Array:
        """Bring floats to the model's dtype: a value too large for it is then the input's fault."""
        dtype = getattr(self.model, "dtype", np.float32)
        return x.astype(dtype, copy=False) if x.dtype.kind == "f" else x
