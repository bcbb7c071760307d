"""The runs of a sweep: a job is rates, fold and seed, and each worker a process."""

from __future__ import annotations

import contextlib
import copy
import itertools
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from cydropout._optional import blas_threads
from cydropout._validate import Array
from cydropout.training.callbacks.dropout_rate import rate_layers
from cydropout.training.trainer import Trainer

#: The name under which one rate for all layers is swept.
ALL = "rate"
Rates = tuple[tuple[str, float], ...]
#: Rates, fold and seed.
Job = tuple[Rates, int, int]
#: An error that came up in a worker, and its traceback.
Failure = tuple[Exception, str]


@dataclass(frozen=True)
class Task:
    """What all runs share."""

    model: Any
    loss: Any
    optimizer: Any
    x: Array
    y: Array
    epochs: int
    batch_size: int
    #: Rows to train on, and rows held out.
    folds: list[tuple[Array, Array]]
    metric: str
    lengths: Array | None = None

    def trainer(self, rates: Rates, rng: Any) -> Trainer:
        """Return what trains a copy of the model with these rates."""
        model = with_rates(self.model, rates)
        loss, optimizer = copy.deepcopy((self.loss, self.optimizer))  # threads may share the task
        return Trainer(model, loss, optimizer, rng=rng, num_threads=1)

    def score(self, job: Job) -> float:
        """Train on the other folds with the job's rates and seed, and measure on its fold."""
        rates, fold, seed = job
        train, held = self.folds[fold]
        trainer = self.trainer(rates, np.random.SeedSequence(seed, spawn_key=(fold,)))
        trainer.fit(
            self.x[train], self.y[train], epochs=self.epochs, batch_size=self.batch_size,
            progress=False, lengths=self.ends(train),
        )
        held_out = trainer.evaluate(self.x[held], self.y[held], lengths=self.ends(held))
        return held_out[self.metric]

    def ends(self, rows: Any) -> Array | None:
        """Return the lengths of these sequences, None without any."""
        return None if self.lengths is None else self.lengths[rows]


def doing(job: Job) -> str:
    """Return which run it is, for an error."""
    rates, fold, seed = job
    return f"in the run of {dict(rates)}, fold {fold}, seed {seed}"


def failure(error: Exception) -> Failure:
    """Return the error that is being handled as it can be sent to another process."""
    text, sent = traceback.format_exc(), error
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # it takes other arguments than it keeps, or holds what cannot be sent
        sent = RuntimeError(f"{type(error).__name__}: {error}")
    return sent, text


def score_of(answer: float | Failure, job: Job | None) -> float:
    """Return the score that a worker answered; raise the error that came up there."""
    if isinstance(answer, tuple):
        error, text = answer
        where = _BEGINNING if job is None else doing(job)
        raise error from RuntimeError(f"in a worker, {where}:\n{text}")
    return float(answer)


_BEGINNING = "before its first run; is tune_rate called below 'if __name__ == \"__main__\"'?"


def _work(connection: Connection) -> None:
    """Take the task, then jobs; send the score of each, or the error that ends this worker."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        blas_threads(1)
        task, score = connection.recv(), None
        while True:
            connection.send(score)  # None says that it has begun
            score = task.score(connection.recv())
    except Exception as error:
        with contextlib.suppress(OSError):  # nobody is there any more
            connection.send(failure(error))


def _end_with_parent() -> None:
    """Wait for the end of a pipe that the parent holds, whatever ends it, and end too."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


class _Worker:
    """A process, and the connection to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would take the threads' locks along
        self.connection, there = context.Pipe()
        self.process = context.Process(target=_work, args=(there,), daemon=True)
        # Ctrl-C goes to all; the child inherits that it is not for it. The tracker, which Python
        # starts with the first child, would allow it again.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            there.close()
        self.job: Job | None = None

    def send(self, pickled: bytes) -> None:
        """Send the task, or a job."""
        with self._alive():
            self.connection.send_bytes(pickled)

    def receive(self) -> float | None:
        """Return the score of the job, None before the first; raise the error that came up."""
        with self._alive():
            answer = self.connection.recv()
        return None if answer is None else score_of(answer, self.job)

    @contextlib.contextmanager
    def _alive(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError) as error:
            self.process.join(5)
            code = self.process.exitcode or 0
            cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            raise RuntimeError(
                f"a worker of tune_rate, process {self.process.pid}, was ended by {cause} "
                f"{_BEGINNING if self.job is None else doing(self.job)}"
            ) from error


def run_jobs(
    task: Task, jobs: Iterable[Job | None], workers: int, done: Callable[[Job, float], None]
) -> None:
    """Do the jobs in at most so many processes, and call ``done`` with each and its score.

    A job that is None says that the next depends on those that are not done yet. However this ends,
    ``done`` gets what has been finished, and no process stays.
    """
    try:
        pickled = pickle.dumps(task)
    except Exception as error:
        raise TypeError(
            "tune_rate sends model, loss and optimizer to other processes: define functions and "
            f"classes at the top of a module: {error}"
        ) from error
    waiting = iter(jobs)
    team: list[_Worker] = []
    busy: dict[Any, _Worker] = {}

    def give(worker: _Worker, pickled: bytes) -> None:
        busy[worker.connection] = worker
        worker.send(pickled)

    def finish(worker: _Worker) -> None:
        score = busy.pop(worker.connection).receive()
        if worker.job is not None and score is not None:
            done(worker.job, score)

    try:
        first = [job for _ in range(workers) if (job := next(waiting, None)) is not None]
        for _ in first:
            team.append(_Worker())
        for worker in team:
            give(worker, pickled)
        waiting = itertools.chain(first, waiting)
        while busy:
            for connection in wait(list(busy)):
                finish(busy[connection])
            for worker in team:
                if worker.connection not in busy and (job := next(waiting, None)) is not None:
                    worker.job = job
                    give(worker, pickle.dumps(job))
    finally:
        for worker in team:
            worker.process.kill()
        for worker in [*busy.values()]:
            with contextlib.suppress(Exception):
                if worker.connection.poll():
                    finish(worker)
        for worker in team:
            worker.process.join()
            worker.connection.close()


def with_rates(model: Any, rates: Rates) -> Any:
    """Return a copy of the model with these rates."""
    model = copy.deepcopy(model)
    if model.parameters():
        raise ValueError("tune_rate takes a model that is not built: each run draws new weights")
    for name, rate in rates:
        for layer in rate_layers(model, None if name == ALL else [name]):
            layer.rate = rate
    return model
