"""Exchanged: layers whose parameters can go to PyTorch's layer of the same name, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .base import Array, Layer, Parameter


class Entry(NamedTuple):
    """A parameter as PyTorch holds it: the same array, or its transpose."""

    parameter: Parameter
    transposed: bool = False

    @property
    def array(self) -> Array:
        """The parameter's own memory, as PyTorch lays it out."""
        return self.parameter.value.T if self.transposed else self.parameter.value


class Exchanged(Layer):
    """A layer that names its parameters as PyTorch does, in `torch_entries`."""

    def torch_entries(self) -> dict[str, Entry]:
        """Return the parameters under the names of the PyTorch layer's ``state_dict``."""
        return {name: Entry(parameter) for name, parameter in self._parameters.items()}

    def torch_state(self) -> dict[str, Array]:
        """Return a copy of every parameter, named and laid out as in PyTorch's ``state_dict``."""
        return {name: entry.array.copy() for name, entry in self.torch_entries().items()}

    def load_torch_state(self, state: Mapping[str, Array]) -> None:
        """Copy the arrays of such a state into the parameters, all of them or none.

        Raises
        ------
        ValueError
            If names are missing or left over, a shape differs, or an array holds no floats.
        """
        own = self.torch_entries()
        missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        if missing or unknown:
            hint = "" if own else " (a layer has no parameters before build)"
            raise ValueError(f"state does not fit {self.path!r}{hint}: {missing=}, {unknown=}")
        arrays = {name: np.asarray(state[name]) for name in own}
        for name, entry in own.items():
            found, wanted = arrays[name], entry.array.shape
            if found.shape != wanted or found.dtype.kind != "f":
                raise ValueError(
                    f"state of {name!r} is {found.dtype} {found.shape}, but {self.path!r} needs "
                    f"floats of shape {wanted}"
                )
        for name, entry in own.items():
            np.copyto(entry.array, arrays[name], casting="same_kind")


def linear_entries(weight: Parameter | None, bias: Parameter | None) -> dict[str, Entry]:
    """Return the entries of a product ``x W + b``, which PyTorch writes ``x W^T + b``."""
    entries = {} if weight is None else {"weight": Entry(weight, transposed=True)}
    return entries if bias is None else {**entries, "bias": Entry(bias)}


def under(prefix: str, entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return the entries of an inner module under its name."""
    return {f"{prefix}{name}": entry for name, entry in entries.items()}
