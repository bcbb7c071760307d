"""Arrays in, arrays out: dropout in one call, and the fused passes that the layers use."""

import sys
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays, _kernels
from cydropout._kernels import api, caches, threads
from cydropout._kernels.threads import check_num_threads, get_num_threads, set_num_threads
from cydropout._rates import Scaling
from cydropout.masks import BitMask, Mask, inference_mask
from cydropout.random import RNG, as_stream

__all__ = ["adam_step", "bias_activation_dropout", "bias_activation_dropout_backward", "dropout",
           "get_num_threads", "rmsprop_step", "set_num_threads", "sgd_step", "show_config"]

#: The kernels' number of each activation.
ACTIVATIONS = {
    name: kind
    for kind, name in enumerate(
        ("linear", "relu", "sigmoid", "tanh", "softplus", "selu", "gelu")
    )
}
_TILE = api.TILE_SIZE
_CHUNKS = 16
#: Below this rate nothing is dropped, and no draw is taken.
_LEAST = 2.0**-32


def dropout(
    x: ArrayLike,
    rate: ArrayLike,
    *,
    rng: RNG = None,
    training: bool = True,
    shared_axes: int | tuple[int, ...] = (),
    out: np.ndarray | None = None,
    scaling: Scaling = "inverted",
    num_threads: int | None = None,
) -> np.ndarray:
    """y = x / (1 - rate) where kept, else 0; each element is dropped with probability ``rate``.

    Parameters
    ----------
    x : array
        float16, bfloat16, float32 or float64, of any shape and layout.
    rate : float or array
        The probability of dropping, between 0 and 1; an array broadcasts against the trailing
        axes (one rate per neuron).
    rng : None, int, SeedSequence, numpy.random.Generator or MaskStream
        Where the mask is drawn from. The same int always gives the same mask.
    training : bool
        If False, the result is the mean over all masks: with the default scaling ``x`` itself.
    shared_axes : int or tuple of ints
        Axes along which all elements share one random number.
    out : array, optional
        Where y goes: ``x`` itself, or an array of its shape and dtype that does not overlap it.
    scaling : {"inverted", "classic", "sqrt"}
        Multiply kept elements by ``1 / k``, ``1`` or ``1 / sqrt(k)`` in training and by ``1``,
        ``k`` or ``sqrt(k)`` at inference, where ``k`` is the realised keep probability.
    num_threads : int, optional
        By default as many as the work is worth, at most `get_num_threads`.

    Returns
    -------
    array
        Of the shape and dtype of ``x``.

    Raises
    ------
    TypeError
        If ``x`` is not of a floating dtype.
    ValueError
        If a rate is below 0, above 1 or NaN, or a shape does not fit.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way to prevent
    neural networks from overfitting", JMLR 15 (2014).
    """
    # The common call, without a Mask in between: most of the time of a small array.
    if training and type(rate) is float and _LEAST <= rate < 1.0 and scaling == "inverted":
        code = api.ready(x, out) if type(shared_axes) is tuple and not shared_axes else -1
        if code >= 0 and (num_threads is None or check_num_threads(num_threads)):
            stream = as_stream(rng)
            y = np.empty(np.shape(x), x.dtype) if out is None else out
            api.dropout(stream.key, stream.take(), rate, x, y, code, num_threads or 0)
            return y
    array = np.asarray(x)
    if api.ready(x, out) < 0:
        array, _ = _arrays.as_float_array(x)
        if out is not None:
            _arrays.check_out(out, array)
    check_num_threads(num_threads)
    mask: Mask
    if training:
        # Nothing is held for a backward pass: the bits are used as they are drawn.
        mask = as_stream(rng).draw(
            array.shape, rate, scaling=scaling, shared_axes=shared_axes, storage="seed"
        )
    else:
        mask = inference_mask(array.shape, rate, scaling=scaling, shared_axes=shared_axes)
    return mask.apply(x, out=out, num_threads=num_threads)


def _check_fused(
    z: Any, activation: str, mask: BitMask | None, a: float
) -> tuple[np.ndarray, int, int]:
    z, code = _arrays.as_float_array(z, "z")
    if code < 2:
        raise TypeError(f"z has dtype {z.dtype}; the fused passes need float32 or float64")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, not {activation!r}")
    if mask is not None and mask.shape != z.shape:
        raise ValueError(f"z has shape {z.shape}, but the mask has shape {mask.shape}")
    if not 0 < a < float("inf"):
        raise ValueError(f"a, the sharpness of softplus, must be positive and finite, not {a}")
    return z, code, ACTIVATIONS[activation]


