"""Dropout in one call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout._rates import Scaling
from cydropout._validate import check_array, check_flag
from cydropout.masks import InferenceMask
from cydropout.random import RNG, MaskStream, as_stream

#: Below this rate nothing is dropped, and no draw is taken.
_INVERTED: Scaling = "inverted"
_LEAST = 2.0**-32


def dropout(
    x: ArrayLike,
    rate: ArrayLike,
    *,
    rng: RNG = None,
    training: bool = True,
    shared_axes: int | tuple[int, ...] = (),
    out: np.ndarray | None = None,
    scaling: Scaling = _INVERTED,
    num_threads: int | None = None,
) -> np.ndarray:
    """y = x / (1 - rate) where kept, else 0; each element is dropped with probability ``rate``.

    Parameters
    ----------
    x : array
        float16, bfloat16, float32 or float64, of any shape and layout; also a CPU array of another
        library that has ``__dlpack__``, such as PyTorch or JAX, and then so is the result.
    rate : float or array
        The probability of dropping, between 0 and 1; an array broadcasts against the trailing
        axes (one rate per neuron).
    rng : None, int, SeedSequence, numpy.random.Generator or MaskStream
        Where the mask is drawn from. The same int always gives the same mask, so that ``rng=0``
        inside a loop repeats one mask: make ``rng = MaskStream(0)`` before the loop instead.
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
        By default as many as the work is worth, at most `get_num_threads`. Beside BLAS or other
        pools workers help only where they come in time, so a call is not slower than on one thread.

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

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, dropout
    >>> rng = MaskStream(0)
    >>> for step in range(2):
    ...     print(dropout(np.ones(6), 0.5, rng=rng))
    [2. 2. 0. 0. 2. 0.]
    [0. 2. 2. 2. 2. 0.]
    """
    # The common call, without a Mask in between: most of the time of a small array.
    plain = training is True and scaling is _INVERTED
    if plain and type(rate) is float and _LEAST <= rate < 1.0:
        code = api.ready(x, out) if type(shared_axes) is tuple and not shared_axes else -1
        if code >= 0 and (num_threads is None or check_num_threads(num_threads)):
            stream = rng if type(rng) is MaskStream else as_stream(rng)
            source: Any = x
            y = api.new_like(source) if out is None else out
            api.dropout(stream.key, stream.take(), rate, source, y, code, num_threads or 0)
            return y
    if _arrays.is_foreign(x):
        return _arrays.as_given(x, out, lambda array: dropout(  # type: ignore[no-any-return]
            array, rate, rng=rng, training=training, shared_axes=shared_axes, out=out,
            scaling=scaling, num_threads=num_threads))
    array = check_array("x", x)
    if api.ready(x, out) < 0:
        array, _ = _arrays.as_float_array(x)
        if out is not None:
            _arrays.check_out(out, array)
    check_num_threads(num_threads)
    if not check_flag("training", training):
        mean = InferenceMask(array.shape, rate, scaling=scaling, shared_axes=shared_axes)
        return mean.apply(x, out=out, num_threads=num_threads)
    stream = as_stream(rng)
    # Nothing is held for a backward pass: the bits are used as they are drawn.
    mask = stream.draw(
        array.shape, rate, scaling=scaling, shared_axes=shared_axes, storage="seed"
    )
    try:
        return mask.apply(x, out=out, num_threads=num_threads)
    except BaseException:
        if mask.draw is not None:
            stream.give_back(mask.draw)
        raise
