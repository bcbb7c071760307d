"""Rates that change while a model is trained: functions of the training step."""

from __future__ import annotations

import math
from dataclasses import InitVar, dataclass

from ._arguments import positive
from ._rates import check_one_rate


class Schedule:
    """Base of the schedules: ``schedule(step)`` is the rate of training step ``step``, from 0."""

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

    def _check(self, *rates: float) -> None:
        for rate in rates:
            check_one_rate(rate, type(self).__name__)


@dataclass(frozen=True)
class Constant(Schedule):
    """``rate``, at every step."""

    rate: float

    def __post_init__(self) -> None:
        self._check(self.rate)

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

    def __post_init__(self) -> None:
        self._check(self.start, self.end)
        positive("steps", self.steps)

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

    def __post_init__(self) -> None:
        self._check(self.start, self.end)
        positive("steps", self.steps)

    def _rate(self, step: float) -> float:
        done = min(step / self.steps, 1.0)
        return _between(self.start, self.end, (1.0 - math.cos(math.pi * done)) / 2)


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

    def __post_init__(self, steps: int | None) -> None:
        self._check(self.rate)
        if (self.gamma is None) == (steps is None):
            raise ValueError(f"give gamma or steps, one of them; got {self.gamma} and {steps}")
        if steps is not None:
            positive("steps", steps)
            object.__setattr__(self, "gamma", 10.0 / steps)
        elif self.gamma is not None and not 0 < self.gamma < math.inf:
            raise ValueError(f"gamma must be positive and finite, not {self.gamma!r}")

    def _rate(self, step: float) -> float:
        return -self.rate * math.expm1(-(self.gamma or 0.0) * step)


def _between(start: float, end: float, part: float) -> float:
    """Return the place between two rates, either of them exactly at its end."""
    return start * (1.0 - part) + end * part
