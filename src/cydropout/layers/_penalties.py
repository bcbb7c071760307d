"""Penalties on the size of parameters: their term of the loss, and its gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cydropout._validate import check_number
from cydropout.layers._layer import Parameter
from cydropout.layers._settings import Setting

#: A strength for the weight alone, or one for each of the parameters that it names.
Strength = float | Mapping[str, float]


def check_strength(name: str, strength: Any, parameters: Sequence[str]) -> Strength:
    """Return a strength, or one for each of ``parameters``; raise if one is negative or unknown."""
    if not isinstance(strength, Mapping):
        return check_number(name, strength, "[0, inf)")
    unknown = sorted(strength.keys() - set(parameters))
    if unknown:
        raise ValueError(f"{name} names the parameters {unknown}; there are {[*parameters]}")
    return {k: check_number(f"{name} of {k!r}", one, "[0, inf)") for k, one in strength.items()}


class Penalty(Setting):
    """A strength."""

    def check(self, value: Any, layer: Any) -> Strength:
        """Return one number, or one for each parameter named."""
        names = ("weight", "bias") if layer.bias else ("weight",)
        return check_strength(self.key, value, names)


def penalty(parameters: Mapping[str, Parameter], l1: Strength, l2: Strength) -> float:
    """Return the sum of ``l1 sum |w| + l2 sum w**2``; add ``l1 sign(w) + 2 l2 w`` to the gradients.

    Parameters that are not trained have none. The sums are of float64. The derivative of ``|w|`` at
    0 is 0.
    """
    total = 0.0
    for name, parameter in parameters.items():
        if not parameter.trainable:
            continue
        a, b = strength_of(l1, name), strength_of(l2, name)
        w = parameter.value
        if a:
            total += a * float(np.abs(w).sum(dtype=np.float64))
            parameter.accumulate(w.dtype.type(a) * np.sign(w))
        if b:
            total += b * float(np.square(w, dtype=np.float64).sum())
            parameter.accumulate(w.dtype.type(2 * b) * w)
    return total


def strength_of(strength: Strength, name: str) -> float:
    """Return the strength of one parameter."""
    if isinstance(strength, Mapping):
        return strength.get(name, 0.0)
    return strength if name == "weight" else 0.0
