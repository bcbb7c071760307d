"""A choice between two states of a recurrent network, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout._rates import ONE, threshold
from cydropout.masks import BitMask, InferenceMask, KeepMask
from cydropout.masks.base import check_mask


def alike(**inputs: ArrayLike) -> tuple[list[np.ndarray], int]:
    """Return the arrays as the kernels want them, and the number of the one dtype they have."""
    first, arrays, code = next(iter(inputs)), [], -1
    for name, value in inputs.items():
        array, code = _arrays.as_float_array(value, name)
        arrays.append(_arrays.contiguous(array))
        if arrays[-1].shape != arrays[0].shape or arrays[-1].dtype != arrays[0].dtype:
            raise ValueError(
                f"{name} has shape {array.shape} and dtype {array.dtype}, but {first} has "
                f"{arrays[0].shape} and {arrays[0].dtype}"
            )
    return arrays, code


def _check_given(mask: Any, x: np.ndarray, name: str) -> None:
    if mask is None:
        raise TypeError(f"zoneout of {name} needs a mask; masks.InferenceMask stands for the mean")
    check_mask(mask, x.shape, name, BitMask)


def _choice(mask: BitMask) -> api.Plan:
    """Return the keep-bits of any mask, one for each element."""
    plan = mask.fused_plan()
    if plan is None:
        plan = KeepMask(mask.shape, mask.keep).fused_plan()
    assert plan is not None
    return plan


def _weighed(x: np.ndarray, weight: Any) -> Any:
    """Return ``weight x`` before it is rounded to the dtype; with a weight of 0 nothing enters."""
    wide = np.float64 if x.dtype == np.float64 else np.float32
    weight = np.asarray(weight, wide)
    product = np.zeros(x.shape, wide)
    return np.multiply(x.astype(wide, copy=False), weight, out=product, where=weight != 0)


def zoneout(
    new: ArrayLike, previous: ArrayLike, mask: BitMask, *, num_threads: int | None = None
) -> np.ndarray:
    """y = new where kept, else previous: the state that zoneout leaves.

    Parameters
    ----------
    new, previous : array
        The state after and before the step: float16, bfloat16, float32 or float64, of one shape
        and dtype. What is not chosen never enters, be it NaN.
    mask : Mask of their shape
        Its bits say where ``new`` is taken; its scale plays no part. The mask of inference
        stands for the mean: ``y = k new + (1 - k) previous`` with k the share kept in training.
    num_threads : int, optional
        By default as many as the work is worth.

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape does not fit.

    References
    ----------
    Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", ICLR
    2017.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, functional
    >>> new, previous = np.ones(6), np.zeros(6)
    >>> functional.zoneout(new, previous, MaskStream(0).draw(6, 0.5))
    array([1., 1., 0., 0., 1., 0.])
    """
    (new, previous), code = alike(new=new, previous=previous)
    _check_given(mask, new, "new")
    threads = check_num_threads(num_threads)
    if isinstance(mask, InferenceMask):
        k = threshold(mask.rate) / ONE
        with np.errstate(invalid="ignore"):
            y: np.ndarray = (_weighed(new, k) + _weighed(previous, 1 - k)).astype(new.dtype)
        # The sum of -0.0 and a 0 that stands for nothing is not -0.0.
        np.copyto(y, new, where=np.equal(k, 1))
        np.copyto(y, previous, where=np.equal(k, 0))
        return y
    y = np.empty_like(new)
    _choice(mask).joint(api.Kernel.ZONEOUT, [new, previous], [y], code, threads)
    return y


def zoneout_backward(
    dy: ArrayLike, mask: BitMask, *, num_threads: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """dnew = dy where kept, else 0, and dprevious = dy where not, else 0, in one pass.

    Parameters are those of `zoneout`, with ``dy`` the gradient of its result.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, functional
    >>> functional.zoneout_backward(np.ones(6), MaskStream(0).draw(6, 0.5))
    (array([1., 1., 0., 0., 1., 0.]), array([0., 0., 1., 1., 0., 1.]))
    """
    (dy,), code = alike(dy=dy)
    _check_given(mask, dy, "dy")
    threads = check_num_threads(num_threads)
    if isinstance(mask, InferenceMask):
        k = threshold(mask.rate) / ONE
        return _weighed(dy, k).astype(dy.dtype), _weighed(dy, 1 - k).astype(dy.dtype)
    dnew, dprevious = np.empty_like(dy), np.empty_like(dy)
    _choice(mask).joint(api.Kernel.ZONEOUT_BACKWARD, [dy], [dnew, dprevious], code, threads)
    return dnew, dprevious
