"""Groups: parameters that an optimizer steps with other settings than the rest."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from cydropout._validate import ArgumentTypeError, shown
from cydropout.layers._layer import Parameter
from cydropout.training._configuration import plain

#: A pattern of names, or what says of a name and a parameter whether it belongs there.
Pattern = str | Callable[[str, Parameter], bool]
Own = tuple[tuple[Pattern, dict[str, Any]], ...]


class Groups:
    """The field of an optimizer that holds its groups; checked with the settings it stands by."""

    def __get__(self, owner: Any, kind: type) -> Own:
        found: Own = () if owner is None else vars(owner).get("groups", ())
        return found

    def __set__(self, owner: Any, value: Any) -> None:
        vars(owner)["groups"] = as_groups(value)
        if "_states" in vars(owner):
            owner.check_groups()


def as_groups(groups: Any) -> Own:
    """Return groups as pairs; raise if they are no mapping of patterns to settings.

    Examples
    --------
    >>> as_groups({"*bias": {"weight_decay": 0.0}})
    (('*bias', {'weight_decay': 0.0}),)
    """
    pairs = [*groups.items()] if isinstance(groups, Mapping) else groups
    if not isinstance(pairs, (list, tuple)) or not all(
            isinstance(one, (list, tuple)) and len(one) == 2 and isinstance(one[1], Mapping)
            and (isinstance(one[0], str) or callable(one[0])) for one in pairs):
        raise ArgumentTypeError(
            "groups must be a mapping of patterns of names, or functions of a name and a "
            "parameter, to settings, as {'*bias': {'weight_decay': 0.0}} is, not "
            f"{shown(groups)}"
        )
    return tuple((pattern, dict(own)) for pattern, own in pairs)


def checked(optimizer: Any, pattern: Pattern, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a group as an optimizer keeps them."""
    known = [name for name in optimizer.get_config() if name != "groups"]
    name = f"groups of {type(optimizer).__name__}: {plain(pattern)!r}"
    unknown = [key for key in own if key not in known]
    if unknown or not own:
        raise ValueError(f"{name} sets {unknown or 'nothing'}; there are {', '.join(known)}")
    twin = copy.copy(optimizer)
    for key, value in own.items():
        setattr(twin, key, value)
    twin.check_settings()
    if twin.slots != optimizer.slots:
        raise ValueError(
            f"{name} keeps the arrays {[*twin.slots]}, and the others {[*optimizer.slots]}; take "
            "a momentum above 0 for all or for none"
        )
    if "learning_rate" in own and not optimizer.learning_rate:
        raise ValueError(
            f"{name} has a learning_rate, which changes in proportion to that of the others; "
            "begin with one above 0"
        )
    return {key: getattr(twin, key) for key in own}


def places_of(groups: Own, named: Sequence[tuple[str, Parameter]]) -> list[int]:
    """Return the place of the first group that each parameter fits; -1 is none.

    Raises
    ------
    ValueError
        If nothing fits a group.
    """
    fits = [[_fits(pattern, *one) for one in named] for pattern, _ in groups]
    for (pattern, _), found in zip(groups, fits, strict=True):
        if not any(found):
            raise ValueError(
                f"groups: no parameter fits {plain(pattern)!r}; there are "
                f"{', '.join(name for name, _ in named)}"
            )
    return [next((place for place, found in enumerate(fits) if found[one]), -1)
            for one in range(len(named))]


def _fits(pattern: Pattern, name: str, parameter: Parameter) -> bool:
    if isinstance(pattern, str):
        return fnmatchcase(name, pattern)
    return bool(pattern(name, parameter))


def with_group(optimizer: Any, own: dict[str, Any], initial: float) -> Any:
    """Return an optimizer with the settings of a group.

    ``initial`` is the learning rate of which that of the group was given: when that of the
    optimizer is another by now, the group's is too, in proportion.
    """
    twin, rate = copy.copy(optimizer), own.get("learning_rate")
    vars(twin).update(own)
    if rate is not None and optimizer.learning_rate != initial:
        twin.learning_rate = rate * (optimizer.learning_rate / initial)
    return twin


def plain_groups(groups: Own, initial: float) -> dict[str, Any]:
    """Return what a file can hold of groups, and the rate to which theirs are in proportion."""
    return {"learning_rate": initial, "settings": plain(groups)}
