"""Rates that change while a model is trained: functions of the training step.

They serve for dropout (`callbacks.RateSchedule`), whose rates lie between 0 and 1, as for the
learning rate (`callbacks.LearningRateSchedule`), which may be any number from 0 on.
"""

from __future__ import annotations

import math
from dataclasses import MISSING, InitVar, dataclass
from functools import partial
from typing import Any, ClassVar

from cydropout._validate import check_count, check_made, check_number, optional, shown
from cydropout.training._settings import Configured, setting


def _a_rate(default: Any = MISSING) -> Any:
    return setting(check_number, "[0, inf)", default=default)


class Schedule(Configured):
    """Base of the schedules: ``schedule(step)`` is the rate of training step ``step``, from 0.

    Examples
    --------
    >>> from cydropout.training.schedules import Linear, Schedule
    >>> isinstance(Linear(0.0, 0.5, 10), Schedule)
    True
    """

    # The names of the fields that are rates.
    _rates: ClassVar[tuple[str, ...]] = ()

    def __call__(self, step: float) -> float:
        """Return the rate of a step.

        Raises
        ------
        ValueError
            If ``step`` is negative or no number.
        """
        return self._at(check_number("step", step, "[0, inf)"))

    def _at(self, step: float) -> float:
        raise NotImplementedError(f"{type(self).__name__} defines no rate")

    @property
    def highest(self) -> float:
        """The highest of the rates that it was given; 0 without any."""
        return float(max((getattr(self, name) for name in self._rates), default=0.0))


def _check_schedule(name: str, value: Any) -> Schedule:
    if not isinstance(value, Schedule):
        raise TypeError(f"{name} must be a schedule, not {shown(value)}")
    return check_made(value)


@dataclass(frozen=True)
class Constant(Schedule):
    """``rate``, at every step.

    Examples
    --------
    >>> Constant(0.5)(100)
    0.5
    """

    rate: float = _a_rate()

    _rates = ("rate",)

    def _at(self, step: float) -> float:
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
        How many steps that takes, at least 1.

    Examples
    --------
    >>> [Linear(0.0, 0.5, steps=10)(step) for step in (0, 5, 10, 20)]
    [0.0, 0.25, 0.5, 0.5]
    """

    start: float = _a_rate()
    end: float = _a_rate()
    steps: int = setting(check_count)

    _rates = ("start", "end")

    def _at(self, step: float) -> float:
        return _between(self.start, self.end, min(step / self.steps, 1.0))


@dataclass(frozen=True)
class Cosine(Schedule):
    """``start + (end - start) (1 - cos(pi min(step / steps, 1))) / 2``: slow at both ends.

    Parameters
    ----------
    start, end : float
        The rates at step 0 and from step ``steps`` on.
    steps : int
        How many steps that takes, at least 1.

    Examples
    --------
    >>> [round(Cosine(1.0, 0.0, steps=3)(step), 2) for step in range(4)]
    [1.0, 0.75, 0.25, 0.0]
    """

    start: float = _a_rate()
    end: float = _a_rate()
    steps: int = setting(check_count)

    _rates = ("start", "end")

    def _at(self, step: float) -> float:
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

    Examples
    --------
    >>> [round(Curriculum(0.5, steps=100)(step), 3) for step in (0, 10, 100)]
    [0.0, 0.316, 0.5]
    """

    rate: float = _a_rate()
    gamma: float | None = setting(partial(optional, check_number), "(0, inf)", default=None)
    steps: InitVar[int | None] = None

    _rates = ("rate",)

    def __post_init__(self, steps: int | None) -> None:
        if (self.gamma is None) == (steps is None):
            raise ValueError(f"give gamma or steps, one of them; got {self.gamma} and {steps}")
        if steps is not None:
            object.__setattr__(self, "gamma", 10.0 / check_count("steps of Curriculum", steps))

    def _at(self, step: float) -> float:
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

    Examples
    --------
    >>> [Step(0.1, factor=0.5, every=10)(step) for step in (0, 9, 10, 20)]
    [0.1, 0.1, 0.05, 0.025]
    """

    rate: float = _a_rate()
    factor: float = setting(check_number, "(0, 1]")
    every: int = setting(check_count)

    _rates = ("rate",)

    def _at(self, step: float) -> float:
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

    Examples
    --------
    >>> [WarmUp(4, Constant(0.1))(step) for step in (0, 2, 4, 9)]
    [0.0, 0.05, 0.1, 0.1]
    """

    steps: int = setting(check_count)
    after: Schedule = setting(_check_schedule)  # noqa: RUF009
    start: float = _a_rate(0.0)

    _rates = ("start",)

    @property
    def highest(self) -> float:
        """The highest of its own and of what follows."""
        return max(self.start, self.after.highest)

    def _at(self, step: float) -> float:
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

    Examples
    --------
    >>> cycle = OneCycle(1.0, steps=10, warm_up=0.5)
    >>> [round(cycle(step), 3) for step in (0, 5, 10)]
    [0.04, 1.0, 0.0]
    """

    peak: float = _a_rate()
    steps: int = setting(check_count)
    warm_up: float = setting(check_number, "[0, 1]", default=0.3)
    divisor: float = setting(check_number, "[1, inf)", default=25.0)
    final_divisor: float = setting(check_number, "[1, inf)", default=1e4)

    _rates = ("peak",)

    def _at(self, step: float) -> float:
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