def _extended_bias(bias: Any, z: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the bias repeated for a tile past its period, and the period."""
    native = z.dtype.newbyteorder("=")
    if bias is None:
        # -0.0 is what leaves every number as it is, -0.0 too.
        return np.full(_TILE + 1, -0.0, native), 1
    bias = np.ascontiguousarray(bias, native)
    if bias.shape != z.shape[-1:]:
        raise ValueError(f"bias has shape {bias.shape}, but z has shape {z.shape}")
    return api.repeated(bias, bias.size + _TILE), max(bias.size, 1)


def _fused_plan(mask: BitMask | None, z: np.ndarray) -> tuple[api.Plan, BitMask | None]:
    """Return the plan that runs in the same pass, and the mask that needs one of its own."""
    plan = None if mask is None else mask.fused_plan()
    if plan is not None:
        return plan, None
    return api.Plan(0, 0, 0, z.size, (2**32, 1.0), False), mask


def _place(
    out: np.ndarray | None, **inputs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return the result as the caller gets it, what the kernels write, and what they read."""
    arrays = list(inputs.values())
    if all(api.ready(array, out) >= 0 for array in arrays):
        y = np.empty(arrays[0].shape, arrays[0].dtype) if out is None else out
        return y, y, arrays
    if out is not None:
        for name, array in inputs.items():
            _arrays.check_out(out, array, name)
    sources = [_arrays.contiguous(array) for array in arrays]
    if out is None:
        out = np.empty(arrays[0].shape, arrays[0].dtype)
    y = out if _arrays.is_ready(out) else np.empty(out.shape, out.dtype.newbyteorder("="))
    return out, y, sources


def bias_activation_dropout(
    z: ArrayLike,
    bias: ArrayLike | None,
    activation: str,
    mask: BitMask | None,
    *,
    a: float = 1.0,
    out: np.ndarray | None = None,
    num_threads: int | None = None,
) -> np.ndarray:
    """y = mask(act(z + bias)), in one pass.

    Parameters
    ----------
    z : array of shape (..., n)
        float32 or float64.
    bias : array of shape (n,), or None
        Added to each row.
    activation : str
        "linear", "relu", "sigmoid", "tanh", "softplus", "selu" or "gelu".
    mask : Mask of the shape of z, or None
        The dropout that follows.
    a : float
        The sharpness of softplus, ``log(1 + exp(a x)) / a``.
    out : array, optional
        Where y goes; may be ``z``.
    num_threads : int, optional
        By default as many as the work is worth.

    Raises
    ------
    TypeError, ValueError
        If a dtype, a shape or the name of the activation does not fit.
    """
    z, code, kind = _check_fused(z, activation, mask, a)
    extended, columns = _extended_bias(bias, z)
    count = check_num_threads(num_threads)
    out, y, (z,) = _place(out, z=z)
    plan, later = _fused_plan(mask, z)
    plan.forward(z, extended, y, code, kind, a, columns, count)
    if later is not None:
        later.apply(y, out=y, num_threads=num_threads)
    if y is not out:
        out[...] = y
    return out


def bias_activation_dropout_backward(
    dy: ArrayLike,
    z: ArrayLike,
    bias: ArrayLike | None,
    activation: str,
    mask: BitMask | None,
    *,
    a: float = 1.0,
    out: np.ndarray | None = None,
    num_threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """dz = act'(z + bias) mask(dy) and dbias = the sum of dz over its rows, in one pass.

    Parameters are those of `bias_activation_dropout`, with ``dy`` the gradient of its result and
    ``out`` the place for dz, which may be ``dy``.

    Returns
    -------
    dz : array of the shape of z
    dbias : array of shape (n,), or None without a bias
        The same to the bit for any number of threads.
    """
    z, code, kind = _check_fused(z, activation, mask, a)
    dy = np.asarray(dy)
    if dy.shape != z.shape or dy.dtype != z.dtype:
        raise ValueError(
            f"dy has shape {dy.shape} and dtype {dy.dtype}, but z has {z.shape} and {z.dtype}"
        )
    extended, columns = _extended_bias(bias, z)
    count = check_num_threads(num_threads)
    out, dz, (dy, z) = _place(out, dy=dy, z=z)
    plan, later = _fused_plan(mask, z)
    if later is not None:
        dy = later.backward(dy, num_threads=num_threads)
    # How the sums are split depends on the size alone.
    tiles = -(-z.size // _TILE)
    totals = np.zeros((max(1, min(_CHUNKS, tiles // _CHUNKS)), columns + _TILE), dz.dtype)
    plan.backward(dy, z, extended, dz, totals, code, kind, a, columns, count)
    if dz is not out:
        out[...] = dz
    if bias is None:
        return out, None
    return out, _fold(totals.sum(axis=0), columns)[: z.shape[-1]]


def _fold(total: np.ndarray, columns: int) -> np.ndarray:
    """Add what lies past the columns to the column it belongs to."""
    rows = -(-total.size // columns)
    padded = np.zeros(rows * columns, total.dtype)
    padded[: total.size] = total
    folded: np.ndarray = padded.reshape(rows, columns).sum(axis=0)
    return folded


def _check_step(*arrays: np.ndarray | None) -> None:
    first = arrays[0]
    for array in arrays:
        if array is None:
            continue
        if not isinstance(array, np.ndarray) or array.dtype not in (np.float32, np.float64):
            raise TypeError(
                "an optimizer step needs float32 or float64 arrays, not "
                f"{getattr(array, 'dtype', type(array).__name__)}"
            )
        assert first is not None
        if array.shape != first.shape or array.dtype != first.dtype:
            raise ValueError(
                f"parameter has shape {first.shape} and dtype {first.dtype}, but its gradient or "
                f"state has {array.shape} and {array.dtype}"
            )
        if not _arrays.is_ready(array):
            raise ValueError("an optimizer step needs contiguous, aligned, native arrays")


def sgd_step(
    param: np.ndarray,
    grad: np.ndarray,
    velocity: np.ndarray | None,
    *,
    lr: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    num_threads: int | None = None,
) -> None:
    """g = grad + decay w; v = momentum v + g; w -= lr (g + momentum v if nesterov else v)."""
    _check_step(param, grad, velocity)
    api.step("sgd", param, grad, velocity, None, learning_rate=lr, beta1=momentum,
             decay=weight_decay, nesterov=nesterov, num_threads=check_num_threads(num_threads))


def adam_step(
    param: np.ndarray,
    grad: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    step: int,
    weight_decay: float = 0.0,
    num_threads: int | None = None,
) -> None:
    """m, v = moving means of g, g**2; w -= lr decay w + lr m' / (sqrt(v') + epsilon).

    m' = m / (1 - beta1**step) and v' = v / (1 - beta2**step), with ``step`` counted from 1
    (Kingma & Ba 2015); the decay is decoupled (Loshchilov & Hutter 2019).
    """
    _check_step(param, grad, m, v)
    api.step("adam", param, grad, m, v, learning_rate=lr / (1 - beta1**step), beta1=beta1,
             beta2=beta2, epsilon=epsilon, decay=lr * weight_decay,
             correction=(1 - beta2**step) ** -0.5, num_threads=check_num_threads(num_threads))


def rmsprop_step(
    param: np.ndarray,
    grad: np.ndarray,
    v: np.ndarray,
    *,
    lr: float,
    rho: float,
    epsilon: float,
    num_threads: int | None = None,
) -> None:
    """v = rho v + (1 - rho) g**2; w -= lr g / (sqrt(v) + epsilon)."""
    _check_step(param, grad, v)
    api.step("rmsprop", param, grad, v, None, learning_rate=lr, beta2=rho, epsilon=epsilon,
             num_threads=check_num_threads(num_threads))


def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None:
    """Print, or with ``mode="dicts"`` return, how cydropout runs here.

    The build in use and those available, OpenMP, the threads and what decided them.
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode must be 'stdout' or 'dicts', not {mode!r}")
    from cydropout import __version__

    config: dict[str, Any] = {
        "version": __version__,
        "build": _kernels.build,
        "builds available": _kernels.available(),
        "OpenMP": api.OPENMP or "no: built serial",
        "threads": get_num_threads(),
        "threads decided by": threads.source(),
        "last-level cache": f"{caches.last_level() // 1024} KiB",
        "numpy": np.__version__,
        "python": sys.version.split()[0],
    }
    if mode == "dicts":
        return config
    for name, value in config.items():
        print(f"{name + ':':20}{', '.join(value) if isinstance(value, list) else value}")
    return None
