"""Run: how far a training run has come, and what a checkpoint of it holds."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cydropout._files.replace import check_target, reserve
from cydropout._validate import check_all, check_integer, check_number, is_method, is_ours
from cydropout.layers._layer import Layer, Parameter
from cydropout.layers._saved import check_config, model_state, undeclared
from cydropout.random import MaskStream
from cydropout.training._batches import ArrayBatches
from cydropout.training._configuration import (
    Settings,
    as_begun,
    compare,
    parameter_settings,
    plain,
)
from cydropout.training._updates import Update
from cydropout.training.callbacks.base import Callback, Trainer
from cydropout.training.checkpoint import check_state, load_checkpoint
from cydropout.training.history import History, Mean, Record
from cydropout.training.optimizers import Optimizer

Array = np.ndarray[Any, Any]


@dataclass
class Run:
    """How far a run has come, and the ``parts`` that decide it, with their settings as it began.

    Examples
    --------
    >>> from cydropout.layers import Dense
    >>> run = Run({"model": Dense(2), "data": {"samples": 8}}, [], Update(1, lambda named: None))
    >>> run.add(8, {"loss": 0.5})
    >>> run.step, run.steps, run.mean.result()
    (1, 1, {'loss': 0.5})
    >>> run.end_epoch({"epoch": 1, "loss": 0.5})
    >>> run.epoch, run.step, run.steps, run.settings["data"]["samples"]
    (1, 0, 1, 8)
    """

    parts: Mapping[str, Any]
    callbacks: Sequence[Callback]
    update: Update
    leads: bool = True  # whether this is the first of several processes
    history: History = field(default_factory=History)
    epoch: int = 0  # whole epochs
    first: int = 0  # those of them that were done before the run
    step: int = 0  # batches of the epoch that follows
    steps: int = 0  # batches of all epochs
    mean: Mean = field(default_factory=Mean)  # of that epoch
    seconds: float = 0.0  # spent on it
    input_shape: tuple[int, ...] = ()  # of a sample
    made: dict[Any, Any] = field(default_factory=dict)  # the steps in one call, of the last epoch

    def __post_init__(self) -> None:
        self.settings = self._now()
        self._left: Settings | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "made": {}}  # of the very arrays of this trainer

    def _now(self) -> Settings:
        own = {f"{place} {type(layer).__name__} {name}": getattr(layer, name, None)
               for place, layer in enumerate(self.parts["model"].walk())
               for name in undeclared(layer)}
        now: Settings = plain({**self.parts, "attributes": own, "callbacks": self.callbacks})
        return now

    def compare(self, saved: SavedRun, override: Iterable[str], last: Run | None) -> None:
        """Raise if a checkpoint is of another run, as far as can be seen before it is built.

        What only the ``last`` run moved, as callbacks do, counts as it was when that began.
        """
        if last is not None:
            self.settings = as_begun(self.settings, last._left, last.settings)
        parameters = saved.settings.get("parameters")
        compare(saved.settings, {**self.settings, "parameters": parameters}, override)

    def built(self, x: Array, saved: SavedRun | None, override: Iterable[str]) -> set[str]:
        """Take in what is known once the model is built, and return which settings differ."""
        self.input_shape = x.shape[1:]
        self.settings["parameters"] = parameter_settings(self.parts["model"])
        if saved is None and not override:
            return set()
        return compare(saved.settings if saved else self.settings, self.settings, override)

    @cached_property
    def no_config(self) -> str:
        """Why the model could not be made again from its config, or nothing."""
        try:
            check_config(self.parts["model"])
        except (TypeError, ValueError) as error:
            return str(error)
        return ""

    def end(self) -> None:
        """Note the settings as the run leaves them, if code of others may have moved some."""
        own = [one for one in self.parts.values() if hasattr(one, "get_config")]
        ours = all(is_ours(type(one)) for one in (*own, *self.parts["model"].walk()))
        self._left = None if ours and not self.callbacks else self._now()

    def tell(self, event: str, *args: Any) -> None:
        """Call the method of that name of every callback, in their order."""
        for callback in self.callbacks:
            if self.leads or not callback.by_first:
                getattr(callback, event)(*args)

    def is_settled(self, data: Any) -> bool:
        """Whether no code of others runs between the steps of an epoch, nor in the model."""
        heard = (getattr(callback, event) for callback in self.callbacks
                 for event in ("on_batch_begin", "on_batch_end"))
        layers = self.parts["model"].walk()
        return (
            isinstance(data, ArrayBatches)
            and all(is_method(event, Callback) for event in heard)
            and not any(callback.reads_masks for callback in self.callbacks)
            and all(is_ours(type(one)) and is_ours(one.forward) for one in layers)
        )

    def add(self, samples: int, record: Record, weight: float | None = None) -> None:
        """Count a batch, with its weight where that is not the number of its samples."""
        self.step, self.steps = self.step + 1, self.steps + 1
        self.mean.add(samples, record["loss"], record.get("accuracy"), weight)

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
            "update": self.update.state(trainer.model),
            "settings": self.settings,
            **model_state(trainer.model, self.input_shape),
            **({"config": None, "no_config": self.no_config} if self.no_config else {}),
            "stream": {"key": trainer.stream.key, "next_draw": trainer.stream.next_draw},
            "history": list(self.history.records),
            "optimizer": {
                "type": _name(trainer.optimizer), "state": trainer.optimizer.state_dict()
            },
            "callbacks": [{"type": _name(c), "state": c.state_dict()} for c in self.callbacks],
        }

    def restore(self, trainer: Trainer, saved: SavedRun, changed: set[str]) -> None:
        """Take a checkpoint back, all but the settings that were ``changed``."""
        if _within("data", changed):
            saved.step, saved.mean, saved.seconds = 0, Mean(), 0.0  # of other batches
            saved.update = {}
        _load_optimizer(trainer.optimizer, trainer.model, saved.optimizer, changed)
        trainer.model.load_state_dict(saved.model)
        _load("the step", lambda state: self.update.load(trainer.model, state), saved.update)
        states: dict[str, list[Any]] = {}
        for name, state in saved.callbacks:
            states.setdefault(name, []).append(state)
        for callback in self.callbacks:
            if states.get(_name(callback)):
                _load(_name(callback), callback.load_state_dict, states[_name(callback)].pop(0))
        if saved.key == trainer.stream.key:
            trainer.stream.next_draw = saved.next_draw  # the caller may hold this very stream
        else:
            trainer.stream = MaskStream.from_state(saved.key, saved.next_draw)
        trainer.stop_training = saved.stopped and not _within("callbacks", changed)
        for name in ("history", "epoch", "first", "step", "steps", "mean", "seconds"):
            setattr(self, name, getattr(saved, name))


class SavedRun:
    """What a checkpoint of a run holds, each entry of the type that it must have.

    Raises
    ------
    ValueError
        If the file is damaged, or holds something else than a run.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        state = load_checkpoint(path)
        try:
            self._read(state)
        except Exception as error:  # what an entry of another type can raise is no closed list
            raise ValueError(
                f"{str(path)!r} holds no run of training that could be resumed: {error!r}"
            ) from error

    def _read(self, state: Mapping[str, Any]) -> None:
        self.settings: Settings = dict(state["settings"])
        self.epoch, self.first, self.step, self.steps = (
            check_integer(name, state[name], "[0, inf)")
            for name in ("epoch", "first", "step", "steps")
        )
        self.mean = Mean()
        for name, start in vars(self.mean).items():
            setattr(self.mean, name, type(start)(state["mean"][name]))
        self.seconds = check_number("seconds", state["seconds"])
        self.stopped, self.update = bool(state["stopped"]), dict(state["update"])
        stream = state["stream"]
        self.key, self.next_draw = (
            check_integer(name, stream[name], "[0, 2**64)") for name in ("key", "next_draw")
        )
        self.history = History(check_all("history", state["history"], dict))
        self.model = {name: _array(name, array) for name, array in state["model"].items()}
        self.optimizer = dict(state["optimizer"]["state"])
        self.callbacks = [(str(one["type"]), dict(one["state"])) for one in state["callbacks"]]


