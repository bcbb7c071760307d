"""A tree of arrays and numbers in one safetensors file.

Arrays become tensors of the file; everything else is JSON in its metadata, so any safetensors
reader can look at the parameters. Nothing is pickled: loading a file runs no code from it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from cydropout._files import safetensors
from cydropout._files.replace import check_source, replace

FORMAT = "cydropout-checkpoint-2"
_TENSOR = "__tensor__"
_DEPTH = 200

Array = np.ndarray[Any, Any]


def save_checkpoint(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write ``state`` to ``path`` so that a crash at any moment leaves a whole file there.

    The bytes go to a temporary file in the same directory, are flushed to the disk, and the file
    is then renamed over ``path``: a reader finds the old checkpoint or the new one, never a part.
    A process killed while it writes can leave ``.NAME.*.tmp`` behind; the next to save this
    checkpoint deletes it. What a living process writes is locked, and stays.

    Parameters
    ----------
    path : path-like
        File to write; its directory must exist. A ``~`` stands for the home directory.
    state : mapping
        Arrays of numbers, numbers, strings, booleans, None, and dicts (with string keys) and lists
        of them, at most 200 inside each other.

    Raises
    ------
    TypeError, ValueError
        For anything else in ``state``, by its key, or where no file can be; nothing is written.
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
    tensors: dict[str, Array] = {}
    tree = _pack(state, "", tensors)
    metadata = {"format": FORMAT, "state": json.dumps(tree)}
    replace(path, safetensors.to_bytes(tensors, metadata))


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what `save_checkpoint` was given, arrays and numbers bit for bit.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file is damaged (a checksum covers every byte), or is not a checkpoint of this
        version.
    ImportError
        When it holds bfloat16 or float8, without ``ml_dtypes``.

    Examples
    --------
    >>> load_checkpoint("nowhere.safetensors")
    Traceback (most recent call last):
    FileNotFoundError: no checkpoint at 'nowhere.safetensors'
    """
    source = check_source(path, "checkpoint")
    tensors, metadata = safetensors.read(source, FORMAT)
    try:
        state = _unpack(json.loads(metadata["state"]), tensors)
        if not isinstance(state, dict):
            raise ValueError(f"it holds {state!r}")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{str(source)!r} is a damaged checkpoint: {error!r}") from error
    return state


def check_state(state: Mapping[str, Any], name: str) -> None:
    """Raise if `save_checkpoint` cannot hold what is called ``name``."""
    _pack(state, f"/{name}", {})


def _pack(node: Any, path: str, tensors: dict[str, Array], depth: int = 0) -> Any:
    """Move the arrays of a tree into ``tensors`` and return the rest, ready for JSON.

    Keys are escaped as in JSON pointers (RFC 6901), so that no two paths are the same.
    """
    name = path[1:]
    if depth > _DEPTH:
        raise ValueError(f"{name[:60]!r}... holds itself, or lies more than {_DEPTH} levels deep")
    if isinstance(node, np.ndarray):
        safetensors.check_tensor(name, node)
        tensors[name] = np.asarray(node)
        return {_TENSOR: name}
    if isinstance(node, Mapping):
        wrong = [key for key in node if not isinstance(key, str)]
        if wrong:
            raise TypeError(f"checkpoint keys must be strings, got {wrong[0]!r} at {name!r}")
        if _TENSOR in node:
            raise TypeError(f"the key {_TENSOR!r} at {name!r} is reserved")
        return {key: _pack(value, f"{path}/{_escaped(key, name)}", tensors, depth + 1)
                for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_pack(value, f"{path}/{place}", tensors, depth + 1)
                for place, value in enumerate(node)]
    if isinstance(node, np.generic):
        node = node.item()
    if isinstance(node, str):
        _escaped(node, name)
    elif isinstance(node, int) and node.bit_length() > 4096:
        raise ValueError(f"cannot save the integer at {name!r}: it has over 4096 bits")
    elif not (node is None or isinstance(node, (int, float))):
        raise TypeError(
            f"cannot save the {type(node).__name__} at {name!r}: use arrays or numbers"
        )
    return node


def _escaped(text: str, name: str) -> str:
    """Return a key as it stands in a path; raise if a file cannot hold it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"cannot save {text!r} at {name!r}: it has a lone surrogate") from None
    return text.replace("~", "~0").replace("/", "~1")


def _unpack(node: Any, tensors: Mapping[str, Array]) -> Any:
    if isinstance(node, dict):
        if _TENSOR in node:
            if len(node) > 1:
                raise ValueError(f"a tensor has other entries: {[*node]}")
            return tensors[node[_TENSOR]]
        return {key: _unpack(value, tensors) for key, value in node.items()}
    if isinstance(node, list):
        return [_unpack(value, tensors) for value in node]
    return node
