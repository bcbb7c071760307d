"""Conversion of a model: its dropouts run here instead, and go back."""

import inspect
import re
import warnings
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from cydropout._validate import ArgumentTypeError, shown
from cydropout.random import MaskStream
from cydropout.torch._torch import torch
from cydropout.torch.attention import MultiheadAttention, functional_calls
from cydropout.torch.modules import CONVERTED
from cydropout.torch.recurrent import GRU, LSTM, RNN

nn: Any = torch.nn

#: Modules that drop without a module inside, by a number: converted whole.
WHOLE = {nn.MultiheadAttention: MultiheadAttention, nn.LSTM: LSTM, nn.GRU: GRU, nn.RNN: RNN}
TABLE = CONVERTED | WHOLE
BACK = {new: old for old, new in TABLE.items()}
#: In the source of a forward, a dropout without a module: a function, or a rate that is passed on.
CALL = re.compile(
    r"(?<!self\.)\b((?:alpha_|feature_alpha_)?dropout[123]?d?|scaled_dot_product_attention)\("
    r"|\b(dropout_p|dropout)\s*=(?!=)")


class _Calling:
    """The forward of a module that calls dropouts as functions: they run here instead."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with functional_calls():
            return type(self.module).forward(self.module, *args, **kwargs)


def replace_dropout(
    model: Any,
    *,
    skip: Collection[str] | Callable[[str, Any], bool] = (),
    types: Collection[type] | None = None,
    rng: MaskStream | None = None,
) -> int:
    """Have the dropouts of a model run here; return how many were converted.

    Each module becomes one of the class here that subclasses its own, in place: ``p``, ``inplace``,
    ``training``, hooks, names and whoever else holds it stay as they are. A module whose own
    forward calls dropout, or passes a rate on to attention, as far as its source tells, has these
    calls run here. `revert_dropout` undoes it all.

    Parameters
    ----------
    model : torch.nn.Module
        Whose modules are looked through, shared and nested ones once each.
    skip : collection of str, or function
        Names of modules, as in ``model.named_modules()``, that stay; or a function of name and
        module that says whether one does.
    types : collection of classes, optional
        Only modules of these classes of PyTorch's; by default all that can be converted.
    rng : MaskStream, optional
        Where the modules' own streams are seeded from, a draw for each; by default all masks come
        from PyTorch's default generator, as those inside attention and recurrent networks do.

    Warns
    -----
    UserWarning
        If there is nothing to convert.

    Examples
    --------
    >>> import torch, cydropout.torch as cdt
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5))
    >>> cdt.replace_dropout(model)
    1
    >>> model[1]
    Dropout(p=0.5, inplace=False)
    >>> cdt.revert_dropout(model)
    1
    """
    _check_module(model)
    wanted = set(TABLE if types is None else types)
    if unknown := wanted - set(TABLE):
        raise ValueError(
            f"types names {sorted(t.__name__ for t in unknown)}; "
            f"use some of {sorted(t.__name__ for t in TABLE)}"
        )
    left = skip if callable(skip) else lambda name, module: name in skip
    count = 0
    for name, module in model.named_modules():
        if left(name, module):
            continue
        if types is None and type(module) not in TABLE and _calls(module):
            module.forward = _Calling(module)
            count += 1
        if type(module) not in wanted or _unlike(module):
            continue
        module.__class__ = TABLE[type(module)]
        if rng is not None and hasattr(module, "use_stream"):
            module.use_stream(MaskStream(np.random.SeedSequence([rng.key, rng.take()])))
        count += 1
    if not count:
        warnings.warn("the model has no dropout that can be converted", stacklevel=2)
    return count


def _check_module(model: Any) -> None:
    if not isinstance(model, nn.Module):
        raise ArgumentTypeError(f"model must be a torch.nn.Module, not {shown(model)}")


def _unlike(module: Any) -> str:
    """Return why a module that drops by a number is not to be converted, or ""."""
    if type(module) in WHOLE and not module.dropout:
        return "its rate is 0"
    if isinstance(module, nn.MultiheadAttention):
        if module.bias_k is not None:
            return "it has add_bias_kv"
        if module.add_zero_attn:
            return "it has add_zero_attn"
    return ""


def revert_dropout(model: Any) -> int:
    """Give the converted modules of a model their own classes back; return how many."""
    _check_module(model)
    count = 0
    for module in model.modules():
        if isinstance(module.__dict__.get("forward"), _Calling):
            del module.forward
            count += 1
        if type(module) in BACK:
            if hasattr(module, "use_stream"):
                module.use_stream(None)
            module.__class__ = BACK[type(module)]
            count += 1
    return count


def report(model: Any) -> dict[str, str]:
    """Return for each dropout of a model, by its name, "converted" or why it is not.

    Examples
    --------
    >>> import torch, cydropout.torch as cdt
    >>> cdt.report(torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5)))
    {'1': 'not converted yet: replace_dropout does it'}
    """
    _check_module(model)
    found = {}
    for name, module in model.named_modules():
        kind = type(module)
        if kind in BACK or isinstance(module.__dict__.get("forward"), _Calling):
            found[name] = "converted"
        elif kind in TABLE:
            why = _unlike(module)
            if why != "its rate is 0":
                found[name] = (f"not converted: {why}" if why
                               else "not converted yet: replace_dropout does it")
        elif isinstance(module, torch.jit.ScriptModule):
            found[name] = "not converted: compiled by TorchScript"
        elif _calls(module):
            found[name] = "not converted yet: its forward calls dropout; replace_dropout does it"
        elif isinstance(module, tuple(CONVERTED)):
            found[name] = f"not converted: {kind.__name__} is a subclass with ways of its own"
    return found


def _calls(module: Any) -> bool:
    """Whether the forward of a class that is not PyTorch's own calls dropout by itself."""
    kind = type(module)
    if kind.__module__.partition(".")[0] in ("torch", "cydropout"):
        return False
    try:
        return CALL.search(inspect.getsource(kind.forward)) is not None
    except (AttributeError, OSError, TypeError):
        return False
