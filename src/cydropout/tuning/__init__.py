"""Choose dropout rates: `tune_rate` tries them, a `Sweep` says what it found."""

from cydropout.tuning.results import Candidate, Sweep
from cydropout.tuning.sweep import tune_rate

__all__ = ["Candidate", "Sweep", "tune_rate"]
