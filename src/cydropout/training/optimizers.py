"""Optimizers: one fused pass over each parameter, its gradient and its state.

A new one is a class: its formula, its settings, the arrays of state that it keeps, and its rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from cydropout import functional
from cydropout._validate import (
    ArgumentTypeError,
    check_choice,
    check_flag,
    check_max_norm,
    check_number,
    shown,
)
from cydropout._words import Foreign, our_name
from cydropout.functional import Gradient
from cydropout.layers._layer import Parameter
from cydropout.training._settings import Configured, setting
from cydropout.training._states import State, States

Array = npt.NDArray[Any]


@dataclass(eq=False, repr=False)
class Optimizer(Configured):
    """Base of the optimizers.

    A subclass says which ``kind`` of step the kernels take, which arrays it keeps in ``slots``, and
    by its `rule` with which settings. It is a dataclass whose fields are settings; one that is set
    between steps counts from the next on.

    Parameters
    ----------
    learning_rate : float
        Size of the steps, finite and at least 0; may be set again between steps.

    Attributes
    ----------
    steps : int
        Steps taken so far.

    Examples
    --------
    >>> from cydropout.training import optimizers
    >>> issubclass(optimizers.Adam, optimizers.Optimizer)
    True
    """

    kind: ClassVar[str]
    lr = Foreign()

    learning_rate: float = setting(check_number, "[0, inf)")

    def __post_init__(self) -> None:
        self.steps = 0
        self._states = States()
        self._groups: list[functional.StepGroup] = []

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_groups": []}

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the arrays of state that each parameter has."""
        return ()

    def rule(self, step: int) -> dict[str, Any]:
        """Return the settings of the kernels' step for parameters whose step number this is."""
        raise NotImplementedError(f"{type(self).__name__} has no rule")

    def step(
        self,
        parameters: Mapping[str, Parameter] | Sequence[Parameter],
        *,
        num_threads: int | None = 1,
    ) -> None:
        """Update the value of every trainable parameter from its gradient, in place.

        A parameter's ``max_norm`` then bounds its columns. State belongs to the parameter itself:
        another one of the same name begins anew. `state_dict` writes it under the names given
        here, those of a mapping such as ``dict(model.named_parameters())`` or else the parameters'
        own. One thread by default: see `layers.Context`. Where a gradient is that of a submatrix
        alone (`BatchwiseDropout`), the rest takes the same step with a gradient of 0, or with
        ``lazy`` none: its value and state stay as they are.

        Raises
        ------
        ValueError
            If names repeat, state loaded for a name has another shape or dtype, or a ``max_norm``
            is not positive and finite or its parameter has no columns.
        """
        named = parameters.items() if isinstance(parameters, Mapping) else [
            (parameter.name, parameter) for parameter in parameters
        ]
        stepped = [(name, parameter) for name, parameter in named if parameter.trainable]
        states = self._states.of(stepped, len(self.slots))
        for _, parameter in stepped:
            if parameter.max_norm is not None:
                check_max_norm(parameter.max_norm, parameter.value.shape)
        self.steps += 1
        rules: dict[int, Any] = {}
        together: dict[int, tuple[list[Any], list[Gradient]]] = {}
        for (name, parameter), state in zip(stepped, states, strict=True):
            state.name, state.steps, state.last = name, state.steps + 1, self.steps
            if state.steps not in rules:
                rules[state.steps] = self.rule(state.steps)
            grad = parameter.gradient
            if grad.submatrix is not None and self._rests:
                grad = grad._replace(lazy=True)
            if parameter.max_norm is None:
                arrays, grads = together.setdefault(state.steps, ([], []))
                arrays.append((parameter.value, *state.arrays))
                grads.append(grad)
            else:
                functional.optimizer_step(
                    self.kind, parameter.value, grad, *state.arrays, **rules[state.steps],
                    max_norm=parameter.max_norm, by_row=parameter.by_row,
                    num_threads=num_threads,
                )
        del self._groups[len(together) :]
        for place, (steps, (arrays, grads)) in enumerate(together.items()):
            if place == len(self._groups):
                self._groups.append(functional.StepGroup(arrays))
            elif not self._groups[place].holds(arrays):
                self._groups[place] = functional.StepGroup(arrays)
            self._groups[place].step(self.kind, grads, **rules[steps], num_threads=num_threads)

    @property
    def _rests(self) -> bool:
        """Whether a gradient of 0 changes nothing at all."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """Return the steps, the learning rate and a copy of every array of state.

        Arrays are keyed by the parameter's name and the slot's, as in "0.dense.weight.velocity".
        A parameter that has taken another number of steps has them under "steps" in its place.
        """
        state: dict[str, Any] = {"steps": self.steps, "learning_rate": self.learning_rate}
        for one in self._states:
            for slot, array in zip(self.slots, one.arrays, strict=False):
                state[f"{one.name}.{slot}"] = array.copy()
            if one.arrays and one.steps != self.steps:
                state[f"{one.name}.steps"] = one.steps
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave, all of it or nothing.

        The next step gives each parameter what stands under its name.

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
        slots = self.slots
        found: dict[str, dict[str, Array]] = {}
        taken: dict[str, int] = {}
        for key, array in arrays.items():
            name, _, slot = key.rpartition(".")
            if name and slot == "steps":
                taken[name] = int(array)
                continue
            if not name or slot not in slots:
                raise ValueError(f"{self!r} keeps no state {key!r}; its slots are {list(slots)}")
            found.setdefault(name, {})[slot] = np.array(array)
        for name in {**found, **taken}:
            missing = [slot for slot in slots if slot not in found.get(name, {})]
            if missing:
                raise ValueError(f"the state of {name!r} lacks {missing}")
        self.learning_rate = learning_rate
        self.steps = steps
        self._states = States([
            State([slotted[slot] for slot in slots], name, taken.get(name, steps))
            for name, slotted in found.items()
        ])

    def get_config(self) -> dict[str, Any]:
        """Return the settings by their names, which a resumed run compares."""
        config = super().get_config()
        del config["steps"]
        return config


@dataclass(eq=False, repr=False)
class SGD(Optimizer):
    """``g += weight_decay w``; ``v = momentum v + g``; ``w -= lr v``.

    With ``nesterov`` the last is ``w -= lr (g + momentum v)``; without momentum ``w -= lr g``.

    Parameters
    ----------
    learning_rate, momentum, weight_decay : float
        ``momentum`` lies in [0, 1). The decay is coupled: it adds to the gradient, as an ``l2`` of
        half the size would, and so to the momentum; `AdamW` has the decoupled one.
    nesterov : bool
        Needs a momentum.

    References
    ----------
    Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.layers import Parameter
    >>> w = Parameter(np.ones(2), "w")
    >>> w.accumulate(np.array([1.0, -1.0]))
    >>> SGD(0.5).step([w])
    >>> w.value
    array([0.5, 1.5])
    """

    kind = "sgd"

    learning_rate: float = setting(check_number, "[0, inf)", default=0.01)
    _: KW_ONLY
    momentum: float = setting(check_number, "[0, 1)", default=0.0)
    nesterov: bool = setting(check_flag, default=False)
    weight_decay: float = setting(check_number, "[0, inf)", default=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=True needs momentum > 0, got momentum=0")

    @property
    def slots(self) -> tuple[str, ...]:
        """The velocity, if there is a momentum."""
        return ("velocity",) if self.momentum else ()

    @property
    def _rests(self) -> bool:
        return not self.slots and self.weight_decay == 0

    def rule(self, step: int) -> dict[str, Any]:
        """Return the settings of the kernels' step."""
        return {"learning_rate": self.learning_rate, "beta1": self.momentum,
                "nesterov": self.nesterov, "decay": self.weight_decay}


