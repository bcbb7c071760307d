"""Guard: end a run that goes wrong, with its last good state on disk."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cydropout._files.replace import check_target
from cydropout._validate import check_count, check_number
from cydropout.layers._layer import Array, Layer, held_noise
from cydropout.masks import BaseMask
from cydropout.training.callbacks.base import Callback, Trainer
from cydropout.training.checkpoint import save_checkpoint
from cydropout.training.nonfinite import NonFiniteLossError


class DroppedShareError(RuntimeError):
    """A layer dropped more than its limit in one batch.

    Attributes
    ----------
    layer : str
        Its path.
    share, limit : float
        What it dropped and what it may.
    epoch, step : int
        Where: the epoch from 1, the batch of all epochs from 0.
    """

    of_all = True

    def __init__(self, layer: str, share: float, limit: float, epoch: int, step: int) -> None:
        self.layer, self.share, self.limit, self.epoch, self.step = layer, share, limit, epoch, step
        super().__init__(
            f"layer {layer!r} dropped {share:.2%} of its units in epoch {epoch}, step {step}; "
            f"the limit is {limit:.2%}: check its rate and the schedule of it"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.layer, self.share, self.limit, self.epoch, self.step)


class Guard(Callback):
    """Stop when a layer drops more than it may, or the loss is no longer finite.

    The share of a layer is counted in the masks of the batch: dropped elements over all, of units,
    weights or tokens, whichever the layer drops. Noise without zeros drops nothing. The training
    then ends with a `DroppedShareError` that names layer and share, or the `NonFiniteLossError`
    that `Trainer` raises, and the last good state is saved: that before a batch in which
    nothing was wrong. ``trainer.fit(..., checkpoint=path, resume=True)`` goes on from there.

    Parameters
    ----------
    limit : float or mapping
        Largest share, between 0 and 1; a mapping gives it for the layers whose paths it names, as
        in ``{"1.dropout": 0.7}``. The share of a small batch scatters around the rate.
    checkpoint : path-like, optional
        File of the last good state, written when the run goes wrong.
    every : int
        Look at the masks, and copy the state, at every so many batches. A batch that is looked at
        costs a count of its masks, and with ``checkpoint`` a copy of the parameters.

    Attributes
    ----------
    shares : dict of str to float
        The shares of the batch that was looked at last, by path.

    Raises
    ------
    ValueError
        If ``limit`` is no share, or when training begins names no layer, or the file cannot be
        written.

    Examples
    --------
    >>> from cydropout.training.callbacks import Guard
    >>> Guard(0.95).limit
    0.95
    """

    def __init__(
        self,
        limit: float | Mapping[str, float] = 0.95,
        checkpoint: str | os.PathLike[str] | None = None,
        every: int = 1,
    ) -> None:
        self.every = check_count("every", every)
        self.limit: float | dict[str, float]
        if isinstance(limit, Mapping):
            self.limit = {path: check_number("limit", one, "[0, 1]") for path, one in limit.items()}
        else:
            self.limit = check_number("limit", limit, "[0, 1]")
        self.checkpoint = None if checkpoint is None else check_target(checkpoint)
        self._begin()

    def _begin(self) -> None:
        self.shares: dict[str, float] = {}
        self.reads_masks = False
        self._names: dict[Layer, str] = {}
        self._tried: dict[str, Any] | None = None
        self._good: dict[str, Any] | None = None

    def on_train_begin(self, trainer: Trainer, metrics: tuple[str, ...]) -> None:
        """Find the paths of the layers."""
        self._begin()
        self._names = _paths(trainer.model)
        if isinstance(self.limit, Mapping):
            unknown = sorted(self.limit.keys() - set(self._names.values()))
            if unknown:
                raise ValueError(
                    f"no layer has the path {unknown[0]!r}; there are "
                    f"{', '.join(sorted(set(self._names.values())))}"
                )

    def on_batch_begin(self, trainer: Trainer, epoch: int, step: int) -> None:
        """Copy the state, which is good if the batch is."""
        self.reads_masks = step % self.every == 0
        if self.checkpoint is not None and self.reads_masks and trainer._leads:
            self._tried = trainer.state()

    def on_batch_end(
        self, trainer: Trainer, epoch: int, step: int, record: Mapping[str, float]
    ) -> None:
        """Count what was dropped."""
        if not self.reads_masks:
            return
        counts: dict[tuple[int, str, int], Array] = {}
        for part, masks in enumerate(trainer.masks):  # of some rows of the batch, pass by pass
            for layer, mask in masks.items():
                path = self._names.get(layer, layer.path)
                for place, one in enumerate(_single(mask)):
                    key = part % trainer.loss.passes, path, place
                    own = math.prod(one.shape) * np.array([one.dropped_fraction, 1.0])
                    counts[key] = counts.get(key, 0.0) + own
        totals = trainer._sums(np.array([*counts.values()]).reshape(-1, 2))
        self.shares = {}
        for (_, path, _), (dropped, size) in zip(counts, totals, strict=True):
            self.shares[path] = max(float(dropped / size), self.shares.get(path, 0.0))
        for path, share in self.shares.items():
            limit = _limit(self.limit, path)
            if share > limit:
                raise DroppedShareError(path, share, limit, epoch, step)
        self._good, self._tried = self._tried, None

    def on_error(self, trainer: Trainer, error: BaseException) -> None:
        """Save the last good state, if the error is one of those guarded against."""
        guarded = isinstance(error, (DroppedShareError, NonFiniteLossError))
        if guarded and self.checkpoint is not None and self._good is not None:
            save_checkpoint(self.checkpoint, self._good)


def _limit(limits: float | Mapping[str, float], path: str) -> float:
    """Return the limit of a layer, or of the innermost one around it that has one."""
    if not isinstance(limits, Mapping):
        return limits
    while path and path not in limits:
        path = path.rpartition(".")[0]
    return limits.get(path, 1.0)


def dropped_shares(mask: Any) -> Iterator[float]:
    """Yield the share that a mask drops, or of each mask of a layer that has several."""
    yield from (one.dropped_fraction for one in _single(mask))


def _single(mask: Any) -> Iterator[BaseMask]:
    """Yield a mask, or each of a layer that has several, if it has elements."""
    if isinstance(mask, Mapping):
        for one in mask.values():
            yield from _single(one)
    elif isinstance(mask, BaseMask) and 0 not in mask.shape:
        yield mask


def _paths(model: Layer) -> dict[Layer, str]:
    """Return the path of every layer; noise that a layer runs by itself has that layer's."""
    names: dict[Layer, str] = {}
    held = held_noise(model)
    for path, layer in [(model.path, model), *model.named_layers()]:
        if layer not in held:
            names |= dict.fromkeys(layer.walk(), path)
    return names
