"""A sweep on executors: the scores are those of any other, and the data go to a worker once."""

import multiprocessing
import shutil
import subprocess
import sys
import threading
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from training_cases import Dies, network

from cydropout.training.optimizers import SGD
from cydropout.tuning import executors, tune_rate
from cydropout.tuning.runs import Task

pytest.importorskip("sklearn.model_selection")
X, Y = np.random.default_rng(0).standard_normal((60, 12), dtype="float32"), np.arange(60) % 3


def sweep(**more):
    options = {"epochs": 1, "folds": 2, "seeds": (0, 1), "progress": False}
    return tune_rate(network(), "softmax_cross_entropy", more.pop("optimizer", SGD(0.1)), X, Y,
                     [0.0, 0.5], **options | more)


def processes():
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


def loky():
    return pytest.importorskip("joblib.externals.loky").ProcessPoolExecutor(2)


@contextmanager
def dask():
    client = pytest.importorskip("distributed").Client
    with client(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as one:
        yield one.get_executor()


EXECUTORS = {"threads": lambda: ThreadPoolExecutor(2), "processes": processes, "loky": loky,
             "dask": dask}


class Counting:
    """An executor that counts what another is given, and how often the data are in it."""

    def __init__(self, inner):
        self.inner, self.futures, self.sent = inner, [], 0

    def submit(self, function, *arguments):
        self.sent += any(isinstance(one, Task) for one in arguments)
        self.futures.append(self.inner.submit(function, *arguments))
        return self.futures[-1]


@pytest.fixture(scope="module")
def scores():
    with ThreadPoolExecutor(1) as one:
        return [c.scores for c in sweep(executor=one).candidates]


@pytest.mark.parametrize("kind", EXECUTORS)
def test_the_scores_are_the_same_on_any_executor(kind, scores, tmp_path):
    record = tmp_path / "sweep"
    with EXECUTORS[kind]() as inner:
        counting = Counting(inner)
        found = sweep(executor=counting, record=record)
        assert [c.scores for c in found.candidates] == scores
        assert 1 <= counting.sent <= 4 and len(counting.futures) == 8 + counting.sent
        assert inner.submit(int, "5").result(60) == 5  # it stays open
    assert sweep(record=record) == found  # of no executor, and without a run
    assert executors._tasks == {} and executors._limits == []


def test_own_processes_have_these_scores_too(scores):
    assert [c.scores for c in sweep(workers=2).candidates] == scores


SCRIPT = """
from mpi4py.futures import MPIPoolExecutor
from test_tuning_executors import sweep
if __name__ == "__main__":
    with MPIPoolExecutor() as executor:
        print([c.scores for c in sweep(executor=executor).candidates])
"""


def test_the_scores_are_the_same_on_mpi(scores, tmp_path):
    launcher = shutil.which("mpiexec", path=Path(sys.executable).parent) or shutil.which("mpiexec")
    found = subprocess.run([sys.executable, "-c", "from mpi4py import MPI"], capture_output=True)
    if launcher is None or found.returncode:
        pytest.skip("there is no mpiexec with mpi4py; pip install '.[mpi]'")
    script = tmp_path / "script.py"
    script.write_text(f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n{SCRIPT}")
    done = subprocess.run(
        [launcher, "-n", "3", sys.executable, "-m", "mpi4py.futures", script],
        capture_output=True, text=True, timeout=120,
    )
    assert done.stdout.strip() == str(scores), done.stderr


def test_a_worker_gets_the_data_once():
    with ThreadPoolExecutor(1) as inner:
        counting = Counting(inner)
        sweep(executor=counting)
    assert counting.sent == 1 and len(counting.futures) == 9


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_what_ends_a_sweep_cancels_what_waits_and_keeps_what_is_done(error, tmp_path, monkeypatch):
    record, gate = tmp_path / "sweep", threading.Semaphore(5)

    def through(function, *arguments):
        gate.acquire(timeout=60)
        return function(*arguments)

    with ThreadPoolExecutor(1) as inner:
        counting, add = Counting(inner), executors.wait
        monkeypatch.setattr(counting, "submit", partial(counting.submit, through))

        def ends(futures, **options):
            if len(counting.futures) == 7:  # five are done, the next waits at the gate
                raise error
            return add(futures, **options)

        monkeypatch.setattr(executors, "wait", ends)
        with pytest.raises(error):
            sweep(executor=counting, record=record)
        assert all(one.running() or one.done() for one in counting.futures)
        assert sum(one.cancelled() for one in counting.futures) >= 1
        gate.release()
    kept = record.read_bytes()
    assert 1 < kept.count(b"\n") < 9
    monkeypatch.undo()
    sweep(record=record, workers=2)
    assert record.read_bytes().startswith(kept) and record.read_bytes().count(b"\n") == 9


def test_an_error_in_a_worker_comes_with_where_it_was():
    with ThreadPoolExecutor(1) as executor, pytest.raises(ZeroDivisionError) as caught:
        sweep(executor=executor, optimizer=Dies(after=0, error=True))
    assert "in the run of {'rate': 0.0}, fold 0, seed 0" in str(caught.value.__cause__)


def test_a_worker_that_dies_is_an_error_of_the_executor():
    message = r"the executor of tune_rate failed in the run of .*BrokenProcessPool"
    with processes() as executor, pytest.raises(RuntimeError, match=message):
        sweep(executor=executor, optimizer=Dies(after=0))


class Unsendable(SGD):
    def __reduce__(self):
        raise TypeError("it holds a lambda")

    def __deepcopy__(self, memo):
        return self


def test_what_cannot_be_sent_is_said_and_threads_need_not_send():
    with processes() as executor, pytest.raises(RuntimeError, match="can its workers import.*lamb"):
        sweep(executor=executor, optimizer=Unsendable(0.1))
    with ThreadPoolExecutor(1) as executor:
        assert sweep(executor=executor, optimizer=Unsendable(0.1)).metric == "accuracy"


class Client:
    def submit(self, *arguments):
        return 5


@pytest.mark.parametrize(("executor", "message"), [
    (5, "executor must be an Executor"), (ThreadPoolExecutor, "class ThreadPoolExecutor"),
    (Client(), "executor must give futures.*get_executor.*5"),
])
def test_no_executor(executor, message):
    with pytest.raises(TypeError, match=message):
        sweep(executor=executor)


def test_workers_are_those_of_the_executor(tmp_path):
    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="workers=2.*executor"):
        sweep(executor=executor, workers=2, record=tmp_path / "sweep")
    assert list(tmp_path.iterdir()) == []


class Inline:
    """An executor whose every run has a new worker, which knows nothing."""

    def submit(self, function, *arguments):
        executors._tasks.clear()
        vars(executors._here).clear()
        future = Future()
        future.set_result(function(*arguments))
        return future


def test_workers_that_forget_the_data_get_them_again(scores):
    counting = Counting(Inline())
    assert [c.scores for c in sweep(executor=counting).candidates] == scores
    assert counting.sent == 8 and len(counting.futures) == 16
