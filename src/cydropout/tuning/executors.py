"""The runs of a sweep on somebody else's workers: any executor of ``concurrent.futures``."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from typing import Any

from cydropout._optional import blas_threads
from cydropout._validate import ArgumentTypeError, shown
from cydropout.tuning.runs import Failure, Job, Task, doing, failure, score_of

# What a worker keeps between its runs: its name, and the task of the last sweep.
_here = threading.local()
_tasks: dict[str, Task] = {}
_lock = threading.Lock()
_limits: list[Any] = []


def check_executor(executor: Any) -> None:
    """Raise if ``executor`` is not None and cannot take work."""
    if executor is None:
        return
    if isinstance(executor, type) or not callable(getattr(executor, "submit", None)):
        raise ArgumentTypeError(
            f"executor must be an Executor of concurrent.futures, not {shown(executor)}"
        )


def _work(
    key: str, job: Job, task: Task | None = None
) -> tuple[str, float | Failure | None]:
    """Return this worker's name, and the score of the job, an error, or None without the task."""
    name = vars(_here).setdefault("name", uuid.uuid4().hex)
    if task is not None:
        _tasks.clear()
        _tasks[key] = task
    else:
        task = _tasks.get(key)
    if task is None:
        return name, None
    try:
        with _one_blas_thread():
            return name, task.score(job)
    except Exception as error:
        return name, failure(error)


@contextmanager
def _one_blas_thread() -> Any:
    """Run BLAS on one thread until the last of those that want it so is done."""
    with _lock:
        _limits.append(_limits[0] if _limits else blas_threads(1))
    try:
        yield
    finally:
        with _lock:
            limits = _limits.pop()
            if not _limits:
                limits.restore_original_limits()


def run_on(
    executor: Any, task: Task, jobs: Iterable[Job | None], done: Callable[[Job, float], None]
) -> None:
    """Do the jobs on the executor, and call ``done`` with each and its score.

    A job is sent without the task, and again with it if the worker that got it says that it has
    none. This needs nothing of an executor but ``submit``, no file that its machines share, and no
    number of workers: one job more is out than workers have answered, so that it finds those who
    have not. However this ends, ``done`` gets what has been finished, and no job is left waiting.
    """
    key, waiting = uuid.uuid4().hex, iter(jobs)
    busy: dict[Future[Any], Job] = {}
    seen: set[str] = set()

    def give(job: Job, *more: Task) -> None:
        future = executor.submit(_work, key, job, *more)
        if not isinstance(future, Future):
            raise ArgumentTypeError(
                f"executor must give futures of concurrent.futures, as dask's Client does by its "
                f"get_executor(); {shown(executor)} gave {shown(future)}"
            )
        busy[future] = job

    def finish(future: Future[Any]) -> None:
        job = busy.pop(future)
        try:
            name, answer = future.result()
        except Exception as error:
            raise RuntimeError(
                f"the executor of tune_rate failed {doing(job)}; can its workers import what "
                f"model, loss and optimizer are made of? {type(error).__name__}: {error}"
            ) from error
        seen.add(name)
        if answer is None:
            give(job, task)
        else:
            done(job, score_of(answer, job))

    try:
        while True:
            while len(busy) <= len(seen) and (job := next(waiting, None)) is not None:
                give(job)
            if not busy:
                return
            ended = wait(busy, return_when=FIRST_COMPLETED).done
            for future in [one for one in busy if one in ended]:  # of several errors the first
                finish(future)
    finally:
        for future in busy:
            future.cancel()
        for future, job in busy.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                answer = future.result()[1]
                if isinstance(answer, float):
                    with suppress(Exception):  # what ended this may be that it cannot be kept
                        done(job, answer)
        _tasks.pop(key, None)
