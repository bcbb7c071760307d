"""The steps of an epoch between which no code of others runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cydropout.functional.dense_step import DenseStep
from cydropout.layers import Dense, Sequential
from cydropout.layers._dense_stack import Block, plan_of, whole_stack
from cydropout.layers._layer import Context, Layer, Parameter
from cydropout.training._batches import Batch
from cydropout.training.losses import Loss, SoftmaxCrossEntropy
from cydropout.training.optimizers import Optimizer

Array = np.ndarray[Any, Any]


class SettledSteps:
    """What steps have in common is found once: the arrays they step, and whether one call does all.

    Parameters
    ----------
    model, loss, optimizer : Layer, Loss and Optimizer
        Of the trainer.
    layers : sequence of Layer
        Those with penalties.
    parameters : mapping of str to Parameter
        Of the model.
    alone : bool
        Whether gradients are stepped as they are, at once: not clipped, nor those of several
        batches together.
    num_threads : int, optional
        Of the kernels.
    """

    def __init__(
        self, model: Layer, loss: Loss, optimizer: Optimizer, layers: Sequence[Layer],
        parameters: Mapping[str, Parameter], alone: bool, num_threads: int | None,
    ) -> None:
        self.update = optimizer.repeated(parameters, num_threads=num_threads)
        self._parts = model, loss, optimizer, layers, parameters
        self._num_threads = num_threads
        # Nothing is known of the optimizer's arrays before its first step.
        self._left = 1 if alone and _takes_labels(loss) and type(model) is Sequential else -1
        self._step: DenseStep | None = None
        self._blocks: Sequence[Block] = ()
        self._states: Sequence[Any] = ()

    def take(self, x: Array, batch: Batch, ctx: Context) -> tuple[float, float, float] | None:
        """Take a step in one call; return loss, accuracy and penalty.

        None says that it is to be run layer by layer.
        """
        if self._left > 0:
            self._left -= 1
            return None
        if self._left == 0:
            self._left = -1
            self._find(x)
        step, y, optimizer = self._step, batch.y, self._parts[2]
        if step is None or batch.weight is not None or not step.fits(x, y):
            return None
        labels = y if y.dtype == np.int64 else y.astype(np.int64)
        rule = optimizer.rule(self._states[0].steps + 1)
        assert ctx.stream is not None
        found: tuple[float, float, float] = ctx.stream.restoring(
            self._run, step, x, labels, ctx, optimizer.kind, rule)
        if math.isfinite(found[0]):
            optimizer.count(self._states)
        return found

    def _run(
        self, step: DenseStep, x: Array, labels: Array, ctx: Context, kind: str,
        rule: Mapping[str, Any],
    ) -> tuple[float, float, float]:
        plans = [plan_of(block, (len(x), block.dense.units), ctx) for block in self._blocks]
        return step(x, labels, plans, kind, num_threads=self._num_threads, **rule)

    def _find(self, x: Array) -> None:
        """Make the one call, if there is one for such a model and optimizer."""
        model, _, optimizer, layers, parameters = self._parts
        stack, states = whole_stack(model), optimizer.together(parameters)
        found = None if stack is None else stack.find(x)
        if found is None or states is None or found.rest or _tied(found.parameters):
            return
        if any(type(one) is not Dense or one.l1 or type(one.l2) is not float for one in layers):
            return
        l2 = {id(one.parameter("weight")): one.l2 for one in layers if isinstance(one, Dense)}
        gradients = {}
        for parameter in parameters.values():
            parameter.zero_grad()
            gradients[id(parameter)] = parameter.unwritten()
        stepped = [
            (one.value, gradients[id(one)], l2.get(id(one), 0.0), *state.arrays)
            for one, state in zip(parameters.values(), states, strict=True)
        ]
        dw, db = ([one and gradients[id(one)] for one in own]
                  for own in (found.weights, found.biases))
        self._step = DenseStep(found.make(), found.w, found.b, dw, db, stepped)
        self._blocks, self._states = found.blocks, states


def _takes_labels(loss: Loss) -> bool:
    """Whether a loss is the plain one of labels."""
    settings = vars(loss) if type(loss) is SoftmaxCrossEntropy else {"label_smoothing": 1.0}
    return not settings["label_smoothing"] and settings["ignore_index"] is None


def _tied(parameters: Sequence[Parameter]) -> bool:
    """Whether a parameter has two places."""
    return len({*map(id, parameters)}) < len(parameters)
