"""Optimizers: one fused pass over each parameter, its gradient and its state.

A new one is a class: its formula, its settings, the arrays of state that it keeps, and its rule.
"""

from __future__ import annotations

from typing import Any

from cydropout._validate import ArgumentTypeError, check_choice, shown
from cydropout._words import our_name
from cydropout.training.optimizers.adam import Adam, AdamW
from cydropout.training.optimizers.base import Optimizer
from cydropout.training.optimizers.rmsprop import RMSprop
from cydropout.training.optimizers.sgd import SGD

__all__ = ["NAMES", "SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "get"]

NAMES: dict[str, Any] = {"sgd": SGD, "adam": Adam, "adamw": AdamW, "rmsprop": RMSprop}


def get(optimizer: Optimizer | str, learning_rate: float | None = None) -> Optimizer:
    """Return ``optimizer`` itself, or the one of that name with its default settings.

    ``learning_rate`` replaces the default of a named one.

    Examples
    --------
    >>> from cydropout.training import optimizers
    >>> optimizers.get("sgd", 0.1)
    SGD(learning_rate=0.1, momentum=0.0, nesterov=False, weight_decay=0.0)
    """
    if isinstance(optimizer, Optimizer):
        if learning_rate is not None:
            raise ValueError("set learning_rate on the optimizer itself, or name the optimizer")
        return optimizer
    if not isinstance(optimizer, str):
        raise ArgumentTypeError(f"optimizer must be an Optimizer or a name, not {shown(optimizer)}")
    kind = NAMES[check_choice("optimizer", our_name(optimizer, NAMES), NAMES)]
    made: Optimizer = kind() if learning_rate is None else kind(learning_rate)
    return made
