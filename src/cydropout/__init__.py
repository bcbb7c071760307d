"""Dropout on a CPU at the speed of memory, for NumPy."""

from importlib.metadata import version as _version

__version__ = _version("cydropout")

from cydropout.functional import dropout, get_num_threads, set_num_threads, show_config
from cydropout.masks import Mask
from cydropout.monte_carlo import MonteCarlo, predict_mc
from cydropout.random import MaskStream
from cydropout.training import Trainer

__all__ = [
    "Mask",
    "MaskStream",
    "MonteCarlo",
    "Trainer",
    "__version__",
    "dropout",
    "get_num_threads",
    "predict_mc",
    "set_num_threads",
    "show_config",
]
