"""RateSchedule: dropout rates that change while a model is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cydropout._validate import check_all, check_function, check_rate
from cydropout.layers._layer import Layer, held_noise
from cydropout.training.callbacks.base import Callback, Trainer
from cydropout.training.schedules import Schedule


class RateSchedule(Callback):
    """Set the rate of dropout layers before every batch: ``layer.rate = schedule(step)``.

    The rate depends on the step alone, so a resumed run needs nothing but the same schedule, and a
    model whose rates are those that the run began with. The steps of another call of `Trainer.fit`
    count from 0 again. When the run ends the layers keep the last rate.

    Parameters
    ----------
    schedule : callable
        Takes the step (the batches of all epochs, from 0) and returns the rate: one of
        `cydropout.training.schedules`, or a function, as ``lambda step: min(0.5, step / 1000)``.
    layers : sequence of Layer or str, optional
        The layers, or their paths, as in ``["2.dropout"]``; of one that holds others, all inside.
        By default every layer of the model whose rate can be set, is one number, and is not
        learned. The noise that a layer runs by itself, as `LSTM`, `MultiHeadAttention` and
        `Residual` do, counts where it begins with a rate above 0, or where a named layer has no
        other; name its attribute, as in ``"0.lstm.zoneout"``, to have it alone.

    Raises
    ------
    TypeError
        If ``schedule`` cannot be called or ``layers`` holds anything else.
    ValueError
        If one of `cydropout.training.schedules` goes above 1; before a batch, if a function gives
        no rate; when training begins, if a layer is not in the model or its rate cannot be set.

    Examples
    --------
    >>> from cydropout.training.callbacks import RateSchedule
    >>> from cydropout.training.schedules import Linear
    >>> RateSchedule(Linear(0.0, 0.5, 100)).schedule(50)
    0.25
    """

    def __init__(
        self,
        schedule: Callable[[int], Any],
        layers: Sequence[Layer | str] | Layer | str | None = None,
    ) -> None:
        check_function("schedule", schedule, "the step")
        if isinstance(schedule, Schedule) and schedule.highest > 1:
            raise ValueError(
                f"a rate of dropout must lie between 0 and 1, not at {schedule.highest:g}, which "
                f"{schedule!r} comes to"
            )
        if layers is not None:
            layers = [layers] if isinstance(layers, (Layer, str)) else layers
            layers = check_all("layers", layers, Layer, str)
        self.schedule = schedule
        self.layers = layers
        self._scheduled: list[Any] = []
        self._rate: Any = None  # that of the last step

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"schedule": self.schedule, "layers": self.layers}

    def on_train_begin(self, trainer: Trainer, metrics: tuple[str, ...]) -> None:
        """Find the layers."""
        self._scheduled, self._rate = rate_layers(trainer.model, self.layers), None

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        """Set the rate of the last step again: a resumed run may have no further one."""
        if self._rate is not None:
            for layer in self._scheduled:
                layer.rate = self._rate

    def on_batch_begin(self, trainer: Trainer, epoch: int, step: int) -> None:
        """Set the rate of step ``step``."""
        rate = self.schedule(step)
        for layer in self._scheduled:
            layer.rate = rate
        self._rate = check_rate(rate)

    def on_train_end(self, trainer: Trainer) -> None:
        """Leave the rate of the last step, also where that was before a resume."""
        self.on_epoch_begin(trainer, 0)

    def state_dict(self) -> dict[str, Any]:
        """Return the rate of the last step."""
        return {"rate": self._rate}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take that back; layers get it when the run goes on."""
        self._rate = None if state["rate"] is None else check_rate(state["rate"])


def rate_layers(model: Layer, layers: Sequence[Layer | str] | None) -> list[Any]:
    """Return the layers of ``model`` whose rate is to be set, as `RateSchedule` explains them."""
    if layers is not None:
        return list(dict.fromkeys(one for layer in layers for one in _named(model, layer)))
    found = [
        one for one in _in_use(model) if isinstance(one.rate, float) and not one.learns_rate
    ]
    if not found:
        raise ValueError("found no layer with a rate that can be set")
    return found


def _named(model: Layer, layer: Layer | str) -> list[Any]:
    if isinstance(layer, str):
        paths = dict(model.named_layers())
        if layer not in paths:
            raise ValueError(f"no layer has the path {layer!r}; there are {', '.join(paths)}")
        layer = paths[layer]
    elif not any(layer is one for one in model.walk()):
        raise ValueError(f"{layer!r}, at {layer.path!r}, is no layer of this model")
    found = _in_use(layer) or [one for one in layer.walk() if _can_set(one)]
    if not found:
        raise ValueError(f"layer {layer.path!r} has no rate that can be set")
    return found


def _in_use(layer: Layer) -> list[Any]:
    """Return the layers with a rate, but none that another holds for its noise and has at 0."""
    held = held_noise(layer)
    found: list[Any] = [one for one in layer.walk() if _can_set(one)]
    return [one for one in found if one not in held or np.any(np.asarray(one.rate) > 0)]


def _can_set(layer: Layer) -> bool:
    kind = getattr(type(layer), "rate", None)
    if isinstance(kind, property):
        return kind.fset is not None
    return hasattr(kind, "__set__") or "rate" in vars(layer)
