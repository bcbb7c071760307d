"""What decides a run, as plain numbers and names, to be saved and compared."""

from __future__ import annotations

import difflib
import hashlib
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from cydropout._validate import check_all, check_flag
from cydropout.layers._layer import Layer

#: The settings of a run: a tree of dicts and lists, as JSON has them.
Settings = dict[str, Any]
_NOTHING = "nothing"


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: what has a config as that, a function as its name."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(value.tobytes()).hexdigest()
        short = value.size <= 1000 and value.dtype.kind in "biuf"
        return value.tolist() if short else f"{value.dtype} {value.shape} {digest}"
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, partial):
        return [plain(value.func), *plain(value.args), plain(value.keywords)]
    if hasattr(value, "get_config"):
        return {"kind": type(value).__name__, **plain(value.get_config())}
    return getattr(value, "__qualname__", type(value).__qualname__)


def parameter_settings(model: Layer) -> Settings:
    """Return what there is to know of a built model's parameters, but their values."""
    return {
        name: f"{one.value.dtype} {one.value.shape}"
        + ("" if one.trainable else ", not trainable")
        for name, one in model.named_parameters()
    }


def check_override(override: str | Iterable[str], resume: bool) -> set[str]:
    """Return the names as a set; raise if there is nothing that they could override."""
    check_flag("resume", resume)
    names = [override] if isinstance(override, str) else check_all("override", override, str)
    if names and not resume:
        raise ValueError("override needs resume=True: it allows what differs from a checkpoint")
    return set(names)


def compare(saved: Any, here: Any, override: Iterable[str]) -> set[str]:
    """Return the paths of the settings that differ, all of which ``override`` must allow.

    A name there is that of a setting, or of a part of its path: ``"learning_rate"`` stands for
    ``"optimizer.learning_rate"``, ``"optimizer"`` for all of it.

    Raises
    ------
    ValueError
        If a name is that of no setting, or another setting differs; it names the first.
    """
    paths = dict.fromkeys([*_paths(here, ""), *_paths(saved, "")])
    for name in override:
        if not any(_names(name, path) for path in paths):
            words = sorted({word for path in paths for word in path.split(".")})
            near = difflib.get_close_matches(name, [*words, *paths]) or paths
            raise ValueError(
                f"override: {name!r} is no setting of this run; use {', '.join([*near][:20])}"
            )
    changed = set()
    for path, old, new in differences(saved, here, ""):
        changed.add(path)
        if not any(_names(name, path) for name in override):
            last = [word for word in path.split(".") if not word.isdigit()][-1]
            raise ValueError(
                f"the checkpoint is of another run: {path} was {_shown(old)} there, and is "
                f"{_shown(new)} here; give what was saved, or allow the change with "
                f"override={{{last!r}}}"
            )
    return changed


def as_begun(now: Any, left: Any, began: Any) -> Any:
    """Return settings, but where they are as a run left them, as they were when it began."""
    if now == left:
        return began
    if isinstance(now, dict) and isinstance(left, dict) and isinstance(began, dict):
        return {key: as_begun(value, left.get(key), began.get(key)) for key, value in now.items()}
    if isinstance(now, list) and isinstance(left, list) and len(now) == len(left) == len(began):
        return [as_begun(*each) for each in zip(now, left, began, strict=True)]
    return now


def _names(name: str, path: str) -> bool:
    return f".{name}." in f".{path}."


def _shown(value: Any) -> str:
    short = reprlib.Repr()
    short.maxstring = short.maxother = 80
    return short.repr(value.get("kind", value) if isinstance(value, dict) else value)


def _items(node: Any, path: str) -> Iterator[tuple[Any, str]]:
    """Iterate over the keys or places of a branch, each with its path."""
    for key in node if isinstance(node, dict) else range(len(node)):
        yield key, f"{path}.{key}" if path else str(key)


def _paths(node: Any, path: str) -> Iterator[str]:
    yield path
    if isinstance(node, (dict, list)):
        for key, inner in _items(node, path):
            yield from _paths(node[key], inner)


def differences(saved: Any, here: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Iterate over the smallest parts that differ: with another kind or length, it is the whole."""
    if isinstance(saved, dict) and isinstance(here, dict) and saved.get("kind") == here.get("kind"):
        for key, inner in _items({**here, **saved}, path):
            yield from differences(saved.get(key, _NOTHING), here.get(key, _NOTHING), inner)
    elif isinstance(saved, list) and isinstance(here, list) and len(saved) == len(here):
        for key, inner in _items(here, path):
            yield from differences(saved[key], here[key], inner)
    elif saved != here:
        yield path, saved, here
