"""Softmax cross-entropy of labels and its gradient, in one pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout._validate import check_array


def softmax_cross_entropy(
    logits: ArrayLike, labels: ArrayLike, *, num_threads: int | None = None
) -> tuple[float, np.ndarray, float]:
    """loss = mean over the rows z of log(sum(exp(z))) - z[label], with gradient and accuracy.

    Parameters
    ----------
    logits : array of shape (..., classes)
        float32 or float64.
    labels : array of int, of shape (...)
        From 0 to ``classes - 1``.
    num_threads : int, optional
        By default as many as the work is worth.

    Returns
    -------
    loss : float
    gradient : array of the shape of the logits
        ``(softmax(z) - one_hot(label)) / rows``.
    accuracy : float
        The share of rows whose first greatest logit is that of the label.

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape does not fit, there is no row, or a label is no class.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> loss, dlogits, right = functional.softmax_cross_entropy(
    ...     np.array([[0.0, 0.0], [0.0, 0.0]]), [0, 1])
    >>> dlogits
    array([[-0.25,  0.25],
           [ 0.25, -0.25]])
    """
    z, code = _arrays.as_float_array(logits, "logits")
    if code < 2:
        raise TypeError(f"logits have dtype {z.dtype}; sums need float32 or float64")
    index = check_array("labels", labels)
    if index.dtype.kind not in "iu":
        raise TypeError(f"labels must be integers, not {index.dtype}; convert them first")
    if z.ndim < 1 or z.shape[:-1] != index.shape or not z.size:
        raise ValueError(
            f"logits of shape {z.shape} need labels of shape {z.shape[:-1]} and at least one "
            f"entry, but the labels have shape {index.shape}"
        )
    z, index = _arrays.contiguous(z), _arrays.contiguous(index, np.int64)
    classes = z.shape[-1]
    place = api.wrong_label(index, classes)
    if place >= 0:
        raise ValueError(
            f"label {index.flat[place]} at position {place} is out of range for {classes} classes "
            f"(0 to {classes - 1})"
        )
    threads = check_num_threads(num_threads)
    gradient = np.empty_like(z)
    loss, right = api.cross_entropy(z, index, gradient, code, threads)
    return loss, gradient, right / index.size
