"""Code that runs between the epochs and the batches of a training run."""

from .base import Callback
from .dropout_rate import RateSchedule
from .early_stopping import EarlyStopping
from .learning_rate import LearningRateSchedule
from .tensorboard import TensorBoard

__all__ = ["Callback", "EarlyStopping", "LearningRateSchedule", "RateSchedule", "TensorBoard"]
