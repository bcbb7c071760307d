"""Dropout on a CPU at the speed of memory, for NumPy.

============================ ======================================================================
`dropout`                    one call: draw a mask and apply it
`MaskStream`, `Mask`         draw masks; apply them, forward and backward, to any array that fits
`cydropout.layers`           layers, all variants of dropout among them, and `Sequential`
`Trainer`, `predict_mc`      train a model; predict with its dropout on, and see how sure it is
`load_model`                 read a model that `Sequential.save` wrote
`cydropout.training`         losses, optimizers, schedules, callbacks, data, checkpoints
`cydropout.tuning`           choose rates by cross-validation
`cydropout.sklearn`          estimators for scikit-learn
`cydropout.torch`            one line that makes PyTorch's dropout fast
`cydropout.onnx`             export for inference elsewhere
`cydropout.functional`       the passes themselves: arrays in, arrays out
`set_num_threads`            how many threads a call may take; `show_config` says what is in use
============================ ======================================================================

>>> import numpy as np
>>> from cydropout import MaskStream
>>> stream = MaskStream(0)                      # make it once: each draw is another mask
>>> mask = stream.draw((2, 4), rate=0.5)
>>> bool((mask.apply(np.ones((2, 4))) == mask * np.ones((2, 4))).all())
True
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
#: The packages, and which are loaded whole before them, so that of threads that load two at once
#: none holds a module that the other waits for.
_PACKAGES = {"functional": (), "layers": (), "masks": (), "onnx": ("layers",),
             "sklearn": ("layers", "training"), "torch": ("layers",), "training": ("layers",),
             "tuning": ("layers", "training")}


def __getattr__(name: str) -> Any:
    package = _LATER.get(name, name)
    if package not in _PACKAGES:
        raise AttributeError(f"module 'cydropout' has no attribute {name!r}")
    for below in _PACKAGES[package]:
        importlib.import_module(f"cydropout.{below}")
    module = importlib.import_module(f"cydropout.{package}")
    return module if package == name else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_PACKAGES})
