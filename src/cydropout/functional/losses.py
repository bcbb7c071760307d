"""Mean losses with their gradients, in one pass."""

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
    loss, right = api.mean_loss("softmax_cross_entropy", z, index, gradient, code, threads)
    return loss, gradient, right


def mean_squared_error(
    prediction: ArrayLike, target: ArrayLike, *, num_threads: int | None = None
) -> tuple[float, np.ndarray]:
    """loss = mean of (prediction - target)**2 over all elements, with its gradient.

    Parameters
    ----------
    prediction : array
        float32 or float64, of at least one axis.
    target : array
        Of the same shape; it is read in the dtype of the prediction.
    num_threads : int, optional
        By default as many as the work is worth.

    Returns
    -------
    loss : float
        Squares are taken in the dtype of the prediction, and added up in float64.
    gradient : array of the shape of the prediction
        ``2 (prediction - target) / size``.

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape does not fit, or there is no element.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> functional.mean_squared_error(np.array([1.0, 2.0]), np.array([0.0, 0.0]))
    (2.5, array([1., 2.]))
    """
    y, code = _arrays.as_float_array(prediction, "prediction")
    if code < 2:
        raise TypeError(f"prediction has dtype {y.dtype}; sums need float32 or float64")
    t = check_array("target", target)
    if t.dtype.kind not in "biuf" and t.dtype.name != "bfloat16":
        raise TypeError(f"target must be real numbers, not of dtype {t.dtype}")
    if y.ndim < 1 or t.shape != y.shape or not y.size:
        raise ValueError(
            f"prediction of shape {y.shape} needs a target of that shape and at least one "
            f"element, but the target has shape {t.shape}"
        )
    y = _arrays.contiguous(y)
    gradient = np.empty_like(y)
    loss, _ = api.mean_loss("mean_squared_error", y, _arrays.contiguous(t, y.dtype), gradient,
                            code, check_num_threads(num_threads))
    return loss, gradient
