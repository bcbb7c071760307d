"""Optimizers: one fused pass over each parameter, its gradient and its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from cydropout import functional
from cydropout._validate import check_choice, check_max_norm
from cydropout.layers._layer import Parameter

Array = npt.NDArray[Any]


class Optimizer:
    """Base of the optimizers.

    Parameters
    ----------
    learning_rate : float
        Size of the steps; may be set again between steps.

    Attributes
    ----------
    steps : int
        Steps taken so far.
    """

    _slots: tuple[str, ...] = ()
    _group: functional.StepGroup | None = None

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self.steps = 0
        self._state: dict[str, list[Array]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_group": None}

    @property
    def learning_rate(self) -> float:
        """Size of the steps."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate = _at_least_zero("learning_rate", value)

    def step(self, parameters: Sequence[Parameter], *, num_threads: int | None = 1) -> None:
        """Update the value of every trainable parameter from its gradient, in place.

        A parameter's ``max_norm`` then bounds its columns. State is kept by the parameters' names.
        One thread by default: see `layers.Context`. Where a gradient is that of a submatrix alone
        (`BatchwiseDropout`), the rest takes the same step with a gradient of 0, or with ``lazy``
        none: its value and state stay as they are.

        Raises
        ------
        ValueError
            If names repeat, state loaded for a name has another shape or dtype, or a ``max_norm``
            is not positive and finite or its parameter has no columns.
        """
        parameters = [parameter for parameter in parameters if parameter.trainable]
        states = self._states(parameters)
        for parameter in parameters:
            if parameter.max_norm is not None:
                check_max_norm(parameter.max_norm, parameter.value.shape)
        self.steps += 1
        kernel = partial(self._kernel(), lr=self.learning_rate, num_threads=num_threads)
        together, grads = [], []
        for parameter, state in zip(parameters, states, strict=True):
            part = parameter.part
            grad, submatrix, lazy = (parameter.grad, None, False) if part is None else part
            lazy = lazy or (part is not None and self._rests)
            if parameter.max_norm is None:
                together.append((parameter.value, *state))
                grads.append(grad if submatrix is None else (grad, submatrix, lazy))
            else:
                kernel(parameter.value, grad, *state, max_norm=parameter.max_norm,
                       submatrix=submatrix, lazy=lazy)
        if together:
            if self._group is None or not self._group.holds(together):
                self._group = functional.StepGroup(together)
            kernel(self._group, grads)

    def _states(self, parameters: Sequence[Parameter]) -> list[list[Array]]:
        if len({parameter.name for parameter in parameters}) < len(parameters):
            names = [parameter.name for parameter in parameters]
            raise ValueError(f"parameter names must be unique to keep state by them, got {names}")
        states = []
        for parameter in parameters:
            value, state = parameter.value, self._state.get(parameter.name)
            if state is None:
                state = [np.zeros_like(value) for _ in self._slots]
            for array in state:
                if array.shape != value.shape or array.dtype != value.dtype:
                    raise ValueError(
                        f"the state of {parameter.name!r} is {array.dtype} {array.shape}, "
                        f"the parameter {value.dtype} {value.shape}"
                    )
            states.append(state)
        for parameter, state in zip(parameters, states, strict=True):
            self._state[parameter.name] = state
        return states

    @property
    def _rests(self) -> bool:
        """Whether a gradient of 0 changes nothing at all."""
        return False

    def _kernel(self) -> Callable[..., None]:
        """Return the pass over ``(value, grad, *state)`` or a group, but for the learning rate."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return the steps, the learning rate and a copy of every array of state.

        Arrays are keyed by the parameter's name and the slot's, as in "0.dense.weight.velocity".
        """
        state: dict[str, Any] = {"steps": self.steps, "learning_rate": self.learning_rate}
        for name, arrays in self._state.items():
            for slot, array in zip(self._slots, arrays, strict=True):
                state[f"{name}.{slot}"] = array.copy()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave, all of it or nothing.

        Raises
        ------
        ValueError
            If an entry is missing, left over, or of another kind of optimizer.
        """
        arrays = dict(state)
        try:
            steps, learning_rate = int(arrays.pop("steps")), float(arrays.pop("learning_rate"))
        except KeyError as error:
            raise ValueError(f"the optimizer's state lacks {error}") from None
        slots = self._slots
        found: dict[str, dict[str, Array]] = {}
        for key, array in arrays.items():
            name, _, slot = key.rpartition(".")
            if not name or slot not in slots:
                raise ValueError(f"{self!r} keeps no state {key!r}; its slots are {list(slots)}")
            found.setdefault(name, {})[slot] = np.array(array)
        for name, slotted in found.items():
            if len(slotted) < len(slots):
                missing = [slot for slot in slots if slot not in slotted]
                raise ValueError(f"the state of {name!r} lacks {missing}")
        self.learning_rate = learning_rate
        self.steps = steps
        self._state = {n: [slotted[slot] for slot in slots] for n, slotted in found.items()}

    def __repr__(self) -> str:
        public = {k: v for k, v in vars(self).items() if not k.startswith("_") and k != "steps"}
        settings = {"learning_rate": self.learning_rate, **public}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in settings.items())})"


class SGD(Optimizer):
    """``g += weight_decay w``; ``v = momentum v + g``; ``w -= lr v``.

    With ``nesterov`` the last is ``w -= lr (g + momentum v)``; without momentum ``w -= lr g``.

    Parameters
    ----------
    learning_rate, momentum, weight_decay : float
        ``momentum`` lies in [0, 1). The decay is coupled: a part of the gradient, as an ``l2`` of
        half the size would be, and so of the momentum; `AdamW` has the decoupled one.
    nesterov : bool
        Needs a momentum.

    References
    ----------
    Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".
    """

    def __init__(
        self,
        learning_rate: float = 0.01,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate)
        self.momentum = _decay_rate("momentum", momentum)
        self._slots = ("velocity",) if momentum else ()
        if nesterov and not momentum:
            raise ValueError("nesterov=True needs momentum > 0, got momentum=0")
        self.nesterov = bool(nesterov)
        self.weight_decay = _at_least_zero("weight_decay", weight_decay)

    @property
    def _rests(self) -> bool:
        return not self._slots and self.weight_decay == 0

    def _kernel(self) -> Callable[..., None]:
        return partial(
            functional.sgd_step,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
        )


class Adam(Optimizer):
    """``m = b1 m + (1 - b1) g``; ``v = b2 v + (1 - b2) g^2``; ``w -= lr M / (sqrt(V) + epsilon)``.

    ``M = m / (1 - b1^t)`` and ``V = v / (1 - b2^t)`` at step ``t``.

    Parameters
    ----------
    learning_rate, epsilon : float
        Step size, and what keeps the quotient finite.
    beta1, beta2 : float
        Decay of the two means, in [0, 1).

    References
    ----------
    Kingma & Ba 2015, "Adam: a method for stochastic optimization".
    """

    _slots = ("m", "v")
    weight_decay = 0.0

    def __init__(
        self,
        learning_rate: float = 0.001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(learning_rate)
        self.beta1 = _decay_rate("beta1", beta1)
        self.beta2 = _decay_rate("beta2", beta2)
        self.epsilon = _positive("epsilon", epsilon)

    def _kernel(self) -> Callable[..., None]:
        return partial(
            functional.adam_step,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
            weight_decay=self.weight_decay,
            step=self.steps,
        )


class AdamW(Adam):
    """`Adam`, after ``w -= lr weight_decay w``.

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon : float
        As in `Adam`.
    weight_decay : float
        Decay that the gradient's size does not touch.

    References
    ----------
    Loshchilov & Hutter 2019, "Decoupled weight decay regularization".
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon)
        self.weight_decay = _at_least_zero("weight_decay", weight_decay)


