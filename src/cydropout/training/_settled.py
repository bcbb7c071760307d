"""The steps of an epoch between which no code of others runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from cydropout.functional.dense_stack import Part
from cydropout.functional.dense_step import DenseStep
from cydropout.layers import Dense, Sequential
from cydropout.layers._batchwise import Chain
from cydropout.layers._dense_stack import Stack, masks_of, plans_of
from cydropout.layers._layer import Context, Layer, Parameter
from cydropout.masks import Mask
from cydropout.training._batch import Batch
from cydropout.training._batches import Epoch, Rows
from cydropout.training._states import State
from cydropout.training.losses import Loss
from cydropout.training.optimizers import Optimizer

Array = np.ndarray[Any, Any]


class Drawn(NamedTuple):
    """The masks of steps that follow each other.

    ``plans`` draw and apply those of the first step, None where all is kept; ``draws`` says which
    of them draw anew in each step. ``parts`` are what takes part in each, in place of both, where
    that is the same for all samples. ``marks`` are the numbers of the first draw of each step, and
    of the next.
    """

    plans: list[Any]
    draws: list[bool]
    parts: list[Part] | None
    marks: list[int]


class OneCall(NamedTuple):
    """A step of samples of one shape, of what, and the states that it steps.

    ``plans`` are those of the masks of its first step, each with whether it takes a draw: in those
    that follow they draw anew, and no mask is made.
    """

    step: DenseStep
    source: Stack | Chain
    states: Sequence[State]
    plans: list[tuple[Any, bool]]

    @property
    def repeats(self) -> bool:
        """Whether several steps may be taken together."""
        return bool(self.plans) or isinstance(self.source, Chain)

    def draw(self, shape: tuple[int, ...], ctx: Context, steps: int) -> Drawn:
        """Draw the masks of as many steps, or as many as can be taken in one call."""
        stream = ctx.training_stream()
        first = stream.next_draw
        if isinstance(self.source, Chain):
            parts: list[Part] = []
            marks = [first]
            while len(parts) < steps:
                part = self.source.part(shape, ctx)
                if not part.is_wide:
                    stream.give_back(marks[-1], stream.next_draw - marks[-1])
                    break
                parts.append(part)
                marks.append(stream.next_draw)
            return Drawn([], [], parts, marks)
        if not self.plans:
            masks = masks_of(self.source.blocks, shape[:1], ctx)
            plans = plans_of(masks)
            if all(mask is None or type(mask) is Mask for mask in masks):
                self.plans.extend(
                    (plan, mask is not None and mask.draw is not None)
                    for plan, mask in zip(plans, masks, strict=True))
            return Drawn(plans, [False] * len(plans), None, [first, stream.next_draw])
        plans, draws = map(list, zip(*self.plans, strict=True))
        count = sum(draws)
        first = stream.take(steps * count)
        for place, plan in enumerate(plan for plan, own in self.plans if own):
            plan.redraw(first + place)
        return Drawn(plans, draws, None, [first + step * count for step in range(steps + 1)])


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
        # Lets the parameters know what the last step in one call has left as their gradients.
        self._written: Callable[[], None] | None = None

    def finish(self) -> None:
        """Have all be as a step layer by layer leaves it."""
        if self._written is not None:
            self._written()
            self._written = None

    def take(
        self, x: Array, batch: Batch, ctx: Context
    ) -> tuple[float, float | None, float] | None:
        """Take a step in one call; return loss, accuracy and penalty.

        None says that it is to be run layer by layer.
        """
        tries, one = self._found.get(x.shape, (0, None))
        if one is None and tries < self._tries:
            one = self._find(x, ctx)
            self._found[x.shape] = tries + 1, one
        if one is None or batch.weight is not None or not one.step.fits(x, batch.y):
            self.finish()
            return None
        taken = self._steps(one, x.shape, ctx, 1, lambda _: Rows(x, None, batch.y))
        return None if taken is None else taken.measured[0]

    def several(self, epoch: Epoch, ctx: Context, most: int) -> Taken | None:
        """Take the steps of the next batches, at most so many, in one call.

        None says that there are none, or that they are to be taken one by one. The last one's loss
        may not be finite.
        """
        data = epoch.data
        shape = data.size, *data.x.shape[1:]
        _, one = self._found.get(shape, (0, None))
        if one is None or not one.repeats or not epoch.plain:
            return None
        most = min(most, one.step.together, epoch.whole)
        if most < 2 or not one.step.reads(data.x, data.own[0]):
            return None
        return self._steps(one, shape, ctx, most, epoch.several)

    def _steps(
        self, one: OneCall, shape: tuple[int, ...], ctx: Context, most: int,
        rows_of: Callable[[int], Rows],
    ) -> Taken | None:
        """Take and count steps until a loss is not finite, at most so many, of their rows."""
        taken = ctx.training_stream().restoring(self._run, one, shape, ctx, most, rows_of)
        if taken is not None:
            finite = math.isfinite(taken.measured[-1][0])
            self._parts[2].count(one.states, len(taken.measured) - (not finite))
        return taken

    def _run(
        self, one: OneCall, shape: tuple[int, ...], ctx: Context, most: int,
        rows_of: Callable[[int], Rows],
    ) -> Taken | None:
        optimizer, stream, before = self._parts[2], ctx.training_stream(), one.states[0].steps
        drawn = one.draw(shape, ctx, most)
        steps, parts = len(drawn.marks) - 1, drawn.parts
        if not steps:
            self.finish()
            return None
        rows = rows_of(steps)
        if parts is not None and optimizer.rests:
            parts = [part._replace(lazy=[True] * len(part.lazy)) for part in parts]
        rules = [optimizer.rule(before + step) for step in range(1, steps + 1)]
        measured = one.step.several(*rows, drawn.plans, drawn.draws, optimizer.kind, rules,
                                    parts=parts, num_threads=self._num_threads)
        last = len(measured) - 1
        stream.give_back(drawn.marks[last + 1], drawn.marks[-1] - drawn.marks[last + 1])
        stepped = last if math.isfinite(measured[last][0]) else last - 1
        if stepped >= 0:
            part = None if drawn.parts is None else drawn.parts[stepped]
            self._written = partial(one.source.wrote, part)
        return Taken(measured, one.step.batch(rows.x, rows.order, last), drawn.marks[last])

    def _find(self, x: Array, ctx: Context) -> OneCall | None:
        """Return the one call, if there is one for such a model and optimizer."""
        model, loss, optimizer, layers, parameters = self._parts
        source, states = whole(model), optimizer.together(parameters)
        found = None if source is None else source.find(x, ctx)
        if source is None or found is None or states is None or loss.kernel is None:
            return None
        if len({*map(id, found.parameters)}) < len(found.parameters):  # one has two places
            return None
        if any(type(one) is not Dense or one.l1 or type(one.l2) is not float for one in layers):
            return None
        if isinstance(source, Chain) and any(one.l2 for one in layers):  # it is one of all weights
            return None
        l2 = {id(one.parameter("weight")): one.l2 for one in layers if isinstance(one, Dense)}
        gradients = {id(one): one.place for one in parameters.values()}
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
        return OneCall(step, source, states, [])


def whole(model: Any) -> Stack | Chain | None:
    """Return what runs all of a `Sequential` in a training step, where it is one pass of these."""
    steps = model._stacked
    source = getattr(steps[0].forward, "__self__", None) if len(steps) == 1 else None
    return source if isinstance(source, (Stack, Chain)) else None
