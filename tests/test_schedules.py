"""Schedules of rates: their formulas, ends and errors."""

import math
from dataclasses import FrozenInstanceError, replace

import pytest

from cydropout.schedules import Constant, Cosine, Curriculum, Linear, Schedule

SCHEDULES = [
    Constant(0.3),
    Linear(0.1, 0.6, 50),
    Linear(1.0, 0.0, 7),
    Cosine(0.0, 0.9, 50),
    Cosine(0.7, 0.1, 3),
    Curriculum(0.5, 0.01),
    Curriculum(0.8, steps=200),
]


def formula(schedule, t):
    if isinstance(schedule, Constant):
        return schedule.rate
    if isinstance(schedule, Curriculum):
        k = 1 - schedule.rate
        return 1 - ((1 - k) * math.exp(-schedule.gamma * t) + k)
    part = min(t / schedule.steps, 1)
    if isinstance(schedule, Cosine):
        part = math.sin(math.pi * part / 2) ** 2
    return schedule.start + (schedule.end - schedule.start) * part


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_formula(schedule):
    for t in (0, 1, 2.5, 3, 7, 25, 50, 51, 200, 10**9):
        assert schedule(t) == pytest.approx(formula(schedule, t), abs=1e-15)
        assert 0 <= schedule(t) <= 1


@pytest.mark.parametrize("kind", [Linear, Cosine])
@pytest.mark.parametrize(("start", "end"), [(0.1, 0.7), (0.3, 0.0), (0.0, 1.0)])
def test_the_ends_are_exact(kind, start, end):
    schedule = kind(start, end, 13)
    assert schedule(0) == start and schedule(13) == schedule(14) == schedule(1e9) == end
    way = [schedule(t) for t in range(14)]
    assert way == sorted(way, reverse=start > end)


def test_curriculum():
    schedule = Curriculum(0.5, steps=1000)
    assert schedule == Curriculum(0.5, 0.01) and schedule.gamma == 0.01
    assert schedule(0) == 0 and schedule(1e9) == 0.5
    assert schedule(1000) == pytest.approx(0.5, abs=0.5 * math.exp(-10) * 1.001)


def test_they_are_values():
    assert Linear(0.0, 0.5, 10) == Linear(0.0, 0.5, 10) != Cosine(0.0, 0.5, 10)
    assert replace(Linear(0.0, 0.5, 10), steps=20) == Linear(0.0, 0.5, 20)
    with pytest.raises(FrozenInstanceError):
        Constant(0.5).rate = 0.1
    with pytest.raises(NotImplementedError, match="Schedule"):
        Schedule()(0)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Constant(1.5), ValueError, "1.5"),
        (lambda: Constant([0.1, 0.2]), TypeError, r"Constant.*0\.1, 0\.2"),
        (lambda: Linear(-0.1, 0.5, 10), ValueError, "-0.1"),
        (lambda: Linear(0.1, math.nan, 10), ValueError, "nan"),
        (lambda: Linear(0.1, 0.5, 0), ValueError, "steps.*0"),
        (lambda: Cosine(0.1, 2, 5), ValueError, "2"),
        (lambda: Cosine(0.1, "a", 5), TypeError, "'a'"),
        (lambda: Cosine(0.1, 0.2, 2.5), ValueError, "steps.*2.5"),
        (lambda: Curriculum(0.5), ValueError, "gamma or steps"),
        (lambda: Curriculum(0.5, 0.1, steps=10), ValueError, "gamma or steps.*0.1 and 10"),
        (lambda: Curriculum(0.5, 0.0), ValueError, "gamma.*0.0"),
        (lambda: Curriculum(0.5, math.inf), ValueError, "gamma.*inf"),
        (lambda: Curriculum(0.5, steps=-3), ValueError, "steps.*-3"),
        (lambda: Curriculum(1.1, 0.1), ValueError, "1.1"),
        (lambda: Constant(0.5)(-1), ValueError, "step.*-1"),
        (lambda: Linear(0.0, 0.5, 10)(math.nan), ValueError, "step.*nan"),
    ],
)
def test_errors(make, error, words):
    with pytest.raises(error, match=words):
        make()
