"""Run: how far a training run has come, and what a checkpoint of it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cydropout.random import MaskStream
from cydropout.training.callbacks.base import Callback, Trainer
from cydropout.training.history import History, Mean, Record


@dataclass
class Run:
    """How far a run has come. ``settings`` are what another part of it must not change.

    Examples
    --------
    >>> run = Run({"samples": 8}, [])
    >>> run.add(8, {"loss": 0.5})
    >>> run.step, run.steps, run.mean.result()
    (1, 1, {'loss': 0.5})
    >>> run.end_epoch({"epoch": 1, "loss": 0.5})
    >>> run.epoch, run.step, run.steps
    (1, 0, 1)
    """

    settings: dict[str, Any]
    callbacks: Sequence[Callback]
    history: History = field(default_factory=History)
    epoch: int = 0  # whole epochs
    first: int = 0  # those of them that were done before the run
    step: int = 0  # batches of the epoch that follows
    steps: int = 0  # batches of all epochs
    mean: Mean = field(default_factory=Mean)  # of that epoch
    seconds: float = 0.0  # spent on it

    def tell(self, event: str, *args: Any) -> None:
        """Call the method of that name of every callback, in their order."""
        for callback in self.callbacks:
            getattr(callback, event)(*args)

    def add(self, samples: int, record: Record) -> None:
        """Count a batch."""
        self.step, self.steps = self.step + 1, self.steps + 1
        self.mean.add(samples, record["loss"], record.get("accuracy"))

    def end_epoch(self, measured: Record) -> None:
        """Count an epoch."""
        self.history.append(measured)
        self.epoch, self.step, self.mean, self.seconds = self.epoch + 1, 0, Mean(), 0.0

    def state(self, trainer: Trainer) -> dict[str, Any]:
        """Return a copy of all that the rest of the run depends on."""
        return {
            "epoch": self.epoch,
            "first": self.first,
            "step": self.step,
            "steps": self.steps,
            "mean": vars(self.mean).copy(),
            "seconds": self.seconds,
            "stopped": trainer.stop_training,
            "run": self.settings,
            "stream": {"key": trainer.stream.key, "next_draw": trainer.stream.next_draw},
            "history": list(self.history.records),
            "model": trainer.model.state_dict(),
            "optimizer": {
                "type": _name(trainer.optimizer), "state": trainer.optimizer.state_dict()
            },
            "callbacks": [{"type": _name(c), "state": c.state_dict()} for c in self.callbacks],
        }

    def restore(self, trainer: Trainer, saved: Mapping[str, Any]) -> None:
        """Take a checkpoint back, all of it or, when it belongs to another run, nothing."""
        _same("data and batches", saved["run"], self.settings)
        _same("optimizer", saved["optimizer"]["type"], _name(trainer.optimizer))
        names = [_name(callback) for callback in self.callbacks]
        _same("callbacks", [one["type"] for one in saved["callbacks"]], names)
        _same("parameters", _layout(saved["model"]), _layout(trainer.model.state_dict()))
        trainer.optimizer.load_state_dict(saved["optimizer"]["state"])
        trainer.model.load_state_dict(saved["model"])
        for callback, one in zip(self.callbacks, saved["callbacks"], strict=True):
            callback.load_state_dict(one["state"])
        key, draw = int(saved["stream"]["key"]), int(saved["stream"]["next_draw"])
        if key == trainer.stream.key:
            trainer.stream.next_draw = draw  # the caller may hold this very stream
        else:
            trainer.stream = MaskStream.from_state(key, draw)
        trainer.stop_training = bool(saved["stopped"])
        self.history = History(saved["history"])
        for count in ("epoch", "first", "step", "steps"):
            setattr(self, count, int(saved[count]))
        vars(self.mean).update(saved["mean"])
        self.seconds = float(saved["seconds"])


def _name(thing: object) -> str:
    return type(thing).__name__


def _layout(arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, str]:
    return {name: f"{array.dtype} {array.shape}" for name, array in arrays.items()}


def _same(what: str, saved: Any, here: Any) -> None:
    if saved != here:
        raise ValueError(f"the checkpoint is of another run: its {what}: {saved}; here: {here}")
