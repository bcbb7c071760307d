"""The bench of processes: what it starts, what it refuses, and its model of many."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import launched

BENCHES = Path(__file__).parents[1] / "benches"
pytestmark = pytest.mark.skipif(not BENCHES.is_dir(), reason="the benches are not beside the tests")
COSTS = 1e-3, 1e-2, 4e6, 1e9, 1e-6  # of a sample, of a step, bytes, bytes a second, latency


@pytest.fixture
def case(load):
    def made(batch=16):
        return load("suite.case").Case(
            "processes", (160, 20), unit="s/epoch", hidden=(8,), batch=batch, limit=False)
    return made


def outcome(load, case, **seconds):
    """Return an outcome of the named times of an epoch."""
    race, names = load("suite.race"), load("suite.processes")
    entries = [race.Entry(getattr(names, name), "processes", 1, [value])
               for name, value in seconds.items()]
    return race.Outcome(case, entries, {})


def test_a_step_of_the_model(load):
    step = load("suite.processes").step
    assert step(1, 256, *COSTS) == pytest.approx(0.266)
    assert step(4, 256, *COSTS) == pytest.approx(0.01 + 0.064 + 1.5 * 0.004 + 6e-6)


def test_the_efficiencies_of_the_model(load):
    shared, each = load("suite.processes").efficiencies(4, 256, *COSTS)
    assert shared == pytest.approx(0.266 / (4 * 0.080006))
    assert each == pytest.approx(0.266 / 0.272006)
    assert np.isnan(load("suite.processes").efficiencies(512, 256, *COSTS)[0])


def test_two_batches_tell_what_a_sample_and_a_step_cost(load, case):
    found = [outcome(load, case(b), ONE=(0.004 + 0.0002 * b) * 60_000 / b) for b in (128, 256)]
    assert load("suite.processes").costs(found) == pytest.approx((0.0002, 0.004))


def test_efficiency_and_share_are_told(load, case):
    found = [outcome(load, case(batch), ONE=10.0, WITH_COMM=12.0, TWO=8.0, SUMS=2.0)
             for batch in (128, 256)]
    text = load("suite.processes").scaling(found)
    assert "| 128 | 12.00 | 8.00 | 0.75 (0.62) | 25% |" in text and "\n| 1024 |" in text
    assert load("suite.processes").scaling([outcome(load, case(), ONE=1.0)]) == ""
    lines = load("suite.targets").steps({"processes": found})
    assert "2 processes over 1" in lines and "| 0.67 | 0.588 | **no** |" in lines


def test_the_command_takes_other_figures():
    def run(*arguments):
        return subprocess.run([sys.executable, str(BENCHES / "scaling.py"), *arguments],
                              capture_output=True, text=True)

    done = run("--row", "1", "--fixed", "10", "--parameters", "1e6", "--bandwidth", "1",
               "--latency", "1", "--batch", "256")
    assert done.returncode == 0 and f"| 4 | {0.266 / (4 * 0.080006):.2f} | 0.98 |" in done.stdout
    assert len(done.stdout.splitlines()) == 12
    bad = run("--bandwidth", "0")
    assert bad.returncode == 2 and "--bandwidth must be above 0, not 0" in bad.stderr


def test_two_processes_do_the_epochs_of_one(load, case):
    launched(2, "-c", "")  # or skip

    def epochs(ranks, what):
        run = load("contenders.processes").Processes(case(), ranks, what)
        losses, child = [run() for _ in range(3)], run.process
        del run
        assert child.returncode == 0
        return losses

    alone = epochs(1, "alone")
    assert epochs(2, "train") == pytest.approx(alone, rel=1e-5) and len({*alone}) == 3
    assert epochs(2, "Allreduce") == [0.0] * 3


def test_processes_that_learn_something_else_are_refused(load, case):
    class Comm:
        rank, size, Abort = 0, 2, None
        allgather, bcast = (lambda self, value: [value] * 2), (lambda self, value, root: value)

        def Allreduce(self, mine, total):
            total[...] = 2 * mine if mine.size == 3 else -mine

    processes, check = load("contenders.processes"), load("suite.check")
    x, labels = check.inputs(case())
    with pytest.raises(check.WrongResult, match="the loss of 2 processes is"):
        processes._run("train", Comm(), case(), x, labels)
