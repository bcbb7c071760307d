"""Closed: objects that refuse attributes which they do not have, instead of ignoring them."""

from __future__ import annotations

import dis
import inspect
from functools import lru_cache
from typing import Any

from cydropout._validate import is_ours
from cydropout._words import ARGUMENTS, did_you_mean


@lru_cache
def attributes(kind: type) -> frozenset[str]:
    """Return the attributes of a class, and those that its own code sets."""
    names = {*dir(kind)}
    for base in kind.__mro__:
        names.update(inspect.get_annotations(base))
        for method in vars(base).values():
            if hasattr(method, "__code__"):
                found = dis.get_instructions(method)
                names.update(one.argval for one in found if one.opname == "STORE_ATTR")
    return frozenset(names)


class Closed:
    """Base of what takes no new attributes; objects of a subclass defined elsewhere do.

    Examples
    --------
    >>> from cydropout.layers import Dropout
    >>> Dropout(0.5).p = 0.1
    Traceback (most recent call last):
    AttributeError: Dropout has no attribute 'p'; did you mean 'rate'?
    """

    def __setattr__(self, name: str, value: Any) -> None:
        kind: Any = type(self)
        if (
            name not in vars(self) and name[0] != "_" and is_ours(kind)
            and name not in attributes(kind) and not self._holds(value)
        ):
            known = [one for one in sorted(attributes(kind)) if one[0] != "_"]
            meant = did_you_mean(ARGUMENTS.get(name, name), known)
            raise AttributeError(f"{kind.__name__} has no attribute {name!r}{meant}")
        super().__setattr__(name, value)

    def _holds(self, value: Any) -> bool:
        """Whether a value is taken under any name."""
        return False
