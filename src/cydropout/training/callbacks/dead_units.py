"""DeadUnits: find units that say nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cydropout._samples import check_ends, check_samples, within
from cydropout._validate import check_count, optional
from cydropout.layers._affine import Affine
from cydropout.layers._layer import Array, Context, Layer, check_model
from cydropout.layers.activations import Activation
from cydropout.layers.conv import Conv2D
from cydropout.training._batches import padded
from cydropout.training._checks import check_batch, check_sequences
from cydropout.training.callbacks.base import Callback, Trainer
from cydropout.training.nonfinite import outputs


def dead_units(
    model: Layer, x: Any, *, batch_size: int = 1024, lengths: Any = None
) -> dict[str, Array]:
    """Return, by path, which units give the same output for every sample, without dropout.

    Such a unit no longer distinguishes its inputs: a ReLU that is 0 for all of them gets no
    gradient and stays dead, a saturated sigmoid nearly none. Looked at are the outputs of
    activations and of layers with an activation of their own. Where a layer says along which axis
    its units lie, as `Dense` (the last), `Conv2D`, pooling and `BatchNorm` (that of the channels)
    do, they lie there until one says otherwise or changes the number of axes, and else along the
    last axis. So of maps a unit is a channel, dead if it is the same at every place.

    Parameters
    ----------
    model : Layer
        Built; a `Sequential`, or one layer.
    x : array
        Samples, as many and as different as will be used.
    batch_size : int
        Samples at a time.
    lengths : array of int, optional
        How many positions of each sequence count, as in `Trainer.fit`; padding is not looked at.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.layers import Dense, ReLU, Sequential
    >>> from cydropout.training.callbacks import dead_units
    >>> model = Sequential([Dense(2), ReLU()])
    >>> model.build((3,), 0)
    >>> model.parameters()[0].value[:, 0] = -1
    >>> dead_units(model, np.random.default_rng(0).random((8, 3), "f4"))
    {'1.relu': array([0])}
    """
    x = check_batch(check_model(model), check_samples(x))
    check_count("batch_size", batch_size)
    lengths = check_sequences(model, x, lengths)
    ends: dict[str, tuple[Array, Array]] = {}
    for rows, real in padded(x, lengths, batch_size):
        axis, ndim = -1, x.ndim
        for path, layer, y, inside in outputs(model, rows, Context(lengths=real)):
            if layer.unit_axis is not None:
                axis = layer.unit_axis
            elif y.ndim != ndim:
                axis = -1
            ndim = y.ndim
            if not _is_active(layer):
                continue
            columns = np.moveaxis(y, axis, -1)
            if inside is not None:
                columns = columns[within(inside, y.shape[1])]
            columns = columns.reshape(-1, y.shape[axis])
            low, high = columns.min(axis=0), columns.max(axis=0)
            if path in ends:
                low, high = np.minimum(low, ends[path][0]), np.maximum(high, ends[path][1])
            ends[path] = low, high
    return {path: np.flatnonzero(low == high) for path, (low, high) in ends.items()}


class DeadUnits(Callback):
    """Find dead units, as `dead_units` does, after every so many epochs.

    Parameters
    ----------
    x : array
        Samples to look with, such as those of the validation.
    every : int
        Epochs from one look to the next.
    lengths : array of int, optional
        Those of sequences, as `dead_units` takes them.

    Attributes
    ----------
    dead : dict of str to array of int
        The dead units of each layer at the last look, by path.
    counts : list of dict
        For each look its ``epoch``, and the number of dead units by path.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.training.callbacks import DeadUnits
    >>> DeadUnits(np.ones((8, 4), "f4"), every=2).every
    2
    """

    def __init__(self, x: Any, every: int = 1, *, lengths: Any = None) -> None:
        self.x = check_samples(x)
        self.every = check_count("every", every)
        self.lengths = optional(check_ends, "lengths", lengths, self.x.shape)
        self._begin()

    def _begin(self) -> None:
        self.dead: dict[str, Array] = {}
        self.counts: list[dict[str, int]] = []

    def on_train_begin(self, trainer: Trainer, metrics: tuple[str, ...]) -> None:
        """Forget an earlier run."""
        self._begin()

    def on_epoch_end(self, trainer: Trainer, epoch: int, record: Mapping[str, float]) -> None:
        """Look."""
        if epoch % self.every == 0:
            self.dead = dead_units(trainer.model, self.x, lengths=self.lengths)
            self.counts.append(
                {"epoch": epoch} | {path: len(units) for path, units in self.dead.items()}
            )

    def state_dict(self) -> dict[str, Any]:
        """Return what was found."""
        return {"dead": dict(self.dead), "counts": list(self.counts)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self.dead, self.counts = dict(state["dead"]), list(state["counts"])


def _is_active(layer: Layer) -> bool:
    if isinstance(layer, (Affine, Conv2D)):
        return bool(layer.activation != "linear")
    return isinstance(layer, Activation)
