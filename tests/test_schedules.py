"""Schedules of rates: their formulas, ends and errors."""

import math
import re
from dataclasses import FrozenInstanceError, replace

import pytest

from cydropout.training.callbacks import RateSchedule
from cydropout.training.schedules import (
    Constant,
    Cosine,
    Curriculum,
    Linear,
    OneCycle,
    Schedule,
    Step,
    WarmUp,
)

SCHEDULES = [
    Constant(0.3),
    Linear(0.1, 0.6, 50),
    Linear(1.0, 0.0, 7),
    Cosine(0.0, 0.9, 50),
    Cosine(0.7, 0.1, 3),
    Curriculum(0.5, 0.01),
    Curriculum(0.8, steps=200),
    Step(0.4, 0.5, 10),
    Step(1.0, 1.0, 1),
    WarmUp(7, Cosine(0.7, 0.1, 30)),
    WarmUp(50, Constant(0.4), start=0.6),
    OneCycle(0.5, 60),
    OneCycle(0.9, 40, warm_up=0.0, divisor=10, final_divisor=100),
    OneCycle(0.9, 50, warm_up=1.0),
]


def formula(schedule, t):
    if isinstance(schedule, Constant):
        return schedule.rate
    if isinstance(schedule, Curriculum):
        k = 1 - schedule.rate
        return 1 - ((1 - k) * math.exp(-schedule.gamma * t) + k)
    if isinstance(schedule, Step):
        return schedule.rate * schedule.factor ** math.floor(t / schedule.every)
    if isinstance(schedule, WarmUp):
        if t >= schedule.steps:
            return formula(schedule.after, t - schedule.steps)
        to = formula(schedule.after, 0)
        return schedule.start + (to - schedule.start) * t / schedule.steps
    if isinstance(schedule, OneCycle):
        start = schedule.peak / schedule.divisor
        turn = schedule.warm_up * schedule.steps
        if t < turn:
            return start + (schedule.peak - start) * math.sin(math.pi * t / turn / 2) ** 2
        end, down = start / schedule.final_divisor, schedule.steps - turn
        part = min((t - turn) / down, 1) if down else 1
        return schedule.peak + (end - schedule.peak) * math.sin(math.pi * part / 2) ** 2
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


def test_one_cycle_has_its_peak_at_the_turn_and_its_ends():
    schedule = OneCycle(0.5, 100, warm_up=0.25, divisor=10, final_divisor=50)
    way = [schedule(t) for t in range(101)]
    assert way[0] == 0.05 and max(way) == way[25] == 0.5
    assert way[100] == schedule(10**6) == pytest.approx(0.001)
    assert way[:26] == sorted(way[:26]) and way[25:] == sorted(way[25:], reverse=True)


def test_one_cycle_is_that_of_the_field():
    torch = pytest.importorskip("torch")
    steps, peak = 41, 0.5
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps, pct_start=0.5)
    ours = OneCycle(peak, steps - 1, warm_up=19.5 / 40)  # the field turns half a step earlier
    for t in range(steps):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(ours(t), abs=1e-7)
        optimizer.step()
        if t < steps - 1:
            cycle.step()


@pytest.mark.parametrize(
    ("schedule", "highest"),
    [(Constant(3.0), 3.0), (Linear(0.5, 2.0, 7), 2.0), (Cosine(4.0, 0.5, 9), 4.0),
     (Curriculum(2.5, 0.5), 2.5), (Step(8.0, 0.5, 3), 8.0), (OneCycle(2.0, 20), 2.0),
     (WarmUp(4, OneCycle(3.0, 20)), 3.0), (WarmUp(4, Constant(0.1), start=1.5), 1.5)],
)
def test_rates_above_1_are_for_the_learning_rate_alone(schedule, highest):
    assert schedule.highest == highest
    assert max(schedule(step) for step in range(60)) == pytest.approx(highest, rel=1e-5)
    words = f"dropout must lie between 0 and 1, not at {highest:g}, which {schedule!r}"
    with pytest.raises(ValueError, match=re.escape(words)):
        RateSchedule(schedule)
    RateSchedule(Constant(1.0))


def test_they_are_values():
    assert Linear(0.0, 0.5, 10) == Linear(0.0, 0.5, 10) != Cosine(0.0, 0.5, 10)
    assert replace(Linear(0.0, 0.5, 10), steps=20) == Linear(0.0, 0.5, 20)
    with pytest.raises(FrozenInstanceError):
        Constant(0.5).rate = 0.1
    assert Schedule().highest == 0
    with pytest.raises(NotImplementedError, match="Schedule"):
        Schedule()(0)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Constant(-1.5), ValueError, "rate of Constant.*-1.5"),
        (lambda: Constant([0.1, 0.2]), ValueError, r"Constant.*0\.1, 0\.2"),
        (lambda: Linear(-0.1, 0.5, 10), ValueError, "-0.1"),
        (lambda: Linear(0.1, math.nan, 10), ValueError, "nan"),
        (lambda: Linear(0.1, 0.5, 0), ValueError, "steps.*0"),
        (lambda: Cosine(0.1, math.inf, 5), ValueError, "end of Cosine.*inf"),
        (lambda: Cosine(0.1, "a", 5), TypeError, "'a'"),
        (lambda: Cosine(0.1, 0.2, 2.5), ValueError, "steps.*2.5"),
        (lambda: Curriculum(0.5), ValueError, "gamma or steps"),
        (lambda: Curriculum(0.5, 0.1, steps=10), ValueError, "gamma or steps.*0.1 and 10"),
        (lambda: Curriculum(0.5, 0.0), ValueError, "gamma.*0.0"),
        (lambda: Curriculum(0.5, math.inf), ValueError, "gamma.*inf"),
        (lambda: Curriculum(0.5, steps=-3), ValueError, "steps.*-3"),
        (lambda: Curriculum(-1.1, 0.1), ValueError, "-1.1"),
        (lambda: Step(-1.5, 0.5, 10), ValueError, "-1.5"),
        (lambda: Step(0.5, 0.0, 10), ValueError, "factor.*0.0"),
        (lambda: Step(0.5, 1.5, 10), ValueError, "factor.*1.5"),
        (lambda: Step(0.5, 0.5, 0), ValueError, "every.*0"),
        (lambda: WarmUp(0, Constant(0.5)), ValueError, "steps.*0"),
        (lambda: WarmUp(5, 0.5), TypeError, "after.*0.5"),
        (lambda: WarmUp(5, Constant(0.5), start=-1), ValueError, "-1"),
        (lambda: OneCycle(math.nan, 10), ValueError, "peak of OneCycle.*nan"),
        (lambda: OneCycle(0.5, 10, warm_up=1.5), ValueError, "1.5"),
        (lambda: OneCycle(0.5, 10, divisor=0.5), ValueError, "divisor.*0.5"),
        (lambda: OneCycle(0.5, 10, final_divisor=math.inf), ValueError, "final_divisor.*inf"),
        (lambda: Constant(0.5)(-1), ValueError, "step.*-1"),
        (lambda: Linear(0.0, 0.5, 10)(math.nan), ValueError, "step.*nan"),
    ],
)
def test_errors(make, error, words):
    with pytest.raises(error, match=words):
        make()
