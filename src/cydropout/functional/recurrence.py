"""A whole sequence through a recurrent cell, and backward."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout._rates import ONE, threshold
from cydropout._samples import check_ends
from cydropout._validate import check_choice
from cydropout.functional._panels import panels
from cydropout.masks import BitMask, InferenceMask, KeepMask
from cydropout.masks.base import check_mask

#: How many gates each cell has.
GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}
_MANY_STEPS = 32
#: Bytes of a weight that stays in a cache from step to step, and as many times as there are rows:
#: BLAS is the faster one beyond either.
_LARGEST, _LARGEST_BATCH = 1 << 20, 1 << 25


class Recurrence(NamedTuple):
    """What `recurrence` gives: the states of all steps, and what the backward pass needs.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.functional import recurrence
    >>> done = recurrence("tanh", np.zeros((2, 3, 4)), np.eye(4), np.ones(4))
    >>> type(done).__name__, done.h.shape
    ('Recurrence', (2, 3, 4))
    """

    h: np.ndarray
    c: np.ndarray | None
    gates: np.ndarray
    weight: np.ndarray
    hidden: BitMask | None
    run: api.Recurrence


class RecurrenceGradients(NamedTuple):
    """What `recurrence_backward` gives."""

    dz: np.ndarray
    ds: np.ndarray
    before: np.ndarray
    dh0: np.ndarray
    dc0: np.ndarray | None


def _choice(
    mask: BitMask | None, shape: tuple[int, ...], name: str, threads: int, mean: bool = False
) -> tuple[np.ndarray | None, int, int, float]:
    """Return keep-bits, how many lie between rows and between steps, and the scale or share."""
    check_mask(mask, shape, f"{name} of the states", BitMask)
    if mask is None:
        return None, 0, 0, 1.0
    if mean and isinstance(mask, InferenceMask):
        rate = mask.rate
        if isinstance(rate, np.ndarray):
            raise ValueError(f"{name} has {rate.size} rates; a cell needs one")
        return None, 0, 0, int(threshold(rate)) / ONE
    if isinstance(mask.scale, np.ndarray):
        raise ValueError(f"{name} has {mask.scale.size} scales; a cell needs one")
    _, steps, units = shape
    for axes, row, step in (((), steps * units, units), ((1,), units, 0)):
        plan = mask.fused_plan(axes)
        if plan is not None:
            return plan.bits(threads), row, step, mask.scale
    return KeepMask(shape, mask.keep).bits, steps * units, units, mask.scale


def _part(array: Any, shape: tuple[int, ...], z: np.ndarray, name: str) -> np.ndarray:
    """Return a contiguous array of the dtype of z, or zeros for None."""
    if array is None:
        return np.zeros(shape, z.dtype)
    found, code = _arrays.as_float_array(array, name)
    if found.shape != shape or code != _arrays.dtype_code(z.dtype):
        raise ValueError(
            f"{name} has shape {found.shape} and dtype {found.dtype}; it needs {shape}, {z.dtype}"
        )
    return _arrays.contiguous(found)


def _panels(matrix: np.ndarray, rows: int) -> np.ndarray | None:
    """Return the panels of a matrix, or None where BLAS is the faster one."""
    if matrix.nbytes > _LARGEST or rows * matrix.nbytes > _LARGEST_BATCH:
        return None
    return panels(matrix)


def recurrence(
    cell: str,
    z: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    inner_bias: np.ndarray | None = None,
    *,
    h0: np.ndarray | None = None,
    c0: np.ndarray | None = None,
    hidden: BitMask | None = None,
    update: BitMask | None = None,
    zoneout_h: BitMask | None = None,
    zoneout_c: BitMask | None = None,
    lengths: ArrayLike | None = None,
    num_threads: int | None = None,
) -> Recurrence:
    """Run a sequence through a cell, from ``s = z_t + b + hidden(h) W`` at each step.

    - "tanh", "relu": ``h' = act(s)``;
    - "lstm": ``i, f, o = sigmoid(s_i, s_f, s_o)``, ``g = tanh(s_g)``, ``c' = f c + i update(g)``,
      ``h' = o tanh(c')``;
    - "gru": ``r, u = sigmoid(s_r, s_u)``, ``n = tanh(z_n + b_n + r (hidden(h) W_n + b'))``,
      ``h' = (1 - u) update(n) + u h``.

    The states become ``c = zoneout_c(c', c)`` and ``h = zoneout_h(h', h)``, each the new one where
    the mask keeps.

    Parameters
    ----------
    cell : {"tanh", "relu", "lstm", "gru"}
        The gates of the last two stand in the order i, f, g, o, and r, u, n.
    z : array of shape (n, steps, gates * units)
        What the inputs give, float32 or float64; it is overwritten.
    weight : array of shape (units, gates * units)
        ``W`` of the formula.
    bias : array of shape (gates * units,), optional
        ``b`` of the formula.
    inner_bias : array of shape (units,), optional
        ``b'`` of a GRU.
    h0, c0 : array of shape (n, units), optional
        The states before the first step; zeros if they are not given.
    hidden, update, zoneout_h, zoneout_c : Mask of shape (n, steps, units), optional
        Masks that share axis 1 hold at all steps. The mask of inference stands for the mean of
        zoneout.
    lengths : array of int of shape (n,), optional
        After so many steps of a row its states stay as they are.
    num_threads : int, optional
        Of the whole; each takes rows of the batch.

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> z, weight = np.ones((1, 3, 1)), np.zeros((1, 1))
    >>> functional.recurrence("relu", z, weight).h.ravel()
    array([1., 1., 1.])
    """
    check_choice("cell", cell, GATES)
    _arrays.check_ndarray("z", z)
    z, code = _arrays.as_float_array(z, "z")
    if code < 2:
        raise TypeError(f"z has dtype {z.dtype}; a cell needs float32 or float64")
    gates = GATES[cell]
    if z.ndim != 3 or z.shape[2] % gates or not _arrays.is_ready(z) or not z.flags.writeable:
        raise ValueError(
            f"z must be a contiguous, writeable (n, steps, {gates} units), not {z.shape}"
        )
    (n, steps), units = z.shape[:2], z.shape[2] // gates
    weight, _ = _arrays.as_float_array(weight, "weight")
    weight = _part(weight, (units, gates * units), z, "weight")
    bias = _part(bias, (gates * units,), z, "bias")
    inner_bias = _part(inner_bias, (units,), z, "inner_bias")
    start = _part(h0, (n, units), z, "h0")
    c_start = _part(c0, (n, units), z, "c0") if cell == "lstm" else None
    threads, shape = check_num_threads(num_threads), (n, steps, units)
    keeps = [
        _choice(hidden, shape, "hidden", threads),
        _choice(update, shape, "update", threads),
        _choice(zoneout_h, shape, "zoneout_h", threads, mean=True),
        _choice(zoneout_c, shape, "zoneout_c", threads, mean=True),
    ]
    if lengths is not None:
        lengths = check_ends("lengths", lengths, shape)
    h = np.empty(shape, z.dtype)
    c = np.empty_like(h) if cell == "lstm" else None
    inner = np.empty_like(h) if cell == "gru" else None
    run = api.Recurrence(cell, z.reshape(n, steps, gates, units), h, c, inner, start, c_start,
                         bias, inner_bias, keeps, code, lengths)
    if z.size:
        run.forward(weight, _panels(weight, n), _entering(start, hidden),
                    np.empty((n, gates * units), z.dtype), threads)
    return Recurrence(h, c, z, weight, hidden, run)


def _entering(h: np.ndarray, hidden: BitMask | None) -> np.ndarray:
    """Return ``hidden(h)`` at the first step, in an array of its own."""
    if hidden is None:
        return np.array(h)
    entering: np.ndarray = np.where(hidden.keep[:, 0], h * h.dtype.type(hidden.scale), 0)
    return entering


def recurrence_backward(
    dy: np.ndarray, done: Recurrence, *, num_threads: int | None = None
) -> RecurrenceGradients:
    """Return the gradients of `recurrence` with respect to what it was given.

    Parameters
    ----------
    dy : array of shape (n, steps, units) or (n, units)
        The gradient of all states h, or of the last one.
    done : Recurrence
        What `recurrence` gave.
    num_threads : int, optional
        Of the whole; each takes rows of the batch.

    Returns
    -------
    dz : array of shape (n, steps, gates * units)
        Its sums over the first two axes are the gradient of the bias.
    ds : array of the same shape
        The gradient of what the products gave: that of the weight is ``before.T @ ds``, over both
        axes, and that of ``inner_bias`` the sum of its last ``units`` columns. It is ``dz`` itself
        but of a GRU.
    before : array of shape (n, steps, units)
        The states that entered the products.
    dh0, dc0 : array of shape (n, units)

    Raises
    ------
    TypeError, ValueError
        If ``dy`` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> z, weight = np.ones((1, 3, 1)), np.ones((1, 1))
    >>> done = functional.recurrence("relu", z, weight)
    >>> functional.recurrence_backward(np.ones((1, 1)), done).dz.ravel()
    array([1., 1., 1.])
    """
    if not isinstance(done, Recurrence):
        raise TypeError(f"done must be what recurrence gave, not {done!r}")
    dy, code = _arrays.as_float_array(dy, "dy")
    h, z = done.h, done.gates
    n, _, units = h.shape
    if code != _arrays.dtype_code(h.dtype) or dy.shape not in (h.shape, (n, units)):
        raise ValueError(
            f"dy has shape {dy.shape} and dtype {dy.dtype}; the states have {h.shape}, {h.dtype}"
        )
    threads, state, empty = check_num_threads(num_threads), (n, units), not z.size
    # Without a step the last state is the first one.
    dh = dy.copy() if empty and dy.ndim == 2 else np.zeros(state, z.dtype)
    dc = None if done.c is None else np.zeros(state, z.dtype)
    dz, before, back = np.empty_like(z), np.empty_like(h), np.zeros(state, z.dtype)
    gru = z.shape[2] == 3 * units
    ds = np.empty_like(z) if gru else dz
    if not empty:
        # For BLAS, which reads rows faster than columns, a copy pays over many steps.
        turned = done.weight.T
        laid = _panels(turned, n)
        if laid is None and h.shape[1] > _MANY_STEPS:
            turned = np.ascontiguousarray(turned)
        done.run.backward(
            turned, laid, _arrays.contiguous(dy), dz, ds if gru else None,
            np.empty((n, z.shape[2]), z.dtype), back, dh, dc, before, threads,
        )
        dh += _entering(back, done.hidden)
    return RecurrenceGradients(dz, ds, before, dh, dc)
