"""Gradients kept from growing: clipped by value, and by their norm over all parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cydropout._validate import check_number
from cydropout.layers._layer import Parameter


def check_limit(name: str, limit: float | None) -> float | None:
    """Return a limit as a float, or None; raise if it is not finite and above 0."""
    checked = None if limit is None else check_number(name, limit, "[0, inf)")
    if checked == 0:
        raise ValueError(f"{name} must be above 0, not {limit!r}")
    return checked


def gradient_norm(parameters: Sequence[Parameter]) -> float:
    """Return ``sqrt(sum g**2)`` over all gradients, the same to the bit for any thread count."""
    squares = (np.square(p.grad, dtype=np.float64).sum() for p in parameters)
    return math.sqrt(sum(map(float, squares)))


def clip_gradients(
    parameters: Sequence[Parameter], *, norm: float | None = None, value: float | None = None
) -> None:
    """``g = clip(g, -value, value)``, then ``g *= min(1, norm / |g|)`` with one ``|g|`` for all.

    A norm that is not finite clips nothing: the loss of the next step shows what is wrong.

    Parameters
    ----------
    parameters : sequence of Parameter
        Those whose gradients are clipped, in place.
    norm, value : float, optional
        Largest norm of all gradients together, and largest magnitude of an element; positive.

    References
    ----------
    Pascanu, Mikolov, Bengio 2013, "On the difficulty of training recurrent neural networks".
    """
    if norm is None and value is None:
        return
    norm, value = check_limit("norm", norm), check_limit("value", value)
    if value is not None:
        for parameter in parameters:
            np.clip(parameter.grad, -value, value, out=parameter.grad)
    if norm is None:
        return
    found = gradient_norm(parameters)
    if norm < found < math.inf:
        for parameter in parameters:
            parameter.grad *= norm / found
