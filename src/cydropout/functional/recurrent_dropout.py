"""The gated update of a recurrent state, with dropout of what is new, in one pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout.functional.bias_activation_dropout import fused_plan
from cydropout.functional.zoneout import alike
from cydropout.masks import BitMask
from cydropout.masks.base import check_mask


def check_gated(mask: BitMask | None, **inputs: ArrayLike) -> tuple[list[np.ndarray], int]:
    """Return what `alike` does, for arrays that the gated update can take."""
    arrays, code = alike(**inputs)
    if code < 2:
        raise TypeError(
            f"{next(iter(inputs))} has dtype {arrays[0].dtype}; the gated update needs float32 or "
            "float64"
        )
    check_mask(mask, arrays[0].shape, next(iter(inputs)))
    return arrays, code


def gated_update(
    previous: ArrayLike,
    forget: ArrayLike,
    gate: ArrayLike,
    candidate: ArrayLike,
    mask: BitMask | None,
    *,
    num_threads: int | None = None,
) -> np.ndarray:
    """y = forget * previous + gate * mask(candidate), in one pass.

    The new cell of an LSTM, with its forget and input gates, or, with ``forget = 1 - gate``, the
    new state of a GRU; with recurrent dropout of the update alone, so that nothing of what is
    remembered is lost.

    Parameters
    ----------
    previous, forget, gate, candidate : array
        float32 or float64, of one shape and dtype.
    mask : Mask of their shape, or None
        The dropout of the candidate.
    num_threads : int, optional
        By default as many as the work is worth.

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape does not fit.

    References
    ----------
    Semeniuta, Severyn, Barth, "Recurrent dropout without memory loss", COLING 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, functional
    >>> one = np.ones(6)
    >>> functional.gated_update(one, 0.5 * one, one, one, MaskStream(0).draw(6, 0.5))
    array([2.5, 2.5, 0.5, 0.5, 2.5, 0.5])
    """
    inputs, code = check_gated(
        mask, previous=previous, forget=forget, gate=gate, candidate=candidate
    )
    threads = check_num_threads(num_threads)
    plan, later = fused_plan(mask, inputs[0])
    if later is not None:
        inputs[3] = later.apply(inputs[3], num_threads=num_threads)
    y = np.empty_like(inputs[0])
    plan.joint(api.Kernel.GATED_UPDATE, inputs, [y], code, threads)
    return y


def gated_update_backward(
    dy: ArrayLike,
    previous: ArrayLike,
    forget: ArrayLike,
    gate: ArrayLike,
    candidate: ArrayLike,
    mask: BitMask | None,
    *,
    num_threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the four gradients of `gated_update`, in the order of its arguments, in one pass.

    dprevious = forget * dy, dforget = previous * dy, dgate = mask(candidate) * dy and
    dcandidate = mask(gate * dy).

    Parameters are those of `gated_update`, with ``dy`` the gradient of its result.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, functional
    >>> one = np.ones(6)
    >>> gradients = functional.gated_update_backward(
    ...     one, one, one, one, one, MaskStream(0).draw(6, 0.5))
    >>> gradients[3]
    array([2., 2., 0., 0., 2., 0.])
    """
    inputs, code = check_gated(
        mask, dy=dy, previous=previous, forget=forget, gate=gate, candidate=candidate
    )
    threads = check_num_threads(num_threads)
    plan, later = fused_plan(mask, inputs[0])
    if later is not None:
        inputs[4] = later.apply(inputs[4], num_threads=num_threads)
    dprevious, dforget, dgate, dcandidate = outputs = [np.empty_like(inputs[0]) for _ in range(4)]
    plan.joint(api.Kernel.GATED_UPDATE_BACKWARD, inputs, outputs, code, threads)
    if later is not None:
        dcandidate = later.backward(dcandidate, num_threads=num_threads)
    return dprevious, dforget, dgate, dcandidate
