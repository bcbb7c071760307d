"""Penalties on the size of parameters, and bounds of it: what every layer with weights takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from cydropout import functional
from cydropout._validate import check_max_norm, check_number
from cydropout.layers._layer import Array, Layer, Parameter
from cydropout.layers._settings import Setting

#: A strength for the weights alone, or one for each of the parameters that it names.
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

    last = True

    def check(self, value: Any, layer: Any) -> Strength:
        """Return one number, or one for each parameter named."""
        return check_strength(self.key, value, layer.penalisable())


class MaxNorm(Setting):
    """A bound of the norms of the weights' columns, or None; set again it holds from then on."""

    last = True

    def __set__(self, layer: Any, value: Any) -> None:
        super().__set__(layer, value)
        for name, parameter in layer._parameters.items():
            if name in layer.weights:
                parameter.max_norm = vars(layer)[self.name]

    def check(self, value: Any, layer: Any) -> float | None:
        """Return a bound above 0."""
        return check_max_norm(value)


class Penalised(Layer):
    """Base of the layers whose parameters can be penalised.

    A subclass names its ``weights``, of which a plain number is the strength, and its ``biases``,
    which a mapping can name too.
    """

    weights: ClassVar[tuple[str, ...]] = ("weight",)
    biases: ClassVar[tuple[str, ...]] = ("bias",)
    bias: Any = True
    l1 = Penalty(0.0)
    l2 = Penalty(0.0)

    def penalisable(self) -> tuple[str, ...]:
        """Return the names of the parameters that can have a strength."""
        return self.weights + self.biases * bool(self.bias)

    def own_penalty(self) -> float:
        """Return ``l1 sum |w| + l2 sum w**2`` of the parameters; add its gradient to theirs."""
        if not self.l1 and not self.l2:
            return 0.0
        total = 0.0
        for name in self.penalisable():
            l1, l2 = (strength_of(one, name, self.weights) for one in (self.l1, self.l2))
            if (l1 or l2) and name in self._parameters:
                total += penalty(self._parameters[name], l1, l2)
        return total


class Weighted(Penalised):
    """Base of the layers with matrices of weights, whose columns can be bounded.

    With ``bounds_rows`` it is their rows, the vectors of words or positions.
    """

    bounds_rows: ClassVar[bool] = False
    max_norm = MaxNorm(None)

    def _add(self, name: str, value: Array) -> None:
        """Take in a new parameter."""
        bound = self.max_norm if name in self.weights else None
        self._parameters[name] = Parameter(value, name, bound, by_row=self.bounds_rows)


def penalty(parameter: Parameter, l1: float, l2: float) -> float:
    """Return ``l1 sum |w| + l2 sum w**2``; add ``l1 sign(w) + 2 l2 w`` to the gradient.

    A parameter that is not trained has none. The derivative of ``|w|`` at 0 is 0.
    """
    total, w = 0.0, parameter.value
    if l1 and parameter.trainable:
        total += l1 * float(np.abs(w).sum(dtype=np.float64))
        parameter.accumulate(w.dtype.type(l1) * np.sign(w))
    if l2 and parameter.trainable:
        if w.dtype.itemsize < 4:
            total += l2 * float(np.square(w, dtype=np.float64).sum())
            parameter.accumulate(w.dtype.type(2 * l2) * w)
        else:
            total += functional.l2_penalty(w, parameter.whole(), l2)
    return total


def strength_of(strength: Strength, name: str, weights: Sequence[str]) -> float:
    """Return the strength of one parameter."""
    if isinstance(strength, Mapping):
        return strength.get(name, 0.0)
    return strength if name in weights else 0.0
