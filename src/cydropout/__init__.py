"""Dropout on a CPU at the speed of memory, for NumPy.

`dropout` is one call; `MaskStream` draws a `Mask`, which is applied forward and backward. Layers
are in `cydropout.layers`, what trains them in `cydropout.training`, the passes themselves in
`cydropout.functional`, and the faces for other libraries in `cydropout.sklearn` and
`cydropout.torch`.
"""

import importlib
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

__version__ = _version("cydropout")

from cydropout.functional import dropout, get_num_threads, set_num_threads, show_config
from cydropout.masks import Mask
from cydropout.random import MaskStream

if TYPE_CHECKING:
    from cydropout.layers import load_model
    from cydropout.training import MonteCarlo, Trainer, predict_mc

__all__ = [
    "Mask",
    "MaskStream",
    "MonteCarlo",
    "Trainer",
    "__version__",
    "dropout",
    "get_num_threads",
    "load_model",
    "predict_mc",
    "set_num_threads",
    "show_config",
]

#: What is loaded when it is first asked for, and where it is.
_LATER = {"MonteCarlo": "training", "Trainer": "training", "load_model": "layers",
          "predict_mc": "training"}
_PACKAGES = ("functional", "layers", "masks", "sklearn", "torch", "training", "tuning")


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f"cydropout.{_LATER[name]}"), name)
    if name in _PACKAGES:
        return importlib.import_module(f"cydropout.{name}")
    raise AttributeError(f"module 'cydropout' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_PACKAGES})
