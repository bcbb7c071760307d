"""Updates: a step of the optimizer, by the gradient of one batch or of several together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cydropout.layers._layer import Layer, Parameter

Array = np.ndarray[Any, Any]


class Update:
    """Gradients that are added up over ``every`` batches, until ``step`` takes their mean.

    The mean weighs a batch by its weight, as that of one large batch weighs its samples.

    Parameters
    ----------
    every : int
        How many batches there are to a step.
    step : callable
        Takes the parameters, whose gradients are whole.

    Examples
    --------
    >>> w, steps = Parameter(np.zeros(2), "w"), []
    >>> update = Update(2, lambda parameters: steps.append(parameters["w"].grad.tolist()))
    >>> for gradient, weight in (np.array([1.0, 4.0]), 1.0), (np.array([3.0, 0.0]), 3.0):
    ...     _ = update.add([], {"w": w}, w.accumulate, gradient, weight)
    >>> steps
    [[2.5, 1.0]]
    """

    def __init__(self, every: int, step: Callable[[dict[str, Parameter]], object]) -> None:
        self.every, self._step = every, step
        self._batches, self._weight, self._penalty = 0, 0.0, 0.0

    @property
    def is_begun(self) -> bool:
        """Whether there are batches that no step was taken by yet."""
        return self._batches > 0

    def add(
        self, layers: Sequence[Layer], parameters: dict[str, Parameter],
        backward: Callable[[Array], object], gradient: Array, weight: float,
    ) -> float:
        """Run a batch backward, and take the step that is due; return the layers' penalty."""
        if not self._batches:
            _forget(parameters)
        if self.every == 1:
            backward(gradient)
            penalty = sum(layer.own_penalty() for layer in layers)
            self._step(parameters)
            return penalty
        if not self._batches and layers:  # for the loss alone: it has its gradient in the end
            self._penalty = sum(layer.own_penalty() for layer in layers)
            _forget(parameters)
        backward(gradient * gradient.dtype.type(weight))
        for parameter in parameters.values():
            # Each batch has a submatrix of its own.
            if parameter.trainable and parameter.gradient.submatrix is not None:
                parameter.grad = parameter.grad.copy()
        self._batches, self._weight = self._batches + 1, self._weight + weight
        if self._batches == self.every:
            self.finish(layers, parameters)
        return self._penalty

    def finish(self, layers: Sequence[Layer], parameters: dict[str, Parameter]) -> None:
        """Take the step of the batches that there are, if there are some."""
        if not self._batches:
            return
        for parameter in parameters.values():
            if parameter.trainable and self._weight:
                parameter.grad *= parameter.value.dtype.type(1 / self._weight)
        for layer in layers:
            layer.own_penalty()
        self._step(parameters)
        self._batches, self._weight = 0, 0.0

    def state(self, model: Layer) -> dict[str, Any]:
        """Return a copy of what the batches since the last step have left, if there are some."""
        if not self._batches:
            return {}
        gradients = {name: one.grad.copy() for name, one in model.named_parameters()
                     if one.trainable}
        return {"batches": self._batches, "weight": self._weight, "penalty": self._penalty,
                "gradients": gradients}

    def load(self, model: Layer, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned."""
        if not state:
            return
        parameters, gradients = dict(model.named_parameters()), dict(state["gradients"])
        for name, gradient in gradients.items():
            parameters[name].check_like("the gradient of", name, gradient)
        self._batches, self._weight = int(state["batches"]), float(state["weight"])
        self._penalty = float(state["penalty"])
        for name, gradient in gradients.items():
            parameters[name].grad = gradient


def _forget(parameters: Mapping[str, Parameter]) -> None:
    for parameter in parameters.values():
        parameter.zero_grad()
