"""Rates that change while a model is trained: functions of the training step.

They serve for dropout (`callbacks.RateSchedule`), whose rates lie between 0 and 1, as for the
learning rate (`callbacks.LearningRateSchedule`), which may be any number from 0 on.
"""

from __future__ import annotations

import math
from dataclasses import InitVar, dataclass
from typing import ClassVar

from cydropout._validate import check_count, check_number, check_one_rate


class Schedule:
    """Base of the schedules: ``schedule(step)`` is the rate of training step ``step``, from 0."""

    # The names of the fields that are rates.
    _rates: ClassVar[tuple[str, ...]] = ()

    def __call__(self, step: float) -> float:
        """Return the rate of a step.

        Raises
        ------
        ValueError
            If ``step`` is negative or no number.
        """
        if not step >= 0:
            raise ValueError(f"step must be at least 0, not {step!r}")
        return self._rate(step)

    def _rate(self, step: float) -> float:
        raise NotImplementedError(f"{type(self).__name__} defines no rate")

    @property
    def highest(self) -> float:
        """The highest of the rates that it was given; 0 without any."""
        return float(max((getattr(self, name) for name in self._rates), default=0.0))

    def _check(self) -> None:
        for name in self._rates:
            check_number(f"{name} of {type(self).__name__}", getattr(self, name), "[0, inf)")


@dataclass(frozen=True)
class Constant(Schedule):
    """``rate``, at every step."""

    rate: float

    _rates = ("rate",)

    def __post_init__(self) -> None:
        self._check()

    def _rate(self, step: float) -> float:
        return self.rate


@dataclass(frozen=True)
class Linear(Schedule):
    """``start + (end - start) min(step / steps, 1)``.

    From 0 upwards it is the schedule of DropBlock (Ghiasi, Lin, Le 2018, "DropBlock: a
    regularization method for convolutional networks"); downwards, that of annealed dropout
    (Rennie, Goel, Thomas 2014, "Annealed dropout training of deep networks").

    Parameters
    ----------
    start, end : float
        The rates at step 0 and from step ``steps`` on.
    steps : int
        How many steps the way takes, at least 1.
    """

    start: float
    end: float
    steps: int

    _rates = ("start", "end")

    def __post_init__(self) -> None:
        self._check()
        check_count("steps", self.steps)

    def _rate(self, step: float) -> float:
        return _between(self.start, self.end, min(step / self.steps, 1.0))


@dataclass(frozen=True)
class Cosine(Schedule):
    """``start + (end - start) (1 - cos(pi min(step / steps, 1))) / 2``: slow at both ends.

    Parameters
    ----------
    start, end : float
        The rates at step 0 and from step ``steps`` on.
    steps : int
        How many steps the way takes, at least 1.
    """

    start: float
    end: float
    steps: int

    _rates = ("start", "end")

    def __post_init__(self) -> None:
        self._check()
        check_count("steps", self.steps)

    def _rate(self, step: float) -> float:
        return _cosine(self.start, self.end, min(step / self.steps, 1.0))


@dataclass(frozen=True)
class Curriculum(Schedule):
    """``rate (1 - exp(-gamma step))``: it rises from 0 towards ``rate``.

    The keep probability is the paper's ``(1 - k) exp(-gamma step) + k`` with ``k = 1 - rate``.

    Parameters
    ----------
    rate : float
        The rate in the end.
    gamma : float, optional
        How fast it rises; positive and finite.
    steps : int, optional
        Instead of ``gamma``: how many steps the training has. ``gamma`` is then ``10 / steps``,
        the paper's choice.

    References
    ----------
    Morerio, Cavazza, Volpi, Vidal, Murino, "Curriculum dropout", ICCV 2017.
    """

    rate: float
    gamma: float | None = None
    steps: InitVar[int | None] = None

    _rates = ("rate",)

    def __post_init__(self, steps: int | None) -> None:
        self._check()
        if (self.gamma is None) == (steps is None):
            raise ValueError(f"give gamma or steps, one of them; got {self.gamma} and {steps}")
        if steps is not None:
            check_count("steps", steps)
            object.__setattr__(self, "gamma", 10.0 / steps)
        elif self.gamma is not None and not 0 < self.gamma < math.inf:
            raise ValueError(f"gamma must be positive and finite, not {self.gamma!r}")

    def _rate(self, step: float) -> float:
        return -self.rate * math.expm1(-(self.gamma or 0.0) * step)


