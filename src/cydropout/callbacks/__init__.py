"""Code that runs between the epochs and the batches of a training run."""

from .base import Callback
from .dead_units import DeadUnits, dead_units
from .dropout_rate import RateSchedule
from .early_stopping import EarlyStopping
from .guard import DroppedShareError, Guard
from .learning_rate import LearningRateSchedule
from .tensorboard import TensorBoard

__all__ = [
    "Callback",
    "DeadUnits",
    "DroppedShareError",
    "EarlyStopping",
    "Guard",
    "LearningRateSchedule",
    "RateSchedule",
    "TensorBoard",
    "dead_units",
]
