"""Training: `Trainer`, losses, optimizers, schedules, callbacks, data, and Monte Carlo dropout."""

from cydropout.training.history import History
from cydropout.training.monte_carlo import MonteCarlo, predict_mc
from cydropout.training.nonfinite import NonFiniteLossError
from cydropout.training.trainer import Trainer

__all__ = ["History", "MonteCarlo", "NonFiniteLossError", "Trainer", "predict_mc"]
