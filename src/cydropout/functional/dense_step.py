"""A whole training step of dense layers, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout.functional.dense_stack import DenseStack, Part
from cydropout.functional.optimizer import Gradient, _check_rule, _check_states, _check_step

Array = np.ndarray[Any, Any]

#: As many products of a row with a parameter as several steps in one call take: tens of
#: milliseconds at most.
_MOST = 1 << 28


class DenseStep:
    """A `DenseStack`, its loss, backward, L2 and the step of the optimizer, in one.

    Every number is the one that these give one after the other.

    Parameters
    ----------
    stack : DenseStack
        The layers; it is this step's own from now on.
    loss : {"softmax_cross_entropy", "mean_squared_error"}
        That of `functional`.
    weights, biases : list of arrays
        As `DenseStack.fits` allows them; a bias may be None.
    dweights, dbiases : list of arrays
        Where the gradients go.
    stepped : list of tuples
        Of every parameter the array, its gradient, the strength of its L2 and its states.

    Raises
    ------
    TypeError, ValueError
        If arrays do not fit each other.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.functional.dense_stack import DenseLayer, DenseStack
    >>> from cydropout.functional.dense_step import DenseStep
    >>> if DenseStack.available():
    ...     w, b, dw, db = np.zeros((3, 2)), np.zeros(2), np.zeros((3, 2)), np.zeros(2)
    ...     step = DenseStep(DenseStack(2, 3, [DenseLayer(2)], "float64"), "softmax_cross_entropy",
    ...                      [w], [b], [dw], [db], [(w, dw, 0.0), (b, db, 0.0)])
    ...     found = step(np.ones((2, 3)), np.array([0, 0]), [None], "sgd", learning_rate=1.0)
    ...     assert found[1] == 1.0 and (w == [0.5, -0.5]).all()
    """

    def __init__(
        self, stack: DenseStack, loss: str, weights: list[Array], biases: list[Array | None],
        dweights: list[Any], dbiases: list[Any], stepped: Sequence[tuple[Any, ...]],
    ) -> None:
        shape, dtype = stack.result.shape, stack.dtype
        if not stack.fits(np.empty(stack.inputs, stack.dtype), weights, biases):
            raise ValueError("weights or biases do not fit the layers")
        for value, gradient in zip([*weights, *biases], [*dweights, *dbiases], strict=True):
            if value is not None and gradient is not None:
                _check_step(value, Gradient(gradient))
            elif value is not None or gradient is not None:
                raise ValueError("each weight and bias needs its gradient")
        for value, gradient, _, *states in stepped:
            _check_step(value, Gradient(gradient), *states)
        self._l2 = any(l2 for _, _, l2, *_ in stepped)
        self._states = {len(states) for _, _, _, *states in stepped}
        self._shape, self._fits, self._all = stack.inputs, stack.fits, stack.keeping
        self._restricted = stack.restricted
        self._room = stack.dx  # nobody wants the gradient of x: batches are gathered there
        #: How many steps to take in one call: fewer of those that take longer.
        self.together = min(32, _MOST // (shape[0] * sum(w.size for w in weights)))
        self._step = api.DenseStep(
            stack.kernel, loss, weights, biases, dweights, dbiases,
            [(value, gradient, *(*states, None, None)[:2], float(l2))
             for value, gradient, l2, *states in stepped],
            np.empty(shape, dtype), np.empty((2, shape[0])))
        self._labels = loss == "softmax_cross_entropy"
        self._code, self._classes = _arrays.dtype_code(dtype), shape[1]
        # Of the targets; where there is one unit, a column may come without its axis.
        self._kinds = "iu" if self._labels else "biuf"
        self._dtype = np.dtype(np.int64) if self._labels else dtype
        self._target = shape[:1] if self._labels else shape
        self._targets = {self._target, shape[:1]} if shape[1] == 1 else {self._target}

    def fits(self, x: Array, targets: Array) -> bool:
        """Whether these are samples of the step, ready to be used, and targets."""
        return (x.shape == self._shape and targets.shape in self._targets
                and self.reads(x, targets))

    def reads(self, x: Array, targets: Array) -> bool:
        """Whether samples and targets, of any number, are such as a step takes."""
        shape = (self._shape[0], *targets.shape[1:])
        return (api.ready(x, None) == self._code and x.shape[1:] == self._shape[1:]
                and shape in self._targets and targets.dtype.kind in self._kinds)

    def __call__(
        self, x: Array, targets: Array, plans: Sequence[api.Plan | None], kind: str, *,
        num_threads: int | None = None, **rule: Any,
    ) -> tuple[float, float | None, float]:
        """Take a step; return loss, penalty, and between them accuracy, if there are labels.

        Where the loss is not finite, nothing is stepped.

        Raises
        ------
        TypeError, ValueError
            If the arrays do not fit, or a label is no class.
        """
        found = self.several(
            x, None, targets, plans, [False] * len(plans), kind, [rule], num_threads=num_threads)
        return found[0]

    def several(
        self, x: Array, order: Array | None, targets: Array, plans: Sequence[api.Plan | None],
        draws: Sequence[bool], kind: str, rules: Sequence[dict[str, Any]], *,
        parts: Sequence[Part] | None = None, num_threads: int | None = None,
    ) -> list[tuple[float, float | None, float]]:
        """Take a step for each of the rules, until a loss is not finite; return what they found.

        Parameters
        ----------
        x : array of shape (samples, inputs)
            Ready to be used.
        order : array of int64, optional
            Which rows of x the steps have, those of all one after the other; by default these are
            all, as they lie.
        targets : array
            Of the rows of all steps, in their order.
        plans : sequence of Plan or None
            Of the masks of the first step.
        draws : sequence of bool
            Which of them take a draw in each step that follows, one after the other.
        kind : str
            Of the optimizer, as for `optimizer_step`.
        rules : sequence of dict
            The settings of each step.
        parts : sequence of Part, optional
            What takes part in each step, in place of plans and draws, of which there are none.
            The gradients of parts lie at the beginnings of their arrays; L2 has none.
        num_threads : int, optional
            By default as many as the work is worth.
        """
        for count in self._states:
            _check_states(kind, count)
        for rule in rules:
            _check_rule(rule)
        steps, rows = len(rules), self._shape[0]
        if not self.reads(x, targets) or len(targets) != steps * rows:
            raise ValueError(
                f"x must be an array {self._shape}, ready to be used, with targets {self._target} "
                f"to be read as {self._dtype}, not {targets.shape} of {targets.dtype}")
        if order is None and len(x) != len(targets):
            raise ValueError(f"x has {len(x)} rows, but targets {len(targets)}")
        if order is not None:
            order = _arrays.as_index_array(order, len(x), "order")
            if order.shape != (steps * rows,):
                raise ValueError(f"order has shape {order.shape}, not {(steps * rows,)}")
        targets = _arrays.contiguous(
            targets.reshape(len(targets), *self._target[1:]), self._dtype)
        place = api.wrong_label(targets, self._classes) if self._labels else -1
        if place >= 0:
            raise ValueError(f"label {targets[place]} at position {place} is no class")
        if parts is not None:
            if len(parts) != steps or self._l2 or plans or draws:
                raise ValueError(f"{steps} steps need as many parts, and no L2, plans and draws, "
                                 f"not {len(parts)}")
            plans, draws = self._all, [False] * len(self._all)
        used = [own or whole for own, whole in zip(plans, self._all, strict=True)]
        told = None if parts is None else [*map(self._restricted, parts)]
        found = np.empty((steps, 3))
        done = self._step.run(x, order, self._room, targets, used, list(draws), told,
                              check_num_threads(num_threads), kind, list(rules), found)
        return [(loss, right if self._labels else None, penalty)
                for loss, right, penalty in found[:done].tolist()]

    def batch(self, x: Array, order: Array | None, step: int) -> Array:
        """Return the samples of the last of several steps, which was number ``step`` from 0."""
        rows = self._shape[0]
        return x[step * rows : (step + 1) * rows] if order is None else self._room
