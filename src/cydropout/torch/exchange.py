"""Weights to PyTorch and back: each layer's with the PyTorch layer of the same name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast

import numpy as np

from cydropout._validate import ArgumentTypeError, shown
from cydropout.layers._layer import Array, Layer, check_model, restored_on_error
from cydropout.layers.sequential import Sequential


def _torch() -> Any:
    """PyTorch, when it is needed: this module is of use for its arrays without it."""
    from cydropout.torch._torch import torch

    return torch


# What PyTorch counts and nothing here has.
_COUNTERS = ("num_batches_tracked",)


def to_torch(layer: Layer, module: Any) -> None:
    """Copy the parameters of ``layer`` into ``module``, all of them or none.

    A `Sequential` goes with a ``torch.nn.Sequential``, or any module that holds the same layers: of
    both, those that have parameters are paired in their order. Dtypes are converted.

    Parameters
    ----------
    layer : Layer
        Built.
    module : torch.nn.Module
        The PyTorch layer of the same name: `Dense` is ``Linear``, `BatchNorm` is ``BatchNorm2d``,
        `TransformerBlock` is ``TransformerEncoderLayer`` with ``norm_first=True``.

    Raises
    ------
    ValueError
        If the two have another number of layers, parameters of other names or shapes, or blocks
        with other heads, activations or order of norms.
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
    _check_pair(layer, module)
    torch = _torch()
    moved = []
    for own, targets, theirs in _pairs(layer, module):
        state = own.torch_state()
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
    module : torch.nn.Module, or mapping of names to tensors or arrays
        As for `to_torch`; or its ``state_dict()``, also one that was read from a file.
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
    _check_pair(layer, module)
    with restored_on_error(layer):
        for own, state, _ in _pairs(layer, module):
            own.load_torch_state({name: _array(tensor) for name, tensor in state.items()})


def _check_pair(layer: Any, module: Any) -> None:
    """Raise unless there is a layer, and a module or its state, which needs no PyTorch."""
    check_model(layer, "layer")
    known = isinstance(module, Mapping) or hasattr(module, "get_submodule")
    if isinstance(module, type) or not known:
        raise ArgumentTypeError(
            f"module must be a torch.nn.Module or its state_dict(), not {shown(module)}"
        )


def _pairs(layer: Layer, module: Any) -> Iterator[tuple[Layer, dict[str, Any], Any]]:
    """Iterate over the layers with parameters, each with its part of a state and the module."""
    whole = module if isinstance(module, Mapping) else module.state_dict()
    left = {name: one for name, one in whole.items() if name.rpartition(".")[2] not in _COUNTERS}
    layers = [*_layers(layer)]
    for own in layers:
        names = own.torch_entries().keys()
        prefix = _prefix(names, left)
        if prefix is None:
            raise ValueError(
                f"{layer.path} has {len(layers)} layers with parameters; {own.path} has "
                f"{sorted(names)}, where the other side goes on with {[*left][:len(names)]}"
            )
        theirs = module if isinstance(module, Mapping) else module.get_submodule(prefix[:-1])
        _check_alike(own, theirs)
        yield own, {name: left.pop(prefix + name) for name in names}, theirs
    if left:
        raise ValueError(
            f"{layer.path} has {len(layers)} layers with parameters, "
            f"{[each.path for each in layers]}, and the other side also {[*left]}"
        )


def _prefix(names: Collection[str], left: Mapping[str, Any]) -> str | None:
    """Return where a state that is left has all these names and begins with them, or None."""
    first = next(iter(left), "")
    for name in names:
        prefix = first.removesuffix(name)
        if prefix + name == first and prefix[-1:] in ("", ".") and all(
                prefix + each in left for each in names):
            return prefix
    return None


def _check_alike(own: Layer, theirs: Any) -> None:
    """Raise if a block has settings with which the same parameters mean something else."""
    config, attention = own.get_config(), getattr(theirs, "self_attn", theirs)
    wanted = {"heads": config.get("heads"), "activation": config.get("activation"),
              "norm_first": True}
    activation = getattr(theirs, "activation", None)
    name = getattr(activation, "__name__", type(activation).__name__).lower()
    found = {"heads": getattr(attention, "num_heads", None),
             "activation": name if activation else None,
             "norm_first": getattr(theirs, "norm_first", None)}
    for key, value in found.items():
        if value is not None and value != wanted[key]:
            raise ValueError(
                f"{own.path} computes with {key}={wanted[key]!r}, but the "
                f"{type(theirs).__name__} has {value!r}; make it with that of {own.path}"
            )


def _layers(layer: Layer) -> Iterator[Layer]:
    if getattr(type(layer), "torch_entries", None) is Sequential.torch_entries:
        for inner in cast("Sequential", layer).layers:
            yield from _layers(inner)
    elif layer.parameters():
        yield layer


def _array(tensor: Any) -> Array:
    """Return a tensor, or an array, as NumPy's; bfloat16 as float32, which holds all of it."""
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu()
        tensor = tensor.float() if "bfloat16" in str(tensor.dtype) else tensor.numpy()
    array: Array = np.asarray(tensor)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
