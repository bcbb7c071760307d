"""Models in files: their configuration and their parameters."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from cydropout._files.checkpoint import check_state, load_checkpoint, save_checkpoint
from cydropout._files.replace import check_target
from cydropout._validate import is_ours
from cydropout.layers._settings import from_config, to_config


def undeclared(layer: Any) -> list[str]:
    """Return the arguments of a layer's constructor that its config does not hold."""
    if is_ours(type(layer)):
        return []
    taken = inspect.signature(type(layer)).parameters.values()
    given = {one.name for one in taken if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}
    return sorted(given - {*layer.get_config(), "name"})


def check_config(model: Any) -> None:
    """Raise if a file cannot hold a model's config, or that lacks what the model is made with."""
    for layer in model.walk():
        lost = undeclared(layer)
        if lost:
            raise ValueError(
                f"the config of {type(layer).__name__} does not hold {', '.join(lost)}: declare "
                "them as settings, or define get_config"
            )
    check_state(to_config(model), "config")


def model_state(model: Any, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Return all that `load_model` makes a model of."""
    frozen = [name for name, one in model.named_parameters() if not one.trainable]
    return {"config": to_config(model), "input_shape": list(input_shape), "frozen": frozen,
            "model": model.state_dict()}


def save_model(model: Any, path: str | os.PathLike[str], input_shape: tuple[int, ...]) -> None:
    """Write a model to a file, once it has been made again from what the file will hold."""
    target = check_target(path, "path")
    check_config(model)
    state = model_state(model, input_shape)
    try:
        again = _made(state)
    except Exception as error:
        raise ValueError(f"cannot save the model: it cannot be made again: {error}") from error
    if to_config(again) != state["config"]:
        raise ValueError(
            f"cannot save the model: from its config {state['config']} comes another one, "
            f"{to_config(again)}"
        )
    save_checkpoint(target, state)


def load_model(path: str | os.PathLike[str]) -> Any:
    """Return the model that `Sequential.save` wrote, or that of a checkpoint of `Trainer`.

    No code is loaded with it: classes of layers other than those of this package are found by the
    names that `register` gave them, or else by their modules, which must have been imported. A
    checkpoint has the parameters of the moment when it was written.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    Layer
        Built, with the parameters to the bit, and those frozen that were.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When it is damaged or holds no model, or one of a class that is not known or has changed.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from cydropout.layers import Dense, Sequential, load_model
    >>> model = Sequential([Dense(2)])
    >>> model.build((3,), 0)
    >>> x = np.ones((1, 3), "float32")
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     model.save(os.path.join(directory, "model.safetensors"))
    ...     again = load_model(os.path.join(directory, "model.safetensors"))
    >>> bool((again(x) == model(x)).all())
    True
    """
    state = load_checkpoint(path)
    missing = [name for name in ("config", "input_shape", "frozen", "model") if name not in state]
    if missing:
        raise ValueError(f"{str(path)!r} holds no model: it lacks {', '.join(missing)}")
    if state.get("no_config"):
        raise ValueError(f"cannot make the model of {str(path)!r}: {state['no_config']}")
    try:
        return _made(state)
    except Exception as error:
        raise ValueError(f"cannot make the model of {str(path)!r}: {error}") from error


def _made(state: Mapping[str, Any]) -> Any:
    model = from_config(state["config"])
    model.build(tuple(state["input_shape"]), np.random.default_rng(0))
    model.load_state_dict(state["model"])
    for name, parameter in model.named_parameters():
        parameter.trainable = name not in state["frozen"]
    return model
