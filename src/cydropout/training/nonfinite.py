"""Where a NaN or an infinity came from."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from cydropout.layers._layer import Context, Layer, Parameter

if TYPE_CHECKING:
    from cydropout.training._evaluation import Evaluation
    from cydropout.training.run import Run

Array = np.ndarray[Any, Any]


class NonFiniteLossError(FloatingPointError):
    """The loss of a training step is NaN or infinite.

    The step changed no parameter, and the stream is back where it was before it. Where the last
    step of an epoch spoils the parameters themselves, ``value`` is NaN, as the next loss would be.

    Attributes
    ----------
    epoch, step : int
        Where it happened, both from 1; ``step`` counts the batches of the epoch.
    layer : str
        The path, as in "2.dense", of the first layer whose output is not finite; ``"input"`` when
        the batch itself is not, or ``"loss"`` when every output is finite. Several processes
        name the first that is not finite in one of them.
    """

    of_all = True

    def __init__(self, value: float, epoch: int, step: int, layer: str) -> None:
        self.value, self.epoch, self.step, self.layer = value, epoch, step, layer
        cause = {
            "input": "the batch itself holds NaN or Inf (input); clean the data",
            "loss": "every layer's output is finite, so it is the loss itself; check the targets",
        }.get(
            layer,
            f"layer {layer!r} is the first whose output is not finite; "
            "lower the learning rate or check its parameters",
        )
        super().__init__(f"the loss is {value} at epoch {epoch}, step {step}: {cause}")

    def __reduce__(self) -> tuple[type[NonFiniteLossError], tuple[float, int, int, str]]:
        return type(self), (self.value, self.epoch, self.step, self.layer)


def first_nonfinite(model: Layer, x: Array, ctx: Context, draw: int, passes: int = 1) -> str:
    """Replay a step layer by layer and name the first one whose output is not finite.

    ``draw`` is where the stream stood before the step of so many passes, and is left at.
    Returns ``"input"`` or ``"loss"`` as `NonFiniteLossError` explains them.
    """
    stream: Any = ctx.stream
    stream.next_draw = draw
    if not _finite(x, ctx):
        return "input"
    try:
        with np.errstate(all="ignore"):
            for name, _, y, _ in chain.from_iterable(outputs(model, x, ctx) for _ in range(passes)):
                if not _finite(y, ctx):
                    return name
    finally:
        stream.next_draw = draw
    return "loss"


def check_loss(
    trainer: Evaluation, value: float, run: Run, x: Array, ctx: Context, draw: int
) -> None:
    """Raise if the loss of a batch is not finite; ``draw`` came first in its step."""
    if not math.isfinite(value):
        layer = first_nonfinite(trainer.model, x, ctx, draw, trainer.loss.passes)
        raise NonFiniteLossError(value, run.epoch + 1, run.step + 1, layer)


def check_parameters(
    trainer: Evaluation, parameters: Mapping[str, Parameter], epoch: int, step: int,
    last: tuple[Array, Context, int] | None,
) -> None:
    """Raise if the last batch spoilt the parameters: the next loss, after the checkpoint."""
    if last and not all(np.isfinite(p.value).all() for p in parameters.values()):
        layer = first_nonfinite(trainer.model, *last, trainer.loss.passes)
        raise NonFiniteLossError(math.nan, epoch, step, layer)


def outputs(
    layer: Layer, x: Array, ctx: Context, path: str | None = None
) -> Generator[tuple[str, Layer, Array, Array | None], None, Array]:
    """Run a layer, and yield of it or of each one inside, in order, what came out.

    That is path, layer, output, and the lengths of its sequences where it has padding.
    """
    inside = layer.branch
    if inside is None:
        y, _ = layer.forward(x, ctx)
        yield path or layer.path, layer, y, ctx.behind([layer], x.shape).lengths
        return y
    draw, whole = ctx.stream.next_draw if ctx.stream else 0, ctx
    y = inside.convert(x)
    for name, inner in zip(inside.paths, inside.layers, strict=True):
        place = f"{path}.{name}" if path else name
        behind = ctx.behind([inner], y.shape)
        y = yield from outputs(inner, y, ctx, place)
        ctx = behind
    if inside is not layer:
        # More happens than in the layers inside: it is run as it is, with the draws they had.
        if ctx.stream:
            ctx.stream.next_draw = draw
        y, _ = layer.forward(x, whole)
        yield path or layer.path, layer, y, whole.behind([layer], x.shape).lengths
    return y


def _finite(x: Array, ctx: Context) -> bool:
    """Whether all is finite, of the rows that other processes have too."""
    fine = x.dtype.kind in "biu" or bool(np.isfinite(x).all())
    return fine if ctx.sums is None else not ctx.sums(np.array([not fine], np.float64))[0]
