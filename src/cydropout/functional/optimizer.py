"""Optimizer steps, each one pass over a parameter, its gradient and its state.

With ``max_norm`` the columns of the parameter, over all its axes but the last, are then scaled back
to that norm where they are longer: the same pass adds up their squares, and only if one is longer
does a second go over the parameter. A column whose sum of squares is NaN or infinite in float64
stays as it is.

With ``submatrix=``, a gradient is that of some rows and columns, and elsewhere it counts as 0. With
``lazy`` too, parameter and state stay as they are elsewhere, but for what ``max_norm`` scales.

A velocity or a mean ``m`` below the smallest normal number of its dtype becomes 0. Without
gradients it would end among such numbers and stay there, and a CPU takes long for each product with
one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from operator import is_
from typing import Any, NamedTuple

import numpy as np

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout._validate import (
    check_choice,
    check_flag,
    check_integer,
    check_max_norm,
    check_number,
)
from cydropout.functional.submatrix import Settings, Submatrix, check_submatrix
from cydropout.masks._sums import totals_for

#: Where each setting of a rule lies: from the first number on, and below the second.
_BOUNDS = {
    "learning_rate": (0.0, math.inf), "lr": (0.0, math.inf), "momentum": (0.0, 1.0),
    "beta1": (0.0, 1.0), "beta2": (0.0, 1.0), "rho": (0.0, 1.0), "epsilon": (0.0, math.inf),
    "decay": (0.0, math.inf), "weight_decay": (0.0, math.inf), "correction": (0.0, math.inf),
}


class Gradient(NamedTuple):
    """The gradient of a parameter: all of it, or that of a submatrix.

    With ``lazy`` parameter and state stay as they are outside the submatrix; else the gradient
    counts as 0 there.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> functional.Gradient(np.ones(3)).lazy
    False
    """

    array: np.ndarray
    submatrix: Submatrix | None = None
    lazy: bool = False


def _check_rule(rule: Mapping[str, Any]) -> None:
    """Raise unless the settings are right; it comes with every step, and so is short."""
    for name, value in rule.items():
        if name == "nesterov":
            check_flag(name, value)
            continue
        low, high = _BOUNDS.get(name, (math.nan, math.nan))
        if type(value) is not float or not low <= value < high:
            if name not in _BOUNDS:
                raise TypeError(f"an optimizer step has no setting {name!r}")
            check_number(name, value, f"[{low}, {high})")


def _check_step(
    param: np.ndarray, grad: Gradient, *states: np.ndarray | None
) -> tuple[np.ndarray, bool, Settings | None]:
    """Raise unless the arrays fit; return the gradient as the kernels want it."""
    _check_like("param", param, param)
    checked = _checked(grad, param)
    written = [param]
    for place, array in enumerate(states):
        if array is not None:
            _check_like(f"states[{place}]", array, param)
            if any(np.shares_memory(array, other) for other in (*written, checked[0])):
                raise ValueError(f"states[{place}] shares memory with param, grad or another state")
            written.append(array)
    if not all(array.flags.writeable for array in written):
        raise ValueError("param and states must be writeable, and one is not")
    return checked


def _checked(grad: Gradient, param: np.ndarray) -> tuple[np.ndarray, bool, Settings | None]:
    """Raise unless a gradient fits; return its array, whether it is lazy, and its place."""
    if not isinstance(grad, Gradient):
        raise TypeError(f"a step takes a functional.Gradient, not {grad!r}")
    array, submatrix, lazy = grad
    check_flag("lazy", lazy)
    if submatrix is not None:
        check_submatrix(submatrix)
        submatrix.check("param", param, array)
        return array, lazy, submatrix.settings
    if lazy:
        raise ValueError("a lazy step needs submatrix=, where the gradient lies")
    _check_like("grad", array, param)
    return array, False, None


def _check_like(name: str, array: Any, first: np.ndarray) -> None:
    """Raise unless the kernels can step an array beside ``first``."""
    _arrays.check_ndarray(name, array)
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} must be float32 or float64, not {array.dtype}")
    if array.shape != first.shape or array.dtype != first.dtype:
        raise ValueError(
            f"{name} has shape {array.shape} and dtype {array.dtype}, but param "
            f"{first.shape} and {first.dtype}"
        )
    if not _arrays.is_ready(array):
        raise ValueError(f"{name} must be contiguous, aligned and native")


def _check_states(kind: str, count: int) -> None:
    check_choice("kind", kind, api.STATES)
    if count not in api.STATES[kind]:
        wanted = " or ".join(map(str, api.STATES[kind]))
        raise ValueError(f"a step of {kind} needs {wanted} arrays in states, not {count}")


class StepGroup:
    """Parameters that take the same step in one call, with the gradients of that call.

    Parameters
    ----------
    arrays : sequence of tuples
        The parameter and its states, for each; checked here, once for all steps.

    Raises
    ------
    TypeError, ValueError
        If an array is not float32 or float64, as the kernels want it, does not fit the others, or
        shares memory with one.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> w = np.ones(3)
    >>> group = functional.StepGroup([(w,)])
    >>> group.step("sgd", [functional.Gradient(np.ones(3))], learning_rate=0.25)
    >>> w
    array([0.75, 0.75, 0.75])
    """

    def __init__(self, arrays: Sequence[tuple[np.ndarray, ...]]) -> None:
        for param, *states in arrays:
            if any(state is None for state in states):
                raise TypeError("a StepGroup takes the arrays of state alone, and no None")
            _check_step(param, Gradient(param), *states)
        self._counts = {len(own) - 1 for own in arrays}
        self._params = [own[0] for own in arrays]
        self._flat = [*chain.from_iterable(arrays)]
        places = sorted((one.ctypes.data, one.nbytes) for one in self._flat if one.nbytes)
        if any(start + size > after for (start, size), (after, _) in pairwise(places)):
            raise ValueError("parameters and states share memory, and would be stepped twice")
        self._group: list[tuple[Any, ...]] = [(*own, None, None)[:3] for own in arrays]
        self._grads: tuple[Gradient, ...] = ()
        self._checked: list[Any] = []

    def holds(self, arrays: Sequence[tuple[np.ndarray, ...]]) -> bool:
        """Whether it was made of these very arrays."""
        flat = [*chain.from_iterable(arrays)]
        return len(flat) == len(self._flat) and all(map(is_, flat, self._flat))

    def step(
        self, kind: str, grads: Sequence[Gradient], *, num_threads: int | None = None,
        **rule: Any,
    ) -> None:
        """Take a step of that kind, with a `Gradient` for each parameter.

        Those that are the very ones of the last step are not checked again.
        """
        for count in self._counts:
            _check_states(kind, count)
        _check_rule(rule)
        if len(grads) != len(self._group):
            raise ValueError(f"{len(self._group)} parameters need as many grads, not {len(grads)}")
        if not (self._grads and all(map(is_, grads, self._grads))):
            self._grads = ()
            self._checked = [_checked(*pair) for pair in zip(grads, self._params, strict=True)]
            self._grads = tuple(grads)
        api.steps(kind, self._group, self._checked, num_threads=check_num_threads(num_threads),
                  **rule)


def optimizer_step(
    kind: str,
    param: np.ndarray,
    grad: Gradient,
    *states: np.ndarray | None,
    max_norm: float | None = None,
    by_row: bool = False,
    num_threads: int | None = None,
    **rule: Any,
) -> None:
    """Take one step in place, of a kind and with a rule that the kernels know.

    Parameters
    ----------
    kind : str
        Which formula, such as "sgd", "adam" or "rmsprop".
    param, grad, *states : array, Gradient and arrays
        Parameter, its gradient, and what the formula remembers.
    max_norm : float, optional
        Bound of the columns' norms after the step.
    by_row : bool
        It is that of the rows, along the last axis.
    num_threads : int, optional
        Threads of the kernel.
    **rule : float or bool
        The settings of the formula: ``learning_rate``, ``beta1``, ``beta2``, ``epsilon``,
        ``decay``, ``correction``, ``nesterov``.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> w = np.ones(3)
    >>> functional.optimizer_step("sgd", w, functional.Gradient(np.ones(3)), learning_rate=0.25)
    >>> w
    array([0.75, 0.75, 0.75])
    """
    _check_states(kind, sum(array is not None for array in states))
    _check_rule(rule)
    array, lazy, where = _check_step(param, grad, *states)
    first, second = (*states, None, None)[:2]
    threads = check_num_threads(num_threads)
    bound = check_max_norm(max_norm, param.shape)
    if bound is None or by_row or not param.size:
        api.step(kind, param, array, first, second, where, lazy=lazy, num_threads=threads, **rule)
        if bound is not None:
            _bound_rows(param, bound)
        return
    columns = param.shape[-1]
    totals = totals_for(param.size, columns, np.float64)
    api.step(kind, param, array, first, second, where, totals=totals, columns=columns, lazy=lazy,
             num_threads=threads, **rule)
    norms = np.sqrt(api.folded(totals, columns))
    longer = (norms > bound) & np.isfinite(norms)
    if longer.any():
        factors = np.ones(columns, param.dtype)
        factors[longer] = bound / norms[longer]
        row = np.resize(factors, columns + api.TILE_SIZE)
        api.scale_columns(param, row, columns, num_threads=threads)


def _bound_rows(param: np.ndarray, bound: float) -> None:
    norms = np.sqrt(np.einsum("...i,...i->...", param, param, dtype=np.float64))
    longer = (norms > bound) & np.isfinite(norms)
    param[longer] *= (bound / norms[longer])[:, None].astype(param.dtype)


def adam_rule(
    *, lr: float, beta1: float, beta2: float, epsilon: float, step: int
) -> dict[str, Any]:
    """Return the kernels' settings of Adam's step number ``step``, counted from 1.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> functional.adam_rule(lr=0.5, beta1=0.5, beta2=0.75, epsilon=0.0, step=1)
    {'learning_rate': 1.0, 'beta1': 0.5, 'beta2': 0.75, 'epsilon': 0.0, 'correction': 2.0}
    """
    _check_rule({"lr": lr, "beta1": beta1, "beta2": beta2, "epsilon": epsilon})
    if type(step) is not int or not 1 <= step < 2**63:
        step = check_integer("step", step, "[1, 2**63)")
    return corrected(lr, beta1, beta2, epsilon, step)


def corrected(
    lr: float, beta1: float, beta2: float, epsilon: float, step: int
) -> dict[str, Any]:
    """Return what `adam_rule` does, of settings that are checked."""
    return {"learning_rate": lr / (1 - beta1**step), "beta1": beta1, "beta2": beta2,
            "epsilon": epsilon, "correction": (1 - beta2**step) ** -0.5}


def sgd_step(
    param: np.ndarray,
    grad: np.ndarray,
    velocity: np.ndarray | None = None,
    *,
    lr: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    max_norm: float | None = None,
    submatrix: Submatrix | None = None,
    lazy: bool = False,
    num_threads: int | None = None,
) -> None:
    """g = grad + decay w; v = momentum v + g; w -= lr (g + momentum v if nesterov else v).

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> w = np.ones(3)
    >>> functional.sgd_step(w, np.array([1.0, 0.0, -1.0]), lr=0.5)
    >>> w
    array([0.5, 1. , 1.5])
    """
    _check_rule({"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
    optimizer_step("sgd", param, Gradient(grad, submatrix, lazy), velocity, learning_rate=lr,
                   beta1=momentum, decay=weight_decay, nesterov=nesterov, max_norm=max_norm,
                   num_threads=num_threads)


def adam_step(
    param: np.ndarray,
    grad: np.ndarray,
    m: np.ndarray | None = None,
    v: np.ndarray | None = None,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    step: int,
    weight_decay: float = 0.0,
    max_norm: float | None = None,
    submatrix: Submatrix | None = None,
    lazy: bool = False,
    num_threads: int | None = None,
) -> None:
    """m, v = moving means of g, g**2; w -= lr decay w + lr m' / (sqrt(v') + epsilon).

    m' = m / (1 - beta1**step) and v' = v / (1 - beta2**step), with ``step`` counted from 1
    (Kingma & Ba 2015); the decay is decoupled (Loshchilov & Hutter 2019).

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> w, m, v = np.ones(2), np.zeros(2), np.zeros(2)
    >>> functional.adam_step(w, np.array([1.0, -1.0]), m, v, lr=0.5, beta1=0.9, beta2=0.99,
    ...                      epsilon=1e-8, step=1)
    >>> w.round(3)
    array([0.5, 1.5])
    """
    _check_rule({"weight_decay": weight_decay})
    rule = adam_rule(lr=lr, beta1=beta1, beta2=beta2, epsilon=epsilon, step=step)
    optimizer_step("adam", param, Gradient(grad, submatrix, lazy), m, v, decay=lr * weight_decay,
                   max_norm=max_norm, num_threads=num_threads, **rule)


def rmsprop_step(
    param: np.ndarray,
    grad: np.ndarray,
    v: np.ndarray | None = None,
    *,
    lr: float,
    rho: float,
    epsilon: float,
    max_norm: float | None = None,
    submatrix: Submatrix | None = None,
    lazy: bool = False,
    num_threads: int | None = None,
) -> None:
    """v = rho v + (1 - rho) g**2; w -= lr g / (sqrt(v) + epsilon).

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> w, v = np.ones(2), np.zeros(2)
    >>> functional.rmsprop_step(w, np.array([2.0, -2.0]), v, lr=0.5, rho=0.75, epsilon=0.0)
    >>> w
    array([0., 2.])
    """
    _check_rule({"lr": lr, "rho": rho})
    optimizer_step("rmsprop", param, Gradient(grad, submatrix, lazy), v, learning_rate=lr,
                   beta2=rho, epsilon=epsilon, max_norm=max_norm, num_threads=num_threads)
