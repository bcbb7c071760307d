"""What is looked at before the first step: whether model, loss and data fit each other."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any

from cydropout._samples import check_ends, spread
from cydropout._validate import ArgumentTypeError, Array, is_ours
from cydropout.layers._layer import Context, Layer
from cydropout.training._batch import Batch
from cydropout.training._batches import Batches
from cydropout.training.losses import Loss


def check_data(
    model: Layer, loss: Loss, data: Batches, batch: Batch, what: str = "", weighted: bool = False
) -> tuple[int, ...]:
    """Raise if inputs, targets or weights do not fit, of arrays any and else those of one batch.

    Return the shape of a prediction.
    """
    with _named(what):
        x = batch.x[:1]
        model.convert(x)
        loss.check_output(_last_activation(model))
        if weighted or batch.weight is not None:
            loss.check_weighable()
        shape = model.output_shape(x.shape[1:])
        names = ("__call__", "value_and_gradient", "losses_and_gradient")
        if not all(is_ours(getattr(type(loss), name)) for name in names):
            return shape  # Only its author knows which targets it takes.
        try:
            _check_targets(loss, data, batch, shape)
        except (TypeError, ValueError):
            # A layer without an output_shape of its own may give another shape than it says.
            said = shape
            with suppress(Exception):
                twin = copy.deepcopy(model)
                twin.build(x.shape[1:], 0)
                shape = twin.forward(x, Context())[0].shape[1:]
            if shape == said:
                raise
            _check_targets(loss, data, batch, shape)
        return shape


def check_smallest(model: Layer, data: Batches) -> None:
    """Raise if a layer of the model, which is built, needs more samples than the last batch has."""
    for layer in model.walk():
        if data.smallest is not None and data.smallest < layer.least_samples:
            raise ValueError(
                f"{layer.path} needs {layer.least_samples} samples or more to train on, but the "
                f"last batch has {data.smallest}: use drop_last=True, or another batch_size"
            )


def check_sequences(model: Layer, x: Any, lengths: Any) -> Array | None:
    """Return the lengths of sequences, where there are some that the model can take."""
    if lengths is None:
        return None
    checked = check_ends("lengths", lengths, x.shape)
    model.keeps_lengths(x.shape[1:])
    return checked


def check_batch(model: Layer, x: Any) -> Any:
    """Return samples, if they are not one alone."""
    shape = getattr(model, "input_shape", None)
    if shape is not None and x.ndim == len(shape):
        wanted = ", ".join(["n", *map(str, shape)])
        raise ValueError(
            f"x must be a batch, of shape ({wanted}), not {x.shape}; of one sample make x[None]"
        )
    return x


def _check_targets(loss: Loss, data: Batches, batch: Batch, shape: tuple[int, ...]) -> None:
    positions = loss.positions(shape)
    for first, (_, target, weight, *_) in chain([(0, batch)], data.targets()):
        loss.check_targets(target, shape, first)
        if weight is not None:
            spread(weight, (len(target), *positions), "sample_weight")


def _last_activation(model: Layer) -> str | None:
    """Return the name of the activation whose output is the model's, where it has one."""
    parts = model.parts()
    last: Any = parts[-1] if parts else model
    last = getattr(last, "layer", last)
    return getattr(last, "activation", None) or getattr(last, "function", None)


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Put in front of an error of which data it is."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if type(error) not in (TypeError, ValueError, ArgumentTypeError):
            raise
        raise type(error)(f"{what}{error}") from error
