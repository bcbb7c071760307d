"""Code that runs between the epochs and the batches of a training run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arguments import positive
from .layers.base import Layer

if TYPE_CHECKING:
    from .training import Trainer


class Callback:
    """Base class: override what you need; every method does nothing.

    What a callback must remember for a resumed run to end like one that was never stopped goes
    through `state_dict` and `load_state_dict`. To stop after this epoch set
    ``trainer.stop_training = True``.
    """

    def on_train_begin(self, trainer: Trainer, metrics: tuple[str, ...]) -> None:
        """Run before the first epoch; ``metrics`` names what the records can hold."""

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        """Run before epoch ``epoch`` (from 1)."""

    def on_batch_begin(self, trainer: Trainer, epoch: int, step: int) -> None:
        """Run before a batch; ``step`` counts those of all epochs, from 0, also after a resume."""

    def on_epoch_end(self, trainer: Trainer, epoch: int, record: Mapping[str, float]) -> None:
        """Run after epoch ``epoch`` (from 1) with its record, before the checkpoint is saved."""

    def on_train_end(self, trainer: Trainer) -> None:
        """Run once after the last epoch, also when the run stopped early."""

    def state_dict(self) -> dict[str, Any]:
        """Return what to save: numbers, strings, arrays, and lists and dicts of them."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` returned."""


class EarlyStopping(Callback):
    """Stop when ``monitor`` has not improved for ``patience`` epochs.

    An epoch improves when it is better than the best so far by more than ``min_delta``: higher
    for an accuracy, lower for anything else. NaN is never an improvement.

    Parameters
    ----------
    monitor : str
        Metric to watch: ``"val_loss"``, ``"val_accuracy"``, ``"loss"`` or ``"accuracy"``.
    patience : int
        Epochs without improvement after which to stop, at least 1.
    min_delta : float
        Smallest change that counts, at least 0.
    restore_best : bool
        Put the parameters of the best epoch back when the run ends, whether early or not.

    Attributes
    ----------
    best : float
        Best value so far.
    best_epoch : int
        Epoch (from 1) that reached it; 0 before the first.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        positive("patience", patience)
        if not 0.0 <= min_delta < math.inf:
            raise ValueError(f"min_delta must be a finite number of at least 0, got {min_delta!r}")
        self.monitor = monitor
        self.patience = patience
        self.min_delta = float(min_delta)
        self.restore_best = restore_best
        self._sign = -1.0 if monitor.endswith("accuracy") else 1.0
        self._reset()

    def _reset(self) -> None:
        self.best = self._sign * math.inf
        self.best_epoch = 0
        self._waited = 0
        self._best_state: dict[str, Any] = {}

    def on_train_begin(self, trainer: Trainer, metrics: tuple[str, ...]) -> None:
        """Forget an earlier run; refuse a metric that this one does not measure."""
        self._require(metrics)
        self._reset()

    def on_epoch_end(self, trainer: Trainer, epoch: int, record: Mapping[str, float]) -> None:
        """Compare the metric with the best so far."""
        self._require(record)
        value = record[self.monitor]
        if self._sign * value < self._sign * self.best - self.min_delta:
            self.best, self.best_epoch, self._waited = value, epoch, 0
            if self.restore_best:
                self._best_state = {k: np.array(v) for k, v in trainer.model.state_dict().items()}
            return
        self._waited += 1
        if self._waited >= self.patience:
            trainer.stop_training = True

    def on_train_end(self, trainer: Trainer) -> None:
        """Put the best parameters back."""
        if self.restore_best and self._best_state:
            trainer.model.load_state_dict(self._best_state)

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, its epoch, the epochs waited and the best parameters."""
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "waited": self._waited,
            "best_state": self._best_state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self.best = float(state["best"])
        self.best_epoch = int(state["best_epoch"])
        self._waited = int(state["waited"])
        self._best_state = dict(state["best_state"])

    def _require(self, names: Any) -> None:
        if self.monitor not in names:
            hint = "; pass validation_data to fit" if self.monitor.startswith("val_") else ""
            raise ValueError(
                f"EarlyStopping watches {self.monitor!r}, but this run measures "
                f"{[n for n in names if n not in ('epoch', 'seconds')]}{hint}"
            )

    def __repr__(self) -> str:
        return (
            f"EarlyStopping(monitor={self.monitor!r}, patience={self.patience}, "
            f"min_delta={self.min_delta}, restore_best={self.restore_best})"
        )


