"""The steps of an epoch between which no code of others runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cydropout.functional.dense_step import DenseStep
from cydropout.layers import Dense, Sequential
from cydropout.layers._dense_stack import Block, masks_of, plans_of, whole_stack
from cydropout.layers._layer import Context, Layer, Parameter
from cydropout.masks import Mask
from cydropout.training._batch import Batch
from cydropout.training._batches import Epoch, Rows
from cydropout.training._states import State
from cydropout.training.losses import Loss
from cydropout.training.optimizers import Optimizer

Array = np.ndarray[Any, Any]


class OneCall(NamedTuple):
    """A step of samples of one shape, what draws its masks, and the states that it steps.

    ``plans`` are those of the masks of its first step, each with whether it takes a draw: in those
    that follow they draw anew, and no mask is made.
    """

    step: DenseStep
    blocks: Sequence[Block]
    states: Sequence[State]
    plans: list[tuple[Any, bool]]

    def draw(self, rows: int, ctx: Context) -> list[Any]:
        """Return what draws and applies the masks of a step, None where all is kept."""
        if self.plans:
            for plan, draws in self.plans:
                if draws:
                    plan.redraw(ctx.training_stream().take())
            return [plan for plan, _ in self.plans]
        masks = masks_of(self.blocks, (rows,), ctx)
        plans = plans_of(masks)
        if all(mask is None or type(mask) is Mask for mask in masks):
            self.plans.extend(
                (plan, mask is not None and mask.draw is not None)
                for plan, mask in zip(plans, masks, strict=True))
        return plans


class Taken(NamedTuple):
    """Steps that were taken in one call: what each measured, and samples and draw of the last."""

    measured: list[tuple[float, float | None, float]]
    x: Array
    draw: int


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
    made : dict
        The steps of the epoch before by all that they were made of; this one's are its own `made`.
    """

    def __init__(
        self, model: Layer, loss: Loss, optimizer: Optimizer, layers: Sequence[Layer],
        parameters: Mapping[str, Parameter], alone: bool, num_threads: int | None,
        made: dict[Any, DenseStep],
    ) -> None:
        self.update = optimizer.repeated(parameters, num_threads=num_threads)
        self._parts = model, loss, optimizer, layers, parameters
        self._num_threads = num_threads
        self._before, self.made = made, dict[Any, DenseStep]()
        # Nothing is known of the optimizer's arrays before its first step: then there is a second.
        self._tries = 2 if alone and loss.kernel and type(model) is Sequential else 0
        self._found: dict[Any, tuple[int, OneCall | None]] = {}

    def take(
        self, x: Array, batch: Batch, ctx: Context
    ) -> tuple[float, float | None, float] | None:
        """Take a step in one call; return loss, accuracy and penalty.

        None says that it is to be run layer by layer.
        """
        tries, one = self._found.get(x.shape, (0, None))
        if one is None and tries < self._tries:
            one = self._find(x)
            self._found[x.shape] = tries + 1, one
        if one is None or batch.weight is not None or not one.step.fits(x, batch.y):
            return None
        return self._steps(one, Rows(x, None, batch.y), ctx, 1)[0]

    def several(self, epoch: Epoch, ctx: Context, most: int) -> Taken | None:
        """Take the steps of the next batches, at most so many, in one call.

        None says that there are none, or that they are to be taken one by one. The last one's loss
        may not be finite.
        """
        data = epoch.data
        _, one = self._found.get((data.size, *data.x.shape[1:]), (0, None))
        if one is None or not one.plans or not epoch.plain:
            return None
        most = min(most, one.step.together)
        if most < 2 or not one.step.reads(data.x, data.own[0]):
            return None
        rows = epoch.several(most)
        if rows is None:
            return None
        stream = ctx.training_stream()
        steps, drawn = len(rows.y) // data.size, sum(draws for _, draws in one.plans)
        draw = stream.next_draw
        measured = self._steps(one, rows, ctx, steps)
        stream.give_back(draw + len(measured) * drawn, (steps - len(measured)) * drawn)
        last = len(measured) - 1
        return Taken(measured, one.step.batch(rows.x, rows.order, last), draw + last * drawn)

    def _steps(
        self, one: OneCall, rows: Rows, ctx: Context, steps: int
    ) -> list[tuple[float, float | None, float]]:
        """Take and count steps until a loss is not finite; return what each measured."""
        measured = ctx.training_stream().restoring(self._run, one, rows, ctx, steps)
        finite = len(measured) - (not math.isfinite(measured[-1][0]))
        self._parts[2].count(one.states, finite)
        return measured

    def _run(
        self, one: OneCall, rows: Rows, ctx: Context, steps: int
    ) -> list[tuple[float, float | None, float]]:
        optimizer, done = self._parts[2], one.states[0].steps
        plans = one.draw(len(rows.y) // steps, ctx)
        draws = [draws for _, draws in one.plans] or [False] * len(plans)
        if steps > 1:
            ctx.training_stream().take((steps - 1) * sum(draws))
        rules = [optimizer.rule(done + step) for step in range(1, steps + 1)]
        return one.step.several(*rows, plans, draws, optimizer.kind, rules,
                                num_threads=self._num_threads)

    def _find(self, x: Array) -> OneCall | None:
        """Return the one call, if there is one for such a model and optimizer."""
        model, loss, optimizer, layers, parameters = self._parts
        stack, states = whole_stack(model), optimizer.together(parameters)
        found = None if stack is None else stack.find(x)
        if stack is None or found is None or states is None or loss.kernel is None:
            return None
        if len({*map(id, found.parameters)}) < len(found.parameters):  # one has two places
            return None
        if any(type(one) is not Dense or one.l1 or type(one.l2) is not float for one in layers):
            return None
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
        # What was made of the same arrays and settings holds; it has the arrays, so their ids do.
        key = (*found.described, loss.kernel,
               *map(id, (*found.w, *found.b, *dw, *db)),
               *((id(w), id(g), strength, *map(id, own)) for w, g, strength, *own in stepped))
        step = self._before.get(key) or DenseStep(
            found.make(), loss.kernel, found.w, found.b, dw, db, stepped)
        self.made[key] = step
        return OneCall(step, stack.blocks, states, [])
