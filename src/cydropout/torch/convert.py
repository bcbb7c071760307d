"""Conversion of a model: its dropouts run here instead, and go back."""

import inspect
import warnings
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from cydropout.random import MaskStream
from cydropout.torch._torch import torch
from cydropout.torch.attention import MultiheadAttention
from cydropout.torch.modules import CONVERTED
from cydropout.torch.recurrent import GRU, LSTM, RNN

nn: Any = torch.nn

#: Modules that drop without a module inside, by a number: converted whole.
WHOLE = {nn.MultiheadAttention: MultiheadAttention, nn.LSTM: LSTM, nn.GRU: GRU, nn.RNN: RNN}
TABLE = CONVERTED | WHOLE
BACK = {new: old for old, new in TABLE.items()}
#: What a forward calls that drops without a module, and is not seen from outside.
CALLS = ("dropout", "scaled_dot_product_attention")


def replace_dropout(
    model: Any,
    *,
    skip: Collection[str] | Callable[[str, Any], bool] = (),
    types: Collection[type] | None = None,
    rng: MaskStream | None = None,
) -> int:
    """Have the dropouts of a model run here; return how many were converted.

    Each module becomes one of the class here that subclasses its own, in place: ``p``, ``inplace``,
    ``training``, hooks, names and whoever else holds it stay as they are. `revert_dropout` undoes
    it.

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
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not {model!r}")
    wanted = set(TABLE if types is None else types)
    if unknown := wanted - set(TABLE):
        raise ValueError(
            f"types names {sorted(t.__name__ for t in unknown)}; "
            f"use some of {sorted(t.__name__ for t in TABLE)}"
        )
    left = skip if callable(skip) else lambda name, module: name in skip
    count = 0
    for name, module in model.named_modules():
        if type(module) not in wanted or left(name, module):
            continue
        if type(module) in WHOLE and not module.dropout:
            continue
        module.__class__ = TABLE[type(module)]
        if rng is not None and hasattr(module, "use_stream"):
            module.use_stream(MaskStream(np.random.SeedSequence([rng.key, rng.take()])))
        count += 1
    if not count:
        warnings.warn("the model has no dropout that can be converted", stacklevel=2)
    return count


def revert_dropout(model: Any) -> int:
    """Give the converted modules of a model their own classes back; return how many."""
    count = 0
    for module in model.modules():
        if type(module) in BACK:
            if hasattr(module, "use_stream"):
                module.use_stream(None)
            module.__class__ = BACK[type(module)]
            count += 1
    return count


def report(model: Any) -> dict[str, str]:
    """Return for each dropout of a model, by its name, "converted" or why it is not.

    Besides modules it names those whose forward calls a dropout of `torch.nn.functional` by itself,
    as far as their source tells: `functional_calls` reaches these.
    """
    found = {}
    for name, module in model.named_modules():
        kind = type(module)
        if kind in BACK:
            found[name] = "converted"
        elif kind in CONVERTED or (kind in WHOLE and module.dropout):
            found[name] = "not converted yet: replace_dropout converts it"
        elif isinstance(module, tuple(CONVERTED)):
            found[name] = f"not converted: {kind.__name__} is a subclass with ways of its own"
        elif isinstance(module, torch.jit.ScriptModule):
            found[name] = "not converted: compiled by TorchScript"
        elif calls := _calls(kind):
            found[name] = f"not converted: its forward calls {calls}; see functional_calls"
    return found


def _calls(kind: type) -> str:
    """Return which function of a dropout the forward of a class calls, "" for none."""
    if kind.__module__.startswith("torch."):
        return ""
    try:
        source = inspect.getsource(kind.forward)  # type: ignore[attr-defined]
    except (OSError, TypeError):
        return ""
    called = (name for name in CALLS if f"{name}(" in source and f"self.{name}(" not in source)
    return next(called, "")
