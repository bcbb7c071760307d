"""Losses: ``loss(prediction, target)`` returns the mean value and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Loss:
    """Base of the losses.

    Calling one returns ``(value, gradient)``: the mean over the batch as a float, and its
    derivative with the shape and dtype of the prediction. Every loss raises `TypeError` for a
    dtype it cannot read and `ValueError` for shapes or targets that do not fit.
    """

    def __call__(self, prediction: Any, target: Any) -> tuple[float, Array]:
        """Return the mean loss and its gradient with respect to ``prediction``."""
        given = np.asarray(prediction)
        if given.dtype.name not in ("float16", "float32", "float64", "bfloat16"):
            raise TypeError(f"predictions must be floats, got dtype {given.dtype}")
        if given.size == 0:
            raise ValueError(f"the batch is empty: predictions have shape {given.shape}")
        wide = given.astype("float64" if given.dtype == np.float64 else "float32", copy=False)
        # NaN and Inf go through to the value, for the caller to act on.
        with np.errstate(invalid="ignore", over="ignore"):
            value, gradient = self._value_and_gradient(wide, np.asarray(target))
        return float(value), gradient.astype(given.dtype, copy=False)

    def _value_and_gradient(self, prediction: Array, target: Array) -> tuple[Any, Array]:
        raise NotImplementedError

    def accuracy(self, prediction: Any, target: Any) -> float | None:
        """Return the share of right predictions, or None where that means nothing."""
        return None

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in vars(self).items())
        return f"{type(self).__name__}({settings})"


class _ClassLoss(Loss):
    def accuracy(self, prediction: Any, target: Any) -> float:
        """Return the share of positions where the label's class has the largest prediction."""
        rows, labels, soft = _class_targets(np.asarray(prediction), np.asarray(target))
        right = labels if soft is None else soft.argmax(axis=1)
        return float((rows.argmax(axis=1) == right).mean())


