"""How the values of parameters leave a layer and come back, under PyTorch's names too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from cydropout._validate import check_array
from cydropout.layers._parameter import Array, Parameter


class Entry(NamedTuple):
    """A parameter as PyTorch holds it: ``view`` returns its memory, laid out as there."""

    parameter: Parameter
    view: Callable[[Array], Array] = np.asarray

    def read(self) -> Array:
        """Return a copy of what PyTorch would hold."""
        array: Array = self.view(self.parameter.value).copy()
        return array

    def write(self, array: Array) -> None:
        """Set the parameter from what PyTorch holds."""
        np.copyto(self.view(self.parameter.value), array, casting="same_kind")


class SecondBias(NamedTuple):
    """The bias that PyTorch adds to the product with the state; `bias` is the sum of both.

    Only the last part of a GRU's stands apart here too, as ``inner``.
    """

    bias: Parameter
    inner: Parameter | None

    def read(self) -> Array:
        """Return zeros, and the inner bias where there is one."""
        second = np.zeros_like(self.bias.value)
        if self.inner is not None:
            second[-self.inner.value.size :] = self.inner.value
        return second

    def write(self, array: Array) -> None:
        """Add it to the first bias, which has been written, but for the inner one."""
        apart = 0 if self.inner is None else self.inner.value.size
        own = array.size - apart
        self.bias.value[:own] += array[:own]
        if self.inner is not None:
            np.copyto(self.inner.value, array[own:], casting="same_kind")


Entries: TypeAlias = dict[str, Entry | SecondBias]


def joined(parts: Mapping[str, Entries]) -> Entries:
    """Return the entries of several modules, each under the module's name."""
    return {
        f"{part}.{name}": entry
        for part, entries in parts.items()
        for name, entry in entries.items()
    }


def check_names(path: str, own: Mapping[str, object], state: Mapping[str, object]) -> None:
    """Raise if a state has other names than the layer at ``path``."""
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or unknown:
        hint = "" if own else " (a layer has no parameters before build)"
        raise ValueError(f"state does not fit {path!r}{hint}: {missing=}, {unknown=}")


def write_all(path: str, entries: Entries, state: Mapping[str, Array]) -> None:
    """Write a state to the entries of the layer at ``path``, all of it or nothing."""
    check_names(path, entries, state)
    arrays = {name: check_array(f"state of {name!r}", state[name]) for name in entries}
    for name, entry in entries.items():
        found, wanted = arrays[name], entry.read().shape
        if found.shape != wanted or found.dtype.kind != "f":
            raise ValueError(
                f"state of {name!r} is {found.dtype} {found.shape}, but {path!r} needs floats of "
                f"shape {wanted}"
            )
    for name, entry in entries.items():
        entry.write(arrays[name])
