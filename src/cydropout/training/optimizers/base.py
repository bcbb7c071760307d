"""Optimizer: what all optimizers share, the step of each parameter and its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy.typing as npt

from cydropout import functional
from cydropout._validate import (
    check_array,
    check_integer,
    check_max_norm,
    check_number,
    is_method,
)
from cydropout._words import Foreign
from cydropout.functional import Gradient
from cydropout.layers._layer import Parameter
from cydropout.training._settings import Configured, setting
from cydropout.training._states import State, States
from cydropout.training.optimizers.groups import (
    Groups,
    checked,
    places_of,
    plain_groups,
    with_group,
)

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
    groups : mapping of str or function to mapping, optional
        Other settings for some parameters: of those whose names fit a pattern, as in
        ``{"*bias": {"weight_decay": 0.0}, "0.*": {"learning_rate": 1e-4}}``, or for which a
        function of name and parameter is true. The first that fits counts. When `learning_rate` is
        set again, as schedules do, that of a group changes in proportion.

    Attributes
    ----------
    steps : int
        Steps taken so far.

    Examples
    --------
    >>> from cydropout.training import optimizers
    >>> issubclass(optimizers.Adam, optimizers.Optimizer)
    True
    >>> vectors = {lambda name, parameter: parameter.value.ndim < 2: {"weight_decay": 0.0}}
    >>> len(optimizers.AdamW(0.01, groups=vectors).groups)
    1
    """

    kind: ClassVar[str]
    lr = Foreign()

    learning_rate: float = setting(check_number, "[0, inf)")
    _: KW_ONLY
    groups: Any = Groups()  # noqa: RUF009

    def __post_init__(self) -> None:
        self.steps = 0
        self._states = States()
        self._together: list[functional.StepGroup] = []
        self._placed: tuple[Any, ...] = ()
        self._initial = self.learning_rate
        self.check_settings()
        self.check_groups()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_together": [], "_placed": ()}

    def check_settings(self) -> None:
        """Refuse settings that do not go together."""

    def check_groups(self, parameters: Mapping[str, Parameter] | None = None) -> None:
        """Raise if a group has settings that are wrong, or fits none of ``parameters``."""
        own = ((pattern, checked(self, pattern, own)) for pattern, own in self.groups)
        vars(self)["groups"] = tuple(own)
        if parameters is not None:
            self._places([*parameters.items()])

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
            If names repeat, state loaded for a name has another shape or dtype, a ``max_norm`` is
            not positive and finite or its parameter has no columns, or no name fits a group.
        """
        named = [*parameters.items()] if isinstance(parameters, Mapping) else [
            (parameter.name, parameter) for parameter in parameters
        ]
        stepped = [(name, parameter) for name, parameter in named if parameter.trainable]
        places = self._places(named) if self.groups else [-1] * len(stepped)
        states = self._states.of(stepped, len(self.slots))
        for _, parameter in stepped:
            if parameter.max_norm is not None:
                check_max_norm(parameter.max_norm, parameter.value.shape)
        self.steps += 1
        rules: dict[tuple[int, int], tuple[dict[str, Any], bool]] = {}
        together: dict[tuple[int, int], tuple[list[Any], list[Gradient]]] = {}
        for (name, parameter), state, place in zip(stepped, states, places, strict=True):
            state.name, state.steps, state.last = name, state.steps + 1, self.steps
            key = state.steps, place
            if key not in rules:
                one = self if place < 0 else with_group(self, self.groups[place][1], self._initial)
                rules[key] = one.rule(state.steps), one.rests
            rule, rests = rules[key]
            grad = parameter.gradient
            if rests:
                grad = _lazily(grad)
            if parameter.max_norm is None:
                arrays, grads = together.setdefault(key, ([], []))
                arrays.append((parameter.value, *state.arrays))
                grads.append(grad)
            else:
                functional.optimizer_step(
                    self.kind, parameter.value, grad, *state.arrays, **rule,
                    max_norm=parameter.max_norm, by_row=parameter.by_row,
                    num_threads=num_threads,
                )
        del self._together[len(together) :]
        for number, (key, (arrays, grads)) in enumerate(together.items()):
            if number == len(self._together):
                self._together.append(functional.StepGroup(arrays))
            elif not self._together[number].holds(arrays):
                self._together[number] = functional.StepGroup(arrays)
            self._together[number].step(
                self.kind, grads, **rules[key][0], num_threads=num_threads)

    def repeated(
        self, parameters: Mapping[str, Parameter], *, num_threads: int | None = 1
    ) -> Callable[[], None]:
        """Return what takes a `step` at every call, as long as nothing changes but gradients."""
        again: Callable[[], None] | None = None

        def step() -> None:
            nonlocal again
            if again is not None:
                again()
                return
            self.step(parameters, num_threads=num_threads)
            again = self._again(parameters, num_threads)

        return step

    def _again(
        self, parameters: Mapping[str, Parameter], num_threads: int | None
    ) -> Callable[[], None] | None:
        """Return what takes the last step again, by other gradients; None if that is another."""
        states = self.together(parameters)
        if states is None:
            return None
        (group,), trained = self._together, [one for one in parameters.values() if one.trainable]

        def again() -> None:
            grads = [one.gradient for one in trained]
            if self.rests:
                grads = [*map(_lazily, grads)]
            self.count(states)
            rule = self.rule(states[0].steps)
            group.step(self.kind, grads, **rule, num_threads=num_threads)

        return again

    def together(self, parameters: Mapping[str, Parameter]) -> list[State] | None:
        """Return the states of what is trained, if a step of all is one call, as the last was."""
        stepped = [(name, one) for name, one in parameters.items() if one.trainable]
        apart = self.groups or any(one.max_norm is not None for _, one in stepped)
        if apart or len(self._together) != 1 or not is_method(self.step, Optimizer):
            return None
        states = self._states.known([one for _, one in stepped], len(self.slots))
        if states is None or [one.name for one in states] != [name for name, _ in stepped]:
            return None
        return states if len({state.steps for state in states}) == 1 else None

    def count(self, states: Sequence[State], steps: int = 1) -> None:
        """Count steps of these."""
        self.steps += steps
        for state in states:
            state.steps, state.last = state.steps + steps, self.steps

    def _places(self, named: Sequence[tuple[str, Parameter]]) -> list[int]:
        """Return the place of the group of each trainable parameter, found once for all steps."""
        if not self._placed or self._placed[0] is not self.groups or self._placed[1] != named:
            self._placed = self.groups, named, places_of(self.groups, named)
        return [place for place, (_, one) in zip(self._placed[2], named, strict=True)
                if one.trainable]

    @property
    def rests(self) -> bool:
        """Whether a gradient of 0 changes nothing at all."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """Return the steps, the learning rate and a copy of every array of state.

        Arrays are keyed by the parameter's name and the slot's, as in "0.dense.weight.velocity".
        A parameter that has taken another number of steps has them under "steps" in its place.
        """
        state: dict[str, Any] = {"steps": self.steps, "learning_rate": self.learning_rate}
        if self.groups:
            state["groups"] = plain_groups(self.groups, self._initial)
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
            If an entry is missing, left over, of another kind of optimizer, or of other groups.
        """
        arrays = dict(state)
        try:
            steps = check_integer("steps", arrays.pop("steps"), "[0, inf)")
            learning_rate = check_number("learning_rate", arrays.pop("learning_rate"), "[0, inf)")
        except KeyError as error:
            raise ValueError(f"the optimizer's state lacks {error}") from None
        groups = arrays.pop("groups", None)
        own = plain_groups(self.groups, self._initial) if self.groups else None
        if groups != own:
            raise ValueError(f"the optimizer's state has the groups {groups}, not {own}")
        slots = self.slots
        found: dict[str, dict[str, Array]] = {}
        taken: dict[str, int] = {}
        for key, array in arrays.items():
            name, _, slot = key.rpartition(".")
            if name and slot == "steps":
                taken[name] = check_integer(key, array, "[0, inf)")
                continue
            if not name or slot not in slots:
                raise ValueError(f"{self!r} keeps no state {key!r}; its slots are {list(slots)}")
            found.setdefault(name, {})[slot] = check_array(key, array).copy()
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
        groups = config.pop("groups", ())
        return config | {"groups": [[*pair] for pair in groups]} if groups else config


def _lazily(grad: Gradient) -> Gradient:
    """Return a gradient that leaves what is outside its submatrix as it is."""
    return grad if grad.submatrix is None else grad._replace(lazy=True)
