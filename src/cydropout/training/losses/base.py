"""Loss: what all losses share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from cydropout._validate import check_function
from cydropout.training._settings import Configured
from cydropout.training.losses.targets import Array, as_arrays

_WIDE = frozenset(map(np.dtype, (np.float32, np.float64)))


class Loss(Configured):
    """Base of the losses: a new one defines `value_and_gradient`, and `accuracy` if it has one.

    Calling one returns ``(value, gradient)``: the mean over the batch as a float, and its
    derivative with the shape and dtype of the prediction. Every loss raises `TypeError` for a
    dtype it cannot read and `ValueError` for shapes or targets that do not fit.

    Attributes
    ----------
    passes : int
        How often `Trainer` runs each batch, each time with masks of its own. The predictions come
            below each other: the rows of the first pass, then those of the next.

    Examples
    --------
    >>> import numpy as np
    >>> class MeanAbsoluteError(Loss):
    ...     def value_and_gradient(self, prediction, target):
    ...         difference = prediction - target
    ...         return abs(difference).mean(), np.sign(difference) / difference.size
    >>> MeanAbsoluteError()(np.array([1.0, -3.0]), np.zeros(2))
    (2.0, array([ 0.5, -0.5]))
    """

    passes: ClassVar[int] = 1

    @property
    def one_pass(self) -> Loss:
        """The loss of a single pass, which is reported where nothing is dropped."""
        return self

    def __call__(self, prediction: Any, target: Any) -> tuple[float, Array]:
        """Return the mean loss and its gradient with respect to ``prediction``."""
        given, target = as_arrays(prediction, target)
        if given.dtype not in _WIDE and given.dtype.name not in ("float16", "bfloat16"):
            raise TypeError(f"predictions must be floats, got dtype {given.dtype}")
        if given.size == 0:
            raise ValueError(f"the batch is empty: predictions have shape {given.shape}")
        wide = given.astype(np.float64 if given.dtype == np.float64 else np.float32, copy=False)
        # NaN and Inf go through to the value, for the caller to act on.
        with np.errstate(invalid="ignore", over="ignore"):
            value, gradient = self.value_and_gradient(wide, target)
        return float(value), gradient.astype(given.dtype, copy=False)

    def value_and_gradient(self, prediction: Array, target: Array) -> tuple[Any, Array]:
        """Return the mean loss and its gradient, of predictions of float32 or float64."""
        raise NotImplementedError(f"{type(self).__name__} defines no value_and_gradient")

    def measured(self, prediction: Any, target: Any) -> tuple[float, Array, float | None]:
        """Return value, gradient and `accuracy`, which some losses find in the same pass."""
        value, gradient = self(prediction, target)
        return value, gradient, self.accuracy(prediction, target)

    def accuracy(self, prediction: Any, target: Any) -> float | None:
        """Return the share of right predictions, or None where that means nothing."""
        return None

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
