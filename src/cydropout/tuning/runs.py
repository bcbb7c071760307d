"""The runs of a sweep: a job is rates, fold and seed, and each worker a process."""

from __future__ import annotations

import copy
import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import numpy as np

from cydropout import _sklearn
from cydropout._optional import blas_threads
from cydropout._validate import Array
from cydropout.training.callbacks.dropout_rate import rate_layers
from cydropout.training.trainer import Trainer

#: The name under which one rate for all layers is swept.
ALL = "rate"
Rates = tuple[tuple[str, float], ...]
#: Rates, fold and seed.
Job = tuple[Rates, int, int]


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
    folds: int
    metric: str

    def score(self, job: Job) -> float:
        """Train on the other folds with the job's rates and seed, and measure on its fold."""
        rates, fold, seed = job
        folds = _sklearn.part("model_selection", "train").KFold
        split = list(folds(self.folds, shuffle=True, random_state=0).split(self.x))
        train, held = split[fold]
        rng = np.random.SeedSequence(seed, spawn_key=(fold,))
        trainer = Trainer(
            with_rates(self.model, rates), self.loss, copy.deepcopy(self.optimizer), rng=rng
        )
        trainer.fit(
            self.x[train], self.y[train], epochs=self.epochs, batch_size=self.batch_size,
            progress=False,
        )
        return trainer.evaluate(self.x[held], self.y[held])[self.metric]


_task: Task | None = None


def start(task: Task) -> None:
    """Begin a worker: what it runs, and one thread for it."""
    global _task
    _task = task
    blas_threads(1)


def _work(job: Job) -> float:
    assert _task is not None
    return _task.score(job)


def run_jobs(task: Task, jobs: Sequence[Job], workers: int) -> Iterable[tuple[Job, float]]:
    """Yield each job and its score when it is done; what is not begun is given up on an error."""
    if not jobs:
        return
    _sklearn.part("model_selection", "train")
    context = multiprocessing.get_context("spawn")  # a fork would take the threads' locks along
    pool = ProcessPoolExecutor(workers, context, start, (task,))
    try:
        waiting = {pool.submit(_work, job): job for job in jobs}
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def with_rates(model: Any, rates: Rates) -> Any:
    """Return a copy of the model with these rates."""
    model = copy.deepcopy(model)
    if model.parameters():
        raise ValueError("tune_rate takes a model that is not built: each run draws new weights")
    for name, rate in rates:
        for layer in rate_layers(model, None if name == ALL else [name]):
            layer.rate = rate
    return model