def saved_run(
    checkpoint: str | os.PathLike[str] | None, resume: bool
) -> tuple[Path | None, SavedRun | None]:
    """Return the file to save to, and the run to go on with."""
    target = None if checkpoint is None else check_target(checkpoint)
    return target, SavedRun(target) if target and resume and target.exists() else None


def check_saves(trainer: Trainer, run: Run, target: Path) -> None:
    """Raise if a file cannot hold a checkpoint, or the disk has no room for it."""
    check_state({**run.state(trainer), "callbacks": []}, "checkpoint")
    kept = 1 + len(trainer.optimizer.slots)
    reserve(target, 2**16 + kept * sum(one.value.nbytes for one in trainer.model.parameters()))


@contextlib.contextmanager
def all_or_nothing(trainer: Trainer, callbacks: Sequence[Callback]) -> Iterator[None]:
    """Give a trainer and its callbacks back what they had, if what is done with them fails."""
    before = [(one, one.state_dict()) for one in (trainer.model, trainer.optimizer)]
    before += [(one, copy.deepcopy(one.state_dict())) for one in callbacks]
    stream, draw = trainer.stream, trainer.stream.next_draw
    stopped, run = trainer.stop_training, trainer._run
    try:
        yield
    except BaseException:
        for one, state in before:
            with contextlib.suppress(Exception):
                one.load_state_dict(state)
        trainer.stream, stream.next_draw = stream, draw
        trainer.stop_training, trainer._run = stopped, run
        raise


def _load_optimizer(
    optimizer: Optimizer, model: Layer, state: Mapping[str, Any], changed: set[str]
) -> None:
    """Load a state that fits the parameters; one with other arrays is left, and begins anew."""
    given = {name: getattr(optimizer, name) for name in optimizer.get_config()
             if changed & {"optimizer", f"optimizer.{name}"}}
    parameters, slots, saved_slots = dict(model.named_parameters()), set(optimizer.slots), set()
    for key, value in state.items():
        name, _, slot = key.rpartition(".")
        if name and slot != "steps":
            saved_slots.add(slot)
            if slot in slots:
                _check_slot(key, value, parameters.get(name))
    if _within("optimizer", changed):  # groups too may differ then
        own = optimizer.state_dict().get("groups")
        state = {**state, "groups": own}
    if not (_within("optimizer", changed) and saved_slots != slots):
        optimizer.load_state_dict(state)
    for name, value in given.items():
        setattr(optimizer, name, value)


def _check_slot(key: str, value: Any, parameter: Parameter | None) -> None:
    found = _array(key, value)
    if parameter is not None:
        parameter.check_like("the optimizer's state", key, found)


def _load(name: str, load: Callable[[Mapping[str, Any]], None], state: Mapping[str, Any]) -> None:
    try:
        load(state)
    except Exception as error:
        raise ValueError(
            f"{name} cannot take its state of the checkpoint back: {error!r}"
        ) from error


def _array(name: str, value: Any) -> Array:
    if not isinstance(value, np.ndarray):
        raise ValueError(f"{name!r} must be an array, not {value!r}")
    return value


def _within(part: str, changed: set[str]) -> bool:
    return any(f"{path}.".startswith(f"{part}.") for path in changed)


def _name(thing: object) -> str:
    return type(thing).__name__
