"""Gradients kept from growing: clipped by value, and by their norm over all parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cydropout._validate import check_number, optional
from cydropout.layers._layer import Parameter


def gradient_norm(parameters: Sequence[Parameter]) -> float:
    """Return ``sqrt(sum g**2)`` over all gradients of what is trained.

    It is the same to the bit for any thread count.
    """
    squares = (np.square(p.grad, dtype=np.float64).sum() for p in parameters if p.trainable)
    return math.sqrt(sum(map(float, squares)))


def clip_gradients(
    parameters: Sequence[Parameter], *, norm: float | None = None, value: float | None = None
) -> None:
    """``g = clip(g, -value, value)``, then ``g *= min(1, norm / |g|)`` with one ``|g|`` for all.

    A norm that is not finite clips nothing: the loss of the next step shows what is wrong.

    Parameters
    ----------
    parameters : sequence of Parameter
        Those whose gradients are clipped, in place; what is not trained neither is nor counts.
    norm, value : float, optional
        Largest norm of all gradients together, and largest magnitude of an element; positive.

    References
    ----------
    Pascanu, Mikolov, Bengio 2013, "On the difficulty of training recurrent neural networks".

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.layers import Parameter
    >>> w = Parameter(np.zeros(2), "w")
    >>> w.accumulate(np.array([3.0, 4.0]))
    >>> clip_gradients([w], norm=1.0)
    >>> w.grad
    array([0.6, 0.8])
    """
    if norm is None and value is None:
        return
    norm = optional(check_number, "norm", norm, "(0, inf)")
    value = optional(check_number, "value", value, "(0, inf)")
    parameters = [parameter for parameter in parameters if parameter.trainable]
    if value is not None:
        for parameter in parameters:
            np.clip(parameter.grad, -value, value, out=parameter.grad)
    if norm is None:
        return
    found = gradient_norm(parameters)
    if norm < found < math.inf:
        for parameter in parameters:
            parameter.grad *= norm / found
