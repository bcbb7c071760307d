"""Weights to PyTorch and back: each layer's with the PyTorch layer of the same name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cydropout.layers._layer import Array, Layer, restored_on_error
from cydropout.layers.sequential import Sequential


def _torch() -> Any:
    """PyTorch, when it is needed: this module is of use for its arrays without it."""
    from cydropout.torch._torch import torch

    return torch


# What PyTorch counts and nothing here has.
_COUNTERS = ("num_batches_tracked",)


def to_torch(layer: Layer, module: Any) -> None:
    """Copy the parameters of ``layer`` into ``module``, all of them or none.

    A `Sequential` goes with a ``torch.nn.Sequential``: of both, the layers that have parameters
    are paired in their order, and all others skipped. Dtypes are converted.

    Parameters
    ----------
    layer : Layer
        Built.
    module : torch.nn.Module
        The PyTorch layer of the same name: `Dense` is ``Linear``, `BatchNorm` is ``BatchNorm2d``.

    Raises
    ------
    ValueError
        If the two have another number of layers, or parameters of other names or shapes.
    ImportError
        Without PyTorch.

    Examples
    --------
    >>> import torch
    >>> from cydropout.layers import Dense
    >>> layer, module = Dense(2), torch.nn.Linear(3, 2)
    >>> layer.build((3,), 0)
    >>> from cydropout.torch import to_torch
    >>> to_torch(layer, module)
    >>> bool((module.weight.detach().numpy().T == layer.parameters()[0].value).all())
    True
    """
    torch = _torch()
    moved = []
    for own, theirs in _pairs(layer, module):
        state, targets = own.torch_state(), _state(theirs)
        if state.keys() != targets.keys():
            raise ValueError(
                f"{own.path} has {sorted(state)}, but {theirs} has {sorted(targets)}"
            )
        for name, target in targets.items():
            if tuple(target.shape) != state[name].shape:
                raise ValueError(
                    f"{name!r} of {own.path} has shape {state[name].shape}, "
                    f"but of {theirs} {tuple(target.shape)}"
                )
            moved.append((target, torch.from_numpy(np.ascontiguousarray(state[name]))))
    with torch.no_grad():
        for target, value in moved:
            target.copy_(value)


def from_torch(module: Any, layer: Layer) -> None:
    """Copy the parameters of ``module`` into ``layer``: `to_torch` the other way.

    Parameters
    ----------
    module : torch.nn.Module
        As for `to_torch`.
    layer : Layer
        Built.

    Raises
    ------
    ValueError, ImportError
        As `to_torch`.

    Examples
    --------
    >>> import torch
    >>> from cydropout.layers import Dense
    >>> layer, module = Dense(2), torch.nn.Linear(3, 2)
    >>> layer.build((3,), 0)
    >>> from cydropout.torch import from_torch
    >>> from_torch(module, layer)
    >>> bool((module.weight.detach().numpy().T == layer.parameters()[0].value).all())
    True
    """
    with restored_on_error(layer):
        for own, theirs in _pairs(layer, module):
            own.load_torch_state(
                {name: _array(tensor) for name, tensor in _state(theirs).items()}
            )


def _pairs(layer: Layer, module: Any) -> Iterator[tuple[Layer, Any]]:
    torch = _torch()
    own, theirs = [*_layers(layer)], [*_modules(module, torch.nn.Sequential)]
    if len(own) != len(theirs):
        raise ValueError(
            f"{layer.path} has {len(own)} layers with parameters, {[each.path for each in own]}, "
            f"the module {len(theirs)}: {theirs}"
        )
    return zip(own, theirs, strict=True)


def _layers(layer: Layer) -> Iterator[Layer]:
    if isinstance(layer, Sequential):
        for inner in layer.layers:
            yield from _layers(inner)
    elif layer.parameters():
        yield layer


def _modules(module: Any, sequential: type) -> Iterator[Any]:
    if isinstance(module, sequential):
        for inner in module.children():  # type: ignore[attr-defined]
            yield from _modules(inner, sequential)
    elif _state(module):
        yield module


def _state(module: Any) -> Mapping[str, Any]:
    return {
        name: tensor
        for name, tensor in module.state_dict().items()
        if name.rpartition(".")[2] not in _COUNTERS
    }


def _array(tensor: Any) -> Array:
    array: Array = tensor.detach().cpu().numpy()
    return array