@dataclass(frozen=True)
class Step(Schedule):
    """``rate factor**(step // every)``: it falls by a factor every so many steps.

    Parameters
    ----------
    rate : float
        The rate of the first steps.
    factor : float
        What it is multiplied by, above 0 and at most 1.
    every : int
        Steps from one fall to the next, at least 1.
    """

    rate: float
    factor: float
    every: int

    _rates = ("rate",)

    def __post_init__(self) -> None:
        self._check()
        if not 0 < self.factor <= 1:
            raise ValueError(f"factor must be above 0 and at most 1, not {self.factor!r}")
        check_count("every", self.every)

    def _rate(self, step: float) -> float:
        return float(self.rate * self.factor ** (step // self.every))


@dataclass(frozen=True)
class WarmUp(Schedule):
    """``start + (after(0) - start) step / steps`` at first, then ``after(step - steps)``.

    Parameters
    ----------
    steps : int
        How many steps the warm-up takes, at least 1.
    after : Schedule
        What follows, as in ``WarmUp(500, Cosine(0.1, 0.0, 9500))``.
    start : float
        The rate at step 0.

    References
    ----------
    Goyal et al. 2017, "Accurate, large minibatch SGD: training ImageNet in 1 hour".
    """

    steps: int
    after: Schedule
    start: float = 0.0

    _rates = ("start",)

    def __post_init__(self) -> None:
        check_count("steps", self.steps)
        if not isinstance(self.after, Schedule):
            raise TypeError(f"after must be a schedule, not {self.after!r}")
        self._check()

    @property
    def highest(self) -> float:
        """The highest of its own and of what follows."""
        return max(self.start, self.after.highest)

    def _rate(self, step: float) -> float:
        if step >= self.steps:
            return self.after(step - self.steps)
        return _between(self.start, self.after(0), step / self.steps)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up from ``peak / divisor`` to ``peak``, then down to ``peak / (divisor final_divisor)``.

    Both ways are those of `Cosine`; the first takes ``warm_up * steps`` steps.

    Parameters
    ----------
    peak : float
        The highest rate.
    steps : int
        How many steps both ways take, at least 1. The rate stays at the last one after them.
    warm_up : float
        Share of the steps that go up, between 0 and 1.
    divisor, final_divisor : float
        How far below the peak the cycle begins, and how far below that it ends; at least 1.

    References
    ----------
    Smith, Topin 2018, "Super-convergence: very fast training of neural networks using large
    learning rates".
    """

    peak: float
    steps: int
    warm_up: float = 0.3
    divisor: float = 25.0
    final_divisor: float = 1e4

    _rates = ("peak",)

    def __post_init__(self) -> None:
        self._check()
        check_one_rate(self.warm_up, "warm_up")
        check_count("steps", self.steps)
        for name in ("divisor", "final_divisor"):
            if not 1 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be finite, at least 1, not {getattr(self, name)!r}")

    def _rate(self, step: float) -> float:
        start, turn = self.peak / self.divisor, self.warm_up * self.steps
        if step < turn:
            return _cosine(start, self.peak, step / turn)
        down = self.steps - turn
        part = min((step - turn) / down, 1.0) if down else 1.0
        return _cosine(self.peak, start / self.final_divisor, part)


def _cosine(start: float, end: float, part: float) -> float:
    return _between(start, end, (1.0 - math.cos(math.pi * part)) / 2)


def _between(start: float, end: float, part: float) -> float:
    """Return the place between two rates, either of them exactly at its end."""
    return start * (1.0 - part) + end * part
