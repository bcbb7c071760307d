"""A tree of arrays and numbers in one safetensors file, replaced whole or not at all.

Arrays become tensors of the file; everything else is JSON in its metadata, so any safetensors
reader can look at the parameters. Nothing is pickled: loading a file runs no code from it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cydropout._optional import require

FORMAT = "cydropout-checkpoint-1"
_TENSOR = "__tensor__"


def save_checkpoint(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write ``state`` to ``path`` so that a crash at any moment leaves a whole file there.

    The bytes go to a temporary file in the same directory, are flushed to the disk, and the file
    is then renamed over ``path``: a reader finds the old checkpoint or the new one, never a part.
    A process killed while it writes can leave ``.NAME.PID.tmp`` behind; it may be deleted.

    Parameters
    ----------
    path : path-like
        File to write; its directory must exist.
    state : mapping
        Arrays, numbers, strings, booleans, None, and dicts (with string keys) and lists of them.

    Raises
    ------
    ImportError
        Without safetensors.
    TypeError
        For anything else in ``state``; nothing is written then.
    OSError
        When writing fails; the old file is untouched.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = os.path.join(directory, "run.safetensors")
    ...     save_checkpoint(path, {"epoch": 3, "weight": np.ones(2)})
    ...     load_checkpoint(path)
    {'epoch': 3, 'weight': array([1., 1.])}
    """
    target = Path(path)
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    tree = _pack(state, "", tensors)
    metadata = {"format": FORMAT, "state": json.dumps(tree)}
    data = require("safetensors.numpy", "train").save(tensors, metadata=metadata)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_directory(target.parent)


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what `save_checkpoint` was given, arrays and numbers bit for bit.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file is damaged, or is not a checkpoint of this package.

    Examples
    --------
    >>> load_checkpoint("nowhere.safetensors")
    Traceback (most recent call last):
    FileNotFoundError: no checkpoint at 'nowhere.safetensors'
    """
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"no checkpoint at {str(source)!r}")
    safetensors = require("safetensors", "train")
    try:
        with safetensors.safe_open(source, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except safetensors.SafetensorError as error:
        raise ValueError(f"{str(source)!r} is not a whole safetensors file: {error}") from error
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{str(source)!r} is not a checkpoint this version reads: its format is "
            f"{metadata.get('format')!r}, expected {FORMAT!r}"
        )
    try:
        state: dict[str, Any] = _unpack(json.loads(metadata["state"]), tensors)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{str(source)!r} is a damaged checkpoint: {error!r}") from error
    return state


def check_target(path: str | os.PathLike[str]) -> Path:
    """Return ``path`` after checking, before hours of training, that it can be written."""
    require("safetensors.numpy", "train")
    target = Path(path)
    if target.is_dir():
        raise ValueError(f"checkpoint must be a file, but {str(target)!r} is a directory")
    if not target.parent.is_dir():
        raise ValueError(
            f"the directory {str(target.parent)!r} of the checkpoint does not exist; create it"
        )
    if not os.access(target.parent, os.W_OK):
        raise ValueError(f"the directory {str(target.parent)!r} of the checkpoint is not writable")
    return target


def _pack(node: Any, path: str, tensors: dict[str, np.ndarray[Any, Any]]) -> Any:
    """Move the arrays of a tree into ``tensors`` and return the rest, ready for JSON."""
    if isinstance(node, np.ndarray):
        # safetensors writes the buffer as it lies in memory.
        tensors[path] = np.asarray(node, dtype=node.dtype.newbyteorder("="), order="C")
        return {_TENSOR: path}
    if isinstance(node, Mapping):
        if not all(isinstance(key, str) for key in node):
            raise TypeError(f"checkpoint keys must be strings, got {list(node)} at {path!r}")
        if _TENSOR in node:
            raise TypeError(f"the key {_TENSOR!r} at {path!r} is reserved")
        return {k: _pack(v, f"{path}/{k}" if path else k, tensors) for k, v in node.items()}
    if isinstance(node, (list, tuple)):
        return [_pack(v, f"{path}/{i}", tensors) for i, v in enumerate(node)]
    if isinstance(node, np.generic):
        node = node.item()
    if node is None or isinstance(node, (bool, int, float, str)):
        return node
    raise TypeError(f"cannot save a {type(node).__name__} at {path!r}: use arrays or numbers")


def _unpack(node: Any, tensors: Mapping[str, np.ndarray[Any, Any]]) -> Any:
    if isinstance(node, dict):
        if _TENSOR in node:
            return tensors[node[_TENSOR]]
        return {key: _unpack(value, tensors) for key, value in node.items()}
    if isinstance(node, list):
        return [_unpack(value, tensors) for value in node]
    return node


def _sync_directory(directory: Path) -> None:
    """Make the rename itself survive a power cut, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
