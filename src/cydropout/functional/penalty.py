"""The penalty on the size of an array, with its gradient."""

from __future__ import annotations

import numpy as np

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._validate import check_number


def l2_penalty(w: np.ndarray, gradient: np.ndarray, strength: float) -> float:
    """Return ``strength sum w**2``, in float64; add ``2 strength w`` to ``gradient``.

    Parameters
    ----------
    w, gradient : array
        Of one shape and dtype, float32 or float64; the gradient, which is changed, is contiguous.
    strength : float
        Finite, and at least 0.

    Raises
    ------
    TypeError, ValueError
        If they are not alike, or not of such a dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> gradient = np.zeros(2)
    >>> functional.l2_penalty(np.array([1.0, 2.0]), gradient, 0.5), gradient
    (2.5, array([1., 2.]))
    """
    if type(strength) is float and 0 <= strength < np.inf and gradient is not None:
        if w is not gradient and api.ready(w, gradient) >= 2:
            return api.l2_penalty(w, gradient, strength)
    strength = check_number("strength", strength, "[0, inf)")
    w, code = _arrays.as_float_array(w, "w")
    if code < 2:
        raise TypeError(f"w has dtype {w.dtype}; sums need float32 or float64")
    _arrays.check_ndarray("gradient", gradient)
    values = _arrays.contiguous(w)
    fits = _arrays.is_ready(gradient) and gradient.flags.writeable
    if not fits or (gradient.shape, gradient.dtype) != (w.shape, values.dtype):
        raise ValueError(
            "gradient must be a writeable, contiguous array like w, of shape "
            f"{w.shape} and dtype {values.dtype}"
        )
    _arrays.check_apart(gradient=gradient, w=w)
    return api.l2_penalty(values, gradient, strength)