class SoftmaxCrossEntropy(_ClassLoss):
    """``-sum_c t_c log softmax(z)_c``, from logits ``z``; the gradient is ``softmax(z) - t``.

    Parameters
    ----------
    label_smoothing : float
        ``t`` becomes ``(1 - s) t + s / C`` for ``C`` classes.

    Notes
    -----
    Predictions are ``(n, ..., C)``. Targets are integer labels ``(n, ...)``, or one-hot or soft
    labels ``(n, ..., C)`` that sum to 1. The mean runs over all positions.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {label_smoothing}")
        self.label_smoothing = float(label_smoothing)

    def _value_and_gradient(self, prediction: Array, target: Array) -> tuple[Any, Array]:
        rows, labels, soft = _class_targets(prediction, target)
        count, classes = rows.shape
        z = rows - rows.max(axis=1, keepdims=True)
        gradient = np.exp(z)
        total = gradient.sum(axis=1, keepdims=True)
        gradient /= total
        if labels is not None and not self.label_smoothing:
            index = np.arange(count)
            losses = np.log(total[:, 0]) - z[index, labels]
            gradient[index, labels] -= 1
        else:
            soft = _one_hot(labels, rows) if soft is None else soft.astype(rows.dtype)
            smooth = self.label_smoothing
            soft = soft * (1 - smooth) + smooth / classes if smooth else soft
            # A label of 0 counts for nothing, also where the logit is infinitely small.
            losses = np.where(soft == 0, 0, soft * (np.log(total) - z)).sum(axis=1)
            gradient -= soft
        gradient /= count
        return losses.mean(dtype="float64"), gradient.reshape(prediction.shape)


class NegativeLogLikelihood(_ClassLoss):
    """``-sum_c t_c log p_c``, from probabilities ``p``; the gradient is ``-t / p``.

    Parameters
    ----------
    epsilon : float
        Probabilities below it are read as it, which keeps value and gradient finite.

    Notes
    -----
    Shapes and targets are those of `SoftmaxCrossEntropy`, which is the better choice where
    logits are at hand.
    """

    def __init__(self, epsilon: float = 1e-12) -> None:
        self.epsilon = _check_epsilon(epsilon)

    def _value_and_gradient(self, prediction: Array, target: Array) -> tuple[Any, Array]:
        rows, labels, soft = _class_targets(prediction, target)
        p = np.maximum(_check_probabilities(rows), rows.dtype.type(self.epsilon))
        if labels is None and soft is not None:
            soft = soft.astype(rows.dtype)
            losses = -(soft * np.log(p)).sum(axis=1)
            gradient = -soft / p / len(rows)
        else:
            index = np.arange(len(rows))
            picked = p[index, labels]
            losses = -np.log(picked)
            gradient = np.zeros_like(rows)
            gradient[index, labels] = -1 / (picked * len(rows))
        return losses.mean(dtype="float64"), gradient.reshape(prediction.shape)


class BinaryCrossEntropy(Loss):
    """``-t log p - (1 - t) log(1 - p)``, with ``p = sigmoid(z)`` of the logits ``z``.

    Parameters
    ----------
    from_logits : bool
        False reads predictions as probabilities ``p``.
    epsilon : float
        Probabilities are read as no closer to 0 or 1 than this (1e-7: float32 can hold it).

    Notes
    -----
    Targets lie between 0 and 1 and have the predictions' shape; ``(n,)`` also fits ``(n, 1)``.
    The mean runs over all elements.
    """

    def __init__(self, from_logits: bool = True, epsilon: float = 1e-7) -> None:
        self.from_logits = bool(from_logits)
        self.epsilon = _check_epsilon(epsilon)

    def _value_and_gradient(self, prediction: Array, target: Array) -> tuple[Any, Array]:
        t = _same_shape(prediction, target)
        wrong = t[~((t >= 0) & (t <= 1))]
        if wrong.size:
            raise ValueError(f"targets must lie between 0 and 1, got {wrong.flat[0]}")
        if self.from_logits:
            z = prediction
            small = np.exp(-np.abs(z))
            losses = np.maximum(z, 0) - z * t + np.log1p(small)
            gradient = np.where(z >= 0, 1, small) / (1 + small) - t
        else:
            p = np.clip(_check_probabilities(prediction), self.epsilon, 1 - self.epsilon)
            losses = -t * np.log(p) - (1 - t) * np.log1p(-p)
            gradient = (p - t) / (p * (1 - p))
        return losses.mean(dtype="float64"), gradient / t.size

    def accuracy(self, prediction: Any, target: Any) -> float:
        """Return the share of elements on the right side of even odds."""
        prediction = np.asarray(prediction)
        t = _same_shape(prediction, np.asarray(target))
        return float(((prediction > (0 if self.from_logits else 0.5)) == (t > 0.5)).mean())


class MeanSquaredError(Loss):
    """``(prediction - target)^2``, averaged over all elements.

    Targets have the predictions' shape; ``(n,)`` also fits ``(n, 1)``.
    """

    def _value_and_gradient(self, prediction: Array, target: Array) -> tuple[Any, Array]:
        difference = prediction - _same_shape(prediction, target)
        value = np.square(difference).mean(dtype="float64")
        difference *= 2 / difference.size
        return value, difference


def get(loss: Loss | str) -> Loss:
    """Return ``loss`` itself, or the one of that name with its default settings."""
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str):
        raise TypeError(f"loss must be a Loss or a name, got {loss!r}")
    if loss not in NAMES:
        raise ValueError(f"loss {loss!r} is unknown; use one of {', '.join(NAMES)}")
    return NAMES[loss]()


NAMES: dict[str, type[Loss]] = {
    "softmax_cross_entropy": SoftmaxCrossEntropy,
    "negative_log_likelihood": NegativeLogLikelihood,
    "binary_cross_entropy": BinaryCrossEntropy,
    "mean_squared_error": MeanSquaredError,
}


def _class_targets(prediction: Array, target: Array) -> tuple[Array, Array | None, Array | None]:
    """Return predictions as rows, and either flat labels or soft rows."""
    if prediction.ndim < 2:
        raise ValueError(f"predictions must be (n, classes), got shape {prediction.shape}")
    classes = prediction.shape[-1]
    rows = prediction.reshape(-1, classes)
    integer = target.dtype.kind in "iu"
    if target.shape == prediction.shape and (integer or target.dtype.kind in "bf"):
        soft = target.reshape(-1, classes)
        sums = soft.sum(axis=1, dtype="float64")
        wrong = ~((soft >= 0).all(axis=1) & (np.abs(sums - 1) < 1e-3))
        if wrong.any():
            place = int(wrong.argmax())
            raise ValueError(
                f"one-hot or soft labels must be non-negative and sum to 1; row {place} "
                f"sums to {sums[place]:g} and its smallest entry is {soft[place].min():g}"
            )
        return rows, None, soft
    if target.shape != prediction.shape[:-1]:
        raise ValueError(
            f"targets of shape {target.shape} do not fit predictions of shape {prediction.shape}: "
            f"give labels of shape {prediction.shape[:-1]} or one-hot rows of {prediction.shape}"
        )
    if not integer:
        raise TypeError(f"labels must be integers, got dtype {target.dtype}; convert them first")
    labels = target.reshape(-1)
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        place = int(wrong.argmax())
        raise ValueError(
            f"label {labels[place]} at position {place} is out of range for {classes} classes "
            f"(0 to {classes - 1})"
        )
    return rows, labels, None


def _one_hot(labels: Array | None, like: Array) -> Array:
    rows = np.zeros_like(like)
    rows[np.arange(len(rows)), labels] = 1
    return rows


def _same_shape(prediction: Array, target: Array) -> Array:
    """Return the target in the prediction's dtype and shape; shapes are never broadcast."""
    if target.dtype.kind not in "biuf" and target.dtype.name != "bfloat16":
        raise TypeError(f"targets must be real numbers, got dtype {target.dtype}")
    if target.shape != prediction.shape and (*target.shape, 1) != prediction.shape:
        raise ValueError(
            f"targets of shape {target.shape} do not fit predictions of shape {prediction.shape}"
        )
    return target.reshape(prediction.shape).astype(prediction.dtype, copy=False)


def _check_probabilities(p: Array) -> Array:
    wrong = (p < 0) | (p > 1 + 1e-3)
    if wrong.any():
        raise ValueError(
            f"probabilities must lie between 0 and 1, got {p[wrong].flat[0]:g}; for logits use "
            "SoftmaxCrossEntropy or BinaryCrossEntropy(from_logits=True)"
        )
    return p


def _check_epsilon(epsilon: float) -> float:
    if not 0 < epsilon < 0.5:
        raise ValueError(f"epsilon must lie between 0 and 0.5, got {epsilon}")
    return float(epsilon)
