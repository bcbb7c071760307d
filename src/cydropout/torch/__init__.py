"""Dropout for PyTorch models on a CPU; needs ``cydropout[torch]``.

`replace_dropout` converts a model by one line. The modules subclass PyTorch's own, `functional` has
the functions, and `to_torch` and `from_torch` carry weights over from `cydropout.layers`.

Examples
--------
>>> import torch, cydropout.torch as cdt
>>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5))
>>> cdt.replace_dropout(model)
1
"""

import importlib
from typing import Any

from cydropout.torch._noise import VARIANTS
from cydropout.torch.exchange import from_torch, to_torch

__all__ = ["from_torch", "to_torch"]

#: Beside the variants that are one mask, which the table of variants lists.
_MODULES = ("ConcreteDropout", "DropConnect", "DropPath", "Dropout1d", "Dropout2d", "Dropout3d",
            "PatchDropout", "Zoneout")
#: What needs PyTorch, and so is loaded when it is first asked for: the name, and where it is.
_LATER = dict.fromkeys((*VARIANTS, *_MODULES), "modules") | {
    "replace_dropout": "convert", "revert_dropout": "convert", "report": "convert",
    "functional_calls": "attention", "scaled_dot_product_attention": "attention",
    "MultiheadAttention": "attention", "LSTM": "recurrent", "GRU": "recurrent", "RNN": "recurrent",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f"cydropout.torch.{_LATER[name]}"), name)
    if name in ("functional", "modules"):
        return importlib.import_module(f"cydropout.torch.{name}")
    raise AttributeError(f"module 'cydropout.torch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, "functional"})
