"""One batch: samples, targets and weights, and the padding of its sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cydropout._samples import along, spread, unpadded, within
from cydropout._validate import Array

#: Whether the predictions for samples of a shape are sequences too, as `Layer.keeps_lengths` says.
Keeps = Callable[[tuple[int, ...]], bool]


class Batch(NamedTuple):
    """Samples and targets, and where there are some their weights, and lengths of sequences.

    ``real`` says which positions of the predictions are no padding, where these are sequences too,
    and ``rows`` which samples of how many in all they are, if others have the rest.
    """

    x: Array
    y: Array
    weight: Array | None = None
    lengths: Array | None = None
    real: Array | None = None
    rows: tuple[int, int, int] | None = None

    @property
    def samples(self) -> int:
        """How many samples all of the batch has."""
        return len(self.x) if self.rows is None else self.rows[2]

    def part(self, start: int, stop: int, total: int, first: int | None = None) -> Batch:
        """Return some samples: rows ``[start, stop)``, or from ``first`` on, of ``total`` ones."""
        own: list[Any] = [None if one is None else one[start:stop] for one in self[:-1]]
        first = start if first is None else first
        return Batch(*own)._replace(rows=(first, first + stop - start, total))

    @property
    def own(self) -> tuple[Array, ...]:
        """What a loss gets besides the predictions."""
        return (self.y,) if self.weight is None else (self.y, self.weight)

    def counts(self, total: float | None) -> float | None:
        """Return for how much the batch counts in a mean: with positions each by itself."""
        return total if self.real is None or total is None else total * self.real.shape[1]


def without_padding(batch: Batch, keeps: Keeps, shape: tuple[int, ...]) -> Batch:
    """Return a batch whose padding weighs nothing, and holds what is at the start.

    ``shape`` is that of a sample; a batch of targets alone has no samples.
    """
    if batch.lengths is None:
        return batch
    x, y, weight, *_ = batch
    real = within(batch.lengths, shape[0])
    batch = batch._replace(x=unpadded(x, real) if len(x) else x)
    if not keeps(shape):
        return batch
    if y.shape[:2] == real.shape:  # else the loss refuses them
        y = unpadded(y, real)
    if weight is None:
        weight = real.astype(np.float64)
    elif weight.ndim < 3:
        weight = spread(weight, real.shape, "sample_weight") * real
    elif weight.shape[:2] == real.shape:
        weight = weight * along(real, weight.ndim)
    return batch._replace(y=y, weight=weight, real=real)