class RMSprop(Optimizer):
    """``v = rho v + (1 - rho) g^2``; ``w -= lr g / (sqrt(v) + epsilon)``.

    Parameters
    ----------
    learning_rate, epsilon : float
        Step size, and what keeps the quotient finite.
    rho : float
        Decay of the mean, in [0, 1).

    References
    ----------
    Tieleman & Hinton 2012, lecture 6.5 of "Neural networks for machine learning".
    """

    _slots = ("v",)

    def __init__(
        self, learning_rate: float = 0.001, *, rho: float = 0.9, epsilon: float = 1e-8
    ) -> None:
        super().__init__(learning_rate)
        self.rho = _decay_rate("rho", rho)
        self.epsilon = _positive("epsilon", epsilon)

    def _kernel(self) -> Callable[..., None]:
        return partial(functional.rmsprop_step, rho=self.rho, epsilon=self.epsilon)


def get(optimizer: Optimizer | str, learning_rate: float | None = None) -> Optimizer:
    """Return ``optimizer`` itself, or the one of that name with its default settings.

    ``learning_rate`` replaces the default of a named one.
    """
    if isinstance(optimizer, Optimizer):
        if learning_rate is not None:
            raise ValueError("set learning_rate on the optimizer itself, or name the optimizer")
        return optimizer
    if not isinstance(optimizer, str):
        raise TypeError(f"optimizer must be an Optimizer or a name, got {optimizer!r}")
    check_choice("optimizer", optimizer, NAMES)
    made: Optimizer = NAMES[optimizer]()
    if learning_rate is not None:
        made.learning_rate = learning_rate
    return made


NAMES: dict[str, Any] = {"sgd": SGD, "adam": Adam, "adamw": AdamW, "rmsprop": RMSprop}


def _at_least_zero(name: str, value: float) -> float:
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name} must be finite and at least 0, got {value}")
    return float(value)


def _positive(name: str, value: float) -> float:
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be finite and positive, got {value}")
    return float(value)


def _decay_rate(name: str, value: float) -> float:
    if not 0 <= value < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {value}")
    return float(value)
