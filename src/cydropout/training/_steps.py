"""The steps of a trainer: the loss of a batch, its gradients, and what the optimizer does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from cydropout.layers._context import Masks
from cydropout.layers._layer import Context, Layer, Parameter
from cydropout.training._batch import Batch
from cydropout.training._batches import Epoch
from cydropout.training._evaluation import Evaluation
from cydropout.training._parallel import Measured
from cydropout.training._passes import all_passes
from cydropout.training._settled import SettledSteps
from cydropout.training.clipping import clip_gradients
from cydropout.training.history import Record
from cydropout.training.nonfinite import check_loss
from cydropout.training.optimizers import Optimizer
from cydropout.training.run import Run

Array = np.ndarray[Any, Any]
#: Samples of a batch, how they were run, and the draw that came next.
Last = tuple[Array, Context, int]


class Steps(Evaluation):
    """The part of `Trainer` that takes a step."""

    optimizer: Optimizer
    masks: list[dict[Layer, Any]]
    _settled: SettledSteps | None

    def _step(
        self, run: Run, layers: list[Layer], parameters: dict[str, Parameter], x: Array,
        batch: Batch, ctx: Context, watched: bool,
    ) -> tuple[Record, float | None]:
        """Take the step of a batch, or add it to those that make one; return what it measured."""
        draw = self.stream.next_draw
        if self._settled and (done := self._settled.take(x, batch, ctx)):
            check_loss(self, done[0], run, x, ctx, draw)
            record: Record = {"loss": done[0] + done[2]}
            return record if done[1] is None else record | {"accuracy": done[1]}, None
        self.masks = []
        if self._parallel is None:
            found = self._measured(x, batch, ctx, watched)
        else:
            parts = []
            for part in self._parallel.divided(batch._replace(x=x)):
                self.stream.next_draw = draw  # each has its rows of the same masks
                own = replace(ctx, rows=part.rows, lengths=part.lengths)
                parts.append(self._measured(part.x, part, own, watched))
            found = self._parallel.joined(parts, batch.samples, parameters, run.update.is_begun)
        check_loss(self, found.value, run, x, ctx, draw)
        value = found.value + run.update.add(
            layers, parameters, found.backward, found.gradient, found.weight)
        accuracy = {} if found.accuracy is None else {"accuracy": found.accuracy}
        return {"loss": value} | accuracy, found.weight

    def _unsettle(self) -> None:
        """End the steps that have something in common."""
        if self._settled is not None:
            self._settled.finish()
            self._settled = None

    def _several(
        self, run: Run, batches: Iterator[Batch], ctx: Context, most: int
    ) -> tuple[int, Last | None]:
        """Take and count the steps of batches that follow, where one call takes several.

        Return how many samples they had, and the last.
        """
        if self._settled is None or not isinstance(batches, Epoch):
            return 0, None
        taken = self._settled.several(batches, ctx, most)
        if taken is None:
            return 0, None
        for value, accuracy, penalty in taken.measured:
            check_loss(self, value, run, taken.x, ctx, taken.draw)
            found = {} if accuracy is None else {"accuracy": accuracy}
            run.add(batches.data.size, {"loss": value + penalty} | found)
        return len(taken.measured) * batches.data.size, (taken.x, ctx, taken.draw)

    def _measured(self, x: Array, batch: Batch, ctx: Context, watched: bool) -> Measured:
        """Run the model over samples, and measure its loss."""
        masks: list[dict[Layer, Any]] = [{} for _ in range(self.loss.passes if watched else 0)]
        self.masks += masks
        recorded = [replace(ctx, masks=Masks(one, "record")) for one in masks]
        prediction, backward = all_passes(self.model, x, recorded or [ctx] * self.loss.passes)
        value, gradient, accuracy, total = self.loss.measured(prediction, *batch.own)
        total = batch.counts(total)
        return Measured(value, accuracy, gradient, len(x) if total is None else total, backward)

    def _update(self, parameters: dict[str, Parameter]) -> None:
        """Take a step by the gradients as they are."""
        clip_gradients([*parameters.values()], norm=self.clip_norm, value=self.clip_value)
        if self._settled is None:
            self.optimizer.step(parameters, num_threads=self._threads)
        else:
            self._settled.update()
