"""Settings of dataclasses, each stated once: its check, its bounds and its default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING
from typing import Any

from cydropout._closed import Closed
from cydropout._validate import check_made
from cydropout._words import Worded


class Setting:
    """A field that is checked whenever it is set, also after the object was made."""

    def __init__(self, check: Callable[..., Any], *rest: Any, default: Any = MISSING) -> None:
        self.check, self.rest, self.default = check, rest, default

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, owner: Any, kind: type) -> Any:
        if owner is not None:
            try:
                return vars(owner)[self.name]
            except KeyError:
                kind = type(check_made(owner))
                raise AttributeError(f"{kind.__name__} has no {self.name}") from None
        if self.default is MISSING:
            raise AttributeError(f"{kind.__name__}.{self.name} has no default")
        return self.default

    def __set__(self, owner: Any, value: Any) -> None:
        name = f"{self.name} of {type(owner).__name__}"
        vars(owner)[self.name] = self.check(name, value, *self.rest)


class Configured(Worded, Closed):
    """What has its settings in public attributes."""

    def get_config(self) -> dict[str, Any]:
        """Return the settings by their names, which a resumed run compares."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({settings})"


def setting(check: Callable[..., Any], *rest: Any, default: Any = MISSING) -> Any:
    """Return a field of a dataclass that holds what ``check(name, value, *rest)`` returns.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from cydropout._validate import check_number
    >>> @dataclass
    ... class Noise:
    ...     sigma: float = setting(check_number, "[0, inf)", default=1.0)
    >>> Noise()
    Noise(sigma=1.0)
    >>> Noise(-1)
    Traceback (most recent call last):
    ValueError: sigma of Noise must be a number, finite and at least 0, not -1
    """
    return Setting(check, *rest, default=default)