class LearningRateSchedule(Callback):
    """Set the optimizer's learning rate before every epoch.

    The rate depends on the epoch alone, so a resumed run needs nothing but the same schedule.

    Parameters
    ----------
    schedule : callable
        Takes the epoch (from 1) and returns the learning rate, as in
        ``lambda epoch: 0.001 * 0.5 ** (epoch - 1)``.
    """

    def __init__(self, schedule: Callable[[int], float]) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule must be a function of the epoch, got {schedule!r}")
        self.schedule = schedule

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        """Set the rate of epoch ``epoch``."""
        trainer.optimizer.learning_rate = self.schedule(epoch)


class RateSchedule(Callback):
    """Set the rate of dropout layers before every batch: ``layer.rate = schedule(step)``.

    The rate depends on the step alone, so a resumed run needs nothing but the same schedule. The
    steps of another call of `Trainer.fit` count from 0 again. When the run ends the layers keep
    the last rate.

    Parameters
    ----------
    schedule : callable
        Takes the step (the batches of all epochs, from 0) and returns the rate: one of
        `cydropout.schedules`, or a function such as ``lambda step: min(0.5, step / 1000)``.
    layers : sequence of Layer or str, optional
        The layers, or their paths, as in ``["2.dropout"]``; of one that holds others, all inside.
        By default every layer of the model whose rate can be set, is one number, and is not
        learned; a layer with a dropout of its own, such as `Dense`, only if that begins with a
        rate above 0.

    Raises
    ------
    TypeError
        If ``schedule`` cannot be called or ``layers`` holds anything else.
    ValueError
        When training begins, if a layer is not in the model or has no rate that can be set.
    """

    def __init__(
        self,
        schedule: Callable[[int], Any],
        layers: Sequence[Layer | str] | Layer | str | None = None,
    ) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule must be a function of the step, got {schedule!r}")
        if isinstance(layers, (Layer, str)):
            layers = [layers]
        wrong = [layer for layer in layers or () if not isinstance(layer, (Layer, str))]
        if wrong:
            raise TypeError(f"layers must be layers or their paths, got {wrong[0]!r}")
        self.schedule = schedule
        self.layers = None if layers is None else list(layers)
        self._scheduled: list[Any] = []

    def on_train_begin(self, trainer: Trainer, metrics: tuple[str, ...]) -> None:
        """Find the layers."""
        model: Layer = trainer.model
        if self.layers is None:
            found = [
                holder
                for owner, holder in _rates(model)
                if isinstance(holder.rate, float)
                and not holder.learns_rate
                and (owner is holder or holder.rate > 0)
            ]
            if not found:
                raise ValueError("RateSchedule found no layer with a rate that can be set")
        else:
            found = [one for layer in self.layers for one in self._named(model, layer)]
        self._scheduled = found

    def _named(self, model: Layer, layer: Layer | str) -> list[Any]:
        if isinstance(layer, str):
            paths = dict(model.named_layers())
            if layer not in paths:
                raise ValueError(f"no layer has the path {layer!r}; there are {', '.join(paths)}")
            layer = paths[layer]
        elif not any(layer is one for one in _all(model)):
            raise ValueError(f"{layer!r}, at {layer.path!r}, is no layer of this model")
        found = [holder for _, holder in _rates(layer)]
        if not found:
            raise ValueError(f"layer {layer.path!r} has no rate that can be set")
        return found

    def on_batch_begin(self, trainer: Trainer, epoch: int, step: int) -> None:
        """Set the rate of step ``step``."""
        rate = self.schedule(step)
        for layer in self._scheduled:
            layer.rate = rate


def _all(model: Layer) -> Iterator[Layer]:
    yield from model.walk()
    yield from (holder for _, holder in _rates(model))


def _rates(model: Layer) -> Iterator[tuple[Layer, Any]]:
    """Yield each layer that has a rate, or a dropout with one, and the one whose rate it is."""
    seen: set[int] = set()
    for owner in model.walk():
        for holder in (owner, getattr(owner, "dropout", None)):
            if id(holder) not in seen and isinstance(holder, Layer) and _can_set(holder):
                seen.add(id(holder))
                yield owner, holder


def _can_set(layer: Layer) -> bool:
    kind = getattr(type(layer), "rate", None)
    return kind.fset is not None if isinstance(kind, property) else "rate" in vars(layer)
