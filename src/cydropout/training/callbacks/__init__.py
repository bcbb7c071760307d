"""Code that runs between the epochs and the batches of a training run."""

from cydropout.training.callbacks.base import Callback, FunctionCallback
from cydropout.training.callbacks.dead_units import DeadUnits, dead_units
from cydropout.training.callbacks.dropout_rate import RateSchedule
from cydropout.training.callbacks.early_stopping import EarlyStopping
from cydropout.training.callbacks.exponential_moving_average import ExponentialMovingAverage
from cydropout.training.callbacks.guard import DroppedShareError, Guard
from cydropout.training.callbacks.learning_rate import LearningRateSchedule
from cydropout.training.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from cydropout.training.callbacks.tensorboard import TensorBoard

__all__ = [
    "Callback",
    "DeadUnits",
    "DroppedShareError",
    "EarlyStopping",
    "ExponentialMovingAverage",
    "FunctionCallback",
    "Guard",
    "LearningRateSchedule",
    "RateSchedule",
    "ReduceLROnPlateau",
    "TensorBoard",
    "dead_units",
]
