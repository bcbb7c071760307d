"""Loss: what all losses share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from cydropout._samples import check_weights, spread
from cydropout._validate import ArgumentTypeError, check_function
from cydropout.training._settings import Configured
from cydropout.training.losses.outputs import Outputs, probabilities_of
from cydropout.training.losses.targets import Array, as_arrays

_WIDE = frozenset(map(np.dtype, (np.float32, np.float64)))


class Loss(Configured):
    """Base of the losses: a new one defines `losses_and_gradient`, and may define `hits`.

    Calling one returns ``(value, gradient)``: the mean over the batch as a float, and its
    derivative with the shape and dtype of the prediction. With weights ``w`` it is the weighted
    mean ``sum_i w_i l_i / sum_i w_i`` of the losses ``l_i`` of all positions, which the sum of the
    weights divides, as in PyTorch and scikit-learn. A weight of 0 takes a position out, also where
    its loss is not finite; where all weights are 0, value and gradient are 0. Every loss raises
    `TypeError` for a dtype it cannot read and `ValueError` for shapes, targets or weights that do
    not fit. A loss that is no mean of separate losses defines `value_and_gradient` instead, and
    takes no weights.

    Attributes
    ----------
    passes : int
        How often `Trainer` runs each batch, each time with masks of its own. The predictions come
            below each other: the rows of the first pass, then those of the next.
    outputs : {"values", "logits", "probabilities", "binary_logits", "binary_probabilities"}
        What the predictions are; `cydropout.predict_mc` averages probabilities of classes.

    Examples
    --------
    >>> import numpy as np
    >>> class MeanAbsoluteError(Loss):
    ...     def losses_and_gradient(self, prediction, target):
    ...         difference = prediction - target
    ...         return abs(difference), np.sign(difference)
    >>> MeanAbsoluteError()(np.array([1.0, -3.0]), np.zeros(2))
    (2.0, array([ 0.5, -0.5]))
    >>> MeanAbsoluteError()(np.array([1.0, -3.0]), np.zeros(2), np.array([3, 1]))
    (1.5, array([ 0.75, -0.25]))
    """

    passes: ClassVar[int] = 1

    @property
    def outputs(self) -> Outputs:
        """What the predictions are."""
        return "values"

    @property
    def kernel(self) -> str | None:
        """The function of `functional` that is this loss, of targets without weights, if one is."""
        return None

    @property
    def one_pass(self) -> Loss:
        """The loss of a single pass, which is reported where nothing is dropped."""
        return self

    def __call__(
        self, prediction: Any, target: Any, weight: Any = None
    ) -> tuple[float, Array]:
        """Return the mean loss and its gradient with respect to ``prediction``.

        ``weight`` holds a number of at least 0 for each sample, or for each position; its shape is
        that of the positions, or the first axes of it.
        """
        given, target = as_arrays(prediction, target)
        if given.dtype not in _WIDE and given.dtype.name not in ("float16", "bfloat16"):
            raise TypeError(f"predictions must be floats, got dtype {given.dtype}")
        if given.size == 0:
            raise ValueError(f"the batch is empty: predictions have shape {given.shape}")
        wide = given.astype(np.float64 if given.dtype == np.float64 else np.float32, copy=False)
        target, weight = self.counted(target, given.shape, weight)
        # NaN and Inf go through to the value, for the caller to act on.
        with np.errstate(invalid="ignore", over="ignore"):
            if weight is None:
                value, gradient = self.value_and_gradient(wide, target)
            else:
                value, gradient = self._weighted(wide, target, weight)
        return float(value), gradient.astype(given.dtype, copy=False)

    def losses_and_gradient(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        """Return the loss of each position, and its gradient there, of float32 or float64."""
        raise NotImplementedError(f"{type(self).__name__} defines no losses_and_gradient")

    def value_and_gradient(self, prediction: Array, target: Array) -> tuple[Any, Array]:
        """Return the mean loss and its gradient, of predictions of float32 or float64."""
        losses, gradient = self.losses_and_gradient(prediction, target)
        gradient *= gradient.dtype.type(1 / losses.size)
        return np.add.reduce(losses, axis=None, dtype=np.float64) / losses.size, gradient

    def _weighted(self, prediction: Array, target: Array, weight: Array) -> tuple[Any, Array]:
        """Return the weighted mean and its gradient."""
        self.check_weighable()
        losses, gradient = self.losses_and_gradient(prediction, target)
        shares = spread(weight, losses.shape)
        shares = shares / (shares.sum() or 1.0)
        value = np.where(shares > 0, shares * losses, 0).sum()
        each = np.concatenate([shares] * self.passes).astype(gradient.dtype)
        each = each.reshape(each.shape + (1,) * (gradient.ndim - each.ndim))
        return value, np.where(each > 0, each * gradient, gradient.dtype.type(0))

    def counted(
        self, target: Array, shape: tuple[int, ...], weight: Any = None
    ) -> tuple[Array, Array | None]:
        """Return targets that can all be read, and the weights in float64; None if all count 1.

        ``shape`` is that of the predictions.
        """
        return target, None if weight is None else check_weights("weight", weight)

    def positions(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of what can have a weight, of predictions of this shape."""
        return shape

    def measured(
        self, prediction: Any, target: Any, weight: Any = None
    ) -> tuple[float, Array, float | None, float | None]:
        """Return value, gradient and `accuracy`, which some losses find in the same pass.

        The last is for how many samples the batch counts in a mean over several, where it is not
        their number.
        """
        prediction, target = as_arrays(prediction, target)
        weights = self.counted(target, prediction.shape, weight)[1]
        total = None if weights is None else float(weights.mean() * len(target))
        if weight is None:
            return (*self(prediction, target), self.accuracy(prediction, target), total)
        value, gradient = self(prediction, target, weight)
        return value, gradient, self.accuracy(prediction, target, weight), total

    def accuracy(self, prediction: Any, target: Any, weight: Any = None) -> float | None:
        """Return the share of right predictions, weighted too, or None where that means nothing."""
        prediction, target = as_arrays(prediction, target)
        target, weight = self.counted(target, prediction.shape, weight)
        hits = self.hits(prediction, target)
        if hits is None or weight is None:
            return None if hits is None else float(hits.mean())
        rows = (len(hits) // self.passes, *hits.shape[1:])
        shares = np.concatenate([spread(weight, rows)] * self.passes)
        return float((shares * hits).sum() / (shares.sum() or 1.0))

    def hits(self, prediction: Array, target: Array) -> Array | None:
        """Return for each position whether it is right, or None where that means nothing."""
        return None

    def probabilities(self, prediction: Array) -> Array | None:
        """Return the probabilities that predictions stand for, or None where they are no such."""
        return probabilities_of(prediction, self.outputs)

    def labels(self, target: Array, shape: tuple[int, ...]) -> tuple[Array, int]:
        """Return the class of each position, as integers, and how many classes there are.

        ``shape`` is that of a prediction, without the axis of samples.
        """
        raise ArgumentTypeError(f"class_weight needs a loss of classes, which {self!r} is not")

    def check_weighable(self) -> None:
        """Raise if the loss is not known position by position."""
        names = {"__call__", "value_and_gradient", "losses_and_gradient"}
        owner = next(kind for kind in type(self).__mro__ if names & vars(kind).keys())
        if owner is Loss or "losses_and_gradient" not in vars(owner):
            raise ArgumentTypeError(
                f"{self!r} takes no weights: it is one number for a batch; define "
                "losses_and_gradient, the loss of each position"
            )

    def check_output(self, activation: str | None) -> None:
        """Raise if a model must not end with this activation."""

    def check_targets(self, target: Array, shape: tuple[int, ...], first: int = 0) -> None:
        """Raise if the targets do not fit predictions of ``shape``, without the axis of samples.

        ``first`` is the place of the first of them among those of all samples.
        """


class FunctionLoss(Loss):
    """``(value, gradient) = function(prediction, target)``, as a loss.

    Parameters
    ----------
    function : callable
        Takes predictions and targets of a batch as arrays, and returns the mean loss and its
        gradient with respect to the predictions, of their shape.

    Raises
    ------
    TypeError
        When called, if the function returns something else.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.layers import Dense
    >>> from cydropout.training import Trainer
    >>> def absolute(prediction, target):
    ...     difference = prediction - target
    ...     return abs(difference).mean(), np.sign(difference) / difference.size
    >>> trainer = Trainer(Dense(1), absolute, "sgd", rng=0)
    >>> trainer.loss
    FunctionLoss(absolute)
    """

    def __init__(self, function: Callable[[Array, Array], tuple[Any, Array]]) -> None:
        self.function = check_function("function", function, "predictions and targets")

    def value_and_gradient(self, prediction: Array, target: Array) -> tuple[Any, Array]:
        """Return what the function does."""
        found = self.function(prediction, target)
        pair = isinstance(found, tuple) and len(found) == 2 and np.ndim(found[0]) == 0
        if not pair or np.shape(found[1]) != prediction.shape:
            shapes = [np.shape(one) for one in found] if isinstance(found, tuple) else type(found)
            raise TypeError(
                f"{self!r} must return (value, gradient), of shapes () and {prediction.shape}, "
                f"not {shapes}"
            )
        return found[0], np.asarray(found[1])

    def __repr__(self) -> str:
        return f"FunctionLoss({getattr(self.function, '__name__', self.function)})"
