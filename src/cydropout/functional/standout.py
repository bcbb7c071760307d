"""Standout: an activation that is kept with a probability of its own, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout._validate import check_choice, check_flag, check_number
from cydropout.functional.bias_activation_dropout import ACTIVATIONS
from cydropout.masks import BitMask, KeepMask
from cydropout.masks.base import check_mask
from cydropout.masks.bits import packed
from cydropout.random import RNG, as_stream


def _checked(
    z: Any, r: Any, activation: str, alpha: float, beta: float
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Return z and r as the kernels read them, r being z if there is none, and their codes."""
    z, code = _arrays.as_float_array(z, "z")
    if code < 2:
        raise TypeError(f"z has dtype {z.dtype}; standout needs float32 or float64")
    kind = ACTIVATIONS[check_choice("activation", activation, ACTIVATIONS)]
    check_number("alpha", alpha)
    check_number("beta", beta)
    ready = _arrays.contiguous(z)
    if r is None:
        return ready, ready, code, kind
    return ready, _like(r, z, "r"), code, kind


def _like(array: Any, z: np.ndarray, name: str) -> np.ndarray:
    array, _ = _arrays.as_float_array(array, name)
    if array.shape != z.shape or array.dtype.newbyteorder("=") != z.dtype.newbyteorder("="):
        raise ValueError(
            f"{name} has shape {array.shape} and dtype {array.dtype}, but z has {z.shape} and "
            f"{z.dtype}"
        )
    return _arrays.contiguous(array)


def _words(mask: BitMask | None, z: np.ndarray) -> np.ndarray | None:
    """Return a mask's decisions as packed bits."""
    check_mask(mask, z.shape, "z", BitMask)
    if mask is None:
        return None
    return mask.bits if mask.fused_plan() is not None else packed(mask.keep, mask.shape)[0]


def standout(
    z: ArrayLike,
    r: ArrayLike | None = None,
    activation: str = "relu",
    *,
    alpha: float = 1.0,
    beta: float = 0.0,
    rng: RNG = None,
    mask: BitMask | None = None,
    training: bool = True,
    num_threads: int | None = None,
) -> tuple[np.ndarray, BitMask | None]:
    """y = act(z) where kept, else 0; kept with probability k = sigmoid(alpha r + beta).

    Element ``i`` (flat, in C order) is kept if word ``i % 4`` of the Philox block ``i // 4`` of the
    draw is below ``2**32 k``, compared exactly: where k is the same number, float32 and float64
    decide alike. Where k is NaN, it is kept, so that the NaN is seen.

    Parameters
    ----------
    z : array
        float32 or float64.
    r : array of the shape and dtype of z, optional
        What k is computed from; z itself by default.
    activation : str
        "linear", "relu", "sigmoid", "tanh", "softplus", "selu" or "gelu".
    alpha, beta : float
        Factor and shift of what the sigmoid is given.
    rng : None, int, SeedSequence, numpy.random.Generator or MaskStream
        Where the decisions are drawn from.
    mask : BitMask, optional
        The decisions themselves; its scale does not count.
    training : bool
        If False, the result is the mean, ``k act(z)``.
    num_threads : int, optional
        By default as many as the work is worth.

    Returns
    -------
    y : array of the shape and dtype of z
    mask : BitMask or None
        The decisions; None of the mean.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; no draw is taken then.

    References
    ----------
    Ba & Frey, "Adaptive dropout for training deep neural networks", NIPS 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> z = np.array([-1.0, 2.0, 3.0])
    >>> y, _ = functional.standout(z, alpha=0.0, beta=100.0, rng=0)
    >>> y
    array([0., 2., 3.])
    """
    z, r, code, kind = _checked(z, r, activation, alpha, beta)
    threads, training = check_num_threads(num_threads), check_flag("training", training)
    if not training or mask is not None:
        bits, y = _words(mask if training else None, z), np.empty_like(z)
        api.standout(z, r, y, bits, None, code, kind, alpha, beta, threads)
        return y, mask if training else None
    stream = as_stream(rng)

    def drawn() -> tuple[np.ndarray, BitMask]:
        bits, y = np.empty((z.size + 31) // 32, np.uint32), np.empty_like(z)
        draw = stream.key, stream.take()
        api.standout(z, r, y, bits, draw, code, kind, alpha, beta, threads)
        return y, KeepMask.from_bits(z.shape, bits)

    return stream.restoring(drawn)


def standout_backward(
    dy: ArrayLike,
    z: ArrayLike,
    r: ArrayLike | None,
    activation: str,
    mask: BitMask | None,
    *,
    alpha: float = 1.0,
    beta: float = 0.0,
    num_threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """dz = dy act'(z) where kept, else 0, and dr = alpha dy act(z) k (1 - k), in one pass.

    dr takes the decision for its probability k (straight-through). Without a mask, of the mean,
    ``dz = k dy act'(z)``, and both are exact. Parameters are those of `standout`.

    Returns
    -------
    dz : array of the shape of z
        Without an r, the sum of both parts.
    dr : array of the shape of z, or None without an r

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> z = np.array([-1.0, 2.0, 3.0])
    >>> y, mask = functional.standout(z, alpha=0.0, beta=100.0, rng=0)
    >>> dz, _ = functional.standout_backward(
    ...     np.ones(3), z, None, "relu", mask, alpha=0.0, beta=100.0)
    >>> dz
    array([0., 1., 1.])
    """
    tied = r is None
    z, r, code, kind = _checked(z, r, activation, alpha, beta)
    dy = _like(dy, z, "dy")
    threads = check_num_threads(num_threads)
    bits = _words(mask, z)
    dz, dr = np.empty_like(z), None if tied else np.empty_like(z)
    api.standout_backward(dy, z, r, bits, dz, dr, code, kind, alpha, beta, threads)
    return dz, dr
