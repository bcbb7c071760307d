"""States: what an optimizer keeps of each parameter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from cydropout.layers._layer import Parameter

Array = npt.NDArray[Any]


@dataclass(slots=True)
class State:
    """The arrays of a parameter, and how many steps it has taken.

    ``name`` is the one given at its last step, which was number ``last`` of the optimizer's.
    """

    arrays: list[Array]
    name: str = ""
    steps: int = 0
    last: int = 0

    def check(self, name: str, parameter: Parameter, slots: int) -> None:
        """Raise unless the arrays are like the parameter's value; be anew for another number."""
        if len(self.arrays) != slots:  # a setting was set again
            self.arrays = [np.zeros_like(parameter.value) for _ in range(slots)]
        for array in self.arrays:
            parameter.check_like("the state of", name, array)


class States:
    """The states by the parameters themselves, as long as these live.

    What was loaded waits for the first parameter of its name. So does what was copied without the
    parameters; copied together with them, it stays theirs.

    Examples
    --------
    >>> w, states = Parameter(np.ones(2), "w"), States()
    >>> states.of([("w", w)], slots=1)
    [State(arrays=[array([0., 0.])], name='w', steps=0, last=0)]
    """

    def __init__(self, loaded: Sequence[State] = ()) -> None:
        self._known: WeakKeyDictionary[Parameter, State] = WeakKeyDictionary()
        self._loaded = {state.name: state for state in loaded}

    def __getstate__(self) -> dict[str, Any]:
        return {"known": dict(self._known), "loaded": {one.name: one for one in self}}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self._known, self._loaded = WeakKeyDictionary(state["known"]), state["loaded"]

    def __iter__(self) -> Iterator[State]:
        """Iterate over one state for each name: of several the one that was stepped last."""
        known = sorted(self._known.values(), key=attrgetter("last"))
        return iter((self._loaded | {state.name: state for state in known}).values())

    def known(self, parameters: Iterable[Parameter], slots: int) -> list[State] | None:
        """Return the states of parameters that have been stepped, with so many arrays."""
        states = [self._known.get(parameter) for parameter in parameters]
        known = [state for state in states if state and len(state.arrays) == slots]
        return known if len(known) == len(states) else None

    def of(self, named: Sequence[tuple[str, Parameter]], slots: int) -> list[State]:
        """Return the states of parameters, with new ones of zeros where there are none.

        Raises
        ------
        ValueError
            If names or parameters repeat, or a state does not fit its parameter; nothing is
            changed then.
        """
        names = [name for name, _ in named]
        if len(set(names)) < len(names):
            raise ValueError(
                f"parameter names must be unique to save state by them, got {names}; give a "
                "mapping, as in step(dict(model.named_parameters()))"
            )
        if len({id(parameter) for _, parameter in named}) < len(named):
            once = {id(parameter): name for name, parameter in named}
            twice, again = next(
                (name, once[id(parameter)]) for name, parameter in named
                if once[id(parameter)] != name
            )
            raise ValueError(f"{twice!r} and {again!r} are one parameter; give it once")
        found = [self._known.get(parameter) for _, parameter in named]
        unknown = [one for one, state in zip(named, found, strict=True) if state is None]
        new: dict[Parameter, State] = {}
        if unknown:
            taken = {id(state) for state in self._known.values()}
            for name, parameter in unknown:
                new[parameter] = State(
                    [np.zeros_like(parameter.value) for _ in range(slots)], name)
                if name in self._loaded and id(self._loaded[name]) not in taken:
                    new[parameter] = self._loaded[name]
        states = [state or new[one[1]] for state, one in zip(found, named, strict=True)]
        for state, (name, parameter) in zip(states, named, strict=True):
            state.check(name, parameter, slots)
        self._known.update(new)
        for name, _ in unknown:
            self._loaded.pop(name, None)
        return states