@dataclass(eq=False, repr=False)
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

    Examples
    --------
    >>> Adam(beta2=0.99)
    Adam(learning_rate=0.001, beta1=0.9, beta2=0.99, epsilon=1e-08)
    >>> Adam(beta1=3)
    Traceback (most recent call last):
    ValueError: beta1 of Adam must be a number, at least 0 and below 1, not 3
    """

    kind = "adam"
    slots = ("m", "v")

    learning_rate: float = setting(check_number, "[0, inf)", default=0.001)
    _: KW_ONLY
    beta1: float = setting(check_number, "[0, 1)", default=0.9)
    beta2: float = setting(check_number, "[0, 1)", default=0.999)
    epsilon: float = setting(check_number, "(0, inf)", default=1e-8)

    def rule(self, step: int) -> dict[str, Any]:
        """Return the settings of the kernels' step."""
        return functional.adam_rule(
            lr=self.learning_rate, beta1=self.beta1, beta2=self.beta2, epsilon=self.epsilon,
            step=step,
        )


@dataclass(eq=False, repr=False)
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

    Examples
    --------
    >>> AdamW(0.01).weight_decay
    0.01
    """

    _: KW_ONLY
    weight_decay: float = setting(check_number, "[0, inf)", default=0.01)

    def rule(self, step: int) -> dict[str, Any]:
        """Return those of `Adam`, and the decay."""
        return super().rule(step) | {"decay": self.learning_rate * self.weight_decay}


@dataclass(eq=False, repr=False)
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

    Examples
    --------
    >>> RMSprop(0.01)
    RMSprop(learning_rate=0.01, rho=0.9, epsilon=1e-08)
    """

    kind = "rmsprop"
    slots = ("v",)

    learning_rate: float = setting(check_number, "[0, inf)", default=0.001)
    _: KW_ONLY
    rho: float = setting(check_number, "[0, 1)", default=0.9)
    epsilon: float = setting(check_number, "(0, inf)", default=1e-8)

    def rule(self, step: int) -> dict[str, Any]:
        """Return the settings of the kernels' step."""
        return {"learning_rate": self.learning_rate, "beta2": self.rho, "epsilon": self.epsilon}


NAMES: dict[str, Any] = {"sgd": SGD, "adam": Adam, "adamw": AdamW, "rmsprop": RMSprop}


def get(optimizer: Optimizer | str, learning_rate: float | None = None) -> Optimizer:
    """Return ``optimizer`` itself, or the one of that name with its default settings.

    ``learning_rate`` replaces the default of a named one.

    Examples
    --------
    >>> get("sgd", 0.1)
    SGD(learning_rate=0.1, momentum=0.0, nesterov=False, weight_decay=0.0)
    """
    if isinstance(optimizer, Optimizer):
        if learning_rate is not None:
            raise ValueError("set learning_rate on the optimizer itself, or name the optimizer")
        return optimizer
    if not isinstance(optimizer, str):
        raise ArgumentTypeError(f"optimizer must be an Optimizer or a name, not {shown(optimizer)}")
    kind = NAMES[check_choice("optimizer", our_name(optimizer, NAMES), NAMES)]
    made: Optimizer = kind() if learning_rate is None else kind(learning_rate)
    return made
