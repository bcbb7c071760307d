"""Choose dropout rates: a sweep with cross-validation, in parallel, that can be stopped."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import math
import multiprocessing
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cydropout import _sklearn
from cydropout._optional import blas_threads
from cydropout._validate import Array, check_count, check_one_rate, check_pair
from cydropout.functional import available_cores
from cydropout.training import losses, optimizers
from cydropout.training.callbacks.dropout_rate import rate_layers
from cydropout.training.history import figure_of
from cydropout.training.progress import bar
from cydropout.training.trainer import Trainer

__all__ = ["Candidate", "Sweep", "tune_rate"]

#: The name under which one rate for all layers is swept.
ALL = "rate"
Rates = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Candidate:
    """Rates by layer, and the scores of their runs.

    ``mean`` is over all folds and seeds, ``spread`` the standard deviation among them, and
    ``error`` that of the mean: ``spread / sqrt(n)``.

    Examples
    --------
    >>> from cydropout.tuning import Candidate
    >>> Candidate({"2.dropout": 0.5}, (0.75, 0.5)).mean
    0.625
    """

    rates: dict[str, float]
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean of the scores."""
        return math.fsum(self.scores) / len(self.scores)

    @property
    def spread(self) -> float:
        """Standard deviation of the scores (with n - 1); 0 for a single one."""
        return float(np.std(self.scores, ddof=1)) if len(self.scores) > 1 else 0.0

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return self.spread / math.sqrt(len(self.scores))


@dataclass(frozen=True)
class Sweep:
    """What `tune_rate` found: ``candidates`` in the order of the sweep, and ``metric``.

    Examples
    --------
    >>> from cydropout.tuning import Candidate, Sweep
    >>> Sweep("accuracy", (Candidate({"2.dropout": 0.5}, (0.9, 0.8)),)).metric
    'accuracy'
    """

    metric: str
    candidates: tuple[Candidate, ...]

    @property
    def recommended(self) -> Candidate:
        """The candidate with the best mean; of equal ones the first."""
        sign = 1 if self.metric == "loss" else -1
        return min(self.candidates, key=lambda one: sign * one.mean)

    @property
    def near(self) -> tuple[Candidate, ...]:
        """Those whose mean lies within one standard error of the recommended one's."""
        best = self.recommended
        return tuple(c for c in self.candidates if abs(c.mean - best.mean) <= best.error)

    def table(self) -> str:
        """Return a table in Markdown: rates, mean, spread; the recommended one is marked."""
        names, best = list(self.candidates[0].rates), self.recommended
        head = [*names, self.metric, "spread", ""]
        lines = [f"| {' | '.join(head)} |".replace("  ", " "), "|---" * len(head) + "|"]
        for one in self.candidates:
            rates = " | ".join(f"{rate:g}" for rate in one.rates.values())
            mark = "recommended" if one is best else "near" if one in self.near else ""
            lines.append(f"| {rates} | {one.mean:.4f} | {one.spread:.4f} | {mark} |")
        return "\n".join(lines)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw score against rate, a panel per layer, with the mean and its spread.

        Where several layers are swept, a panel shows the scores of all settings of the others.
        """
        names, best = list(self.candidates[0].rates), self.recommended
        figure, panels = figure_of(len(names))
        for panel, name in zip(panels, names, strict=True):
            scores: dict[float, list[float]] = {}
            for one in self.candidates:
                scores.setdefault(one.rates[name], []).extend(one.scores)
            rates = sorted(scores)
            merged = [Candidate({name: rate}, tuple(scores[rate])) for rate in rates]
            for rate in rates:
                panel.plot([rate] * len(scores[rate]), scores[rate], ".", color="C0", alpha=0.35)
            panel.errorbar(
                rates, [c.mean for c in merged], [c.spread for c in merged], color="C0", capsize=3
            )
            label = f"recommended: {best.rates[name]:g}"
            panel.axvline(best.rates[name], color="C1", linestyle="--", label=label)
            panel.set_xlabel(name)
            panel.set_ylabel(self.metric)
            panel.grid(alpha=0.3)
            panel.legend()
        figure.savefig(os.fspath(path), dpi=120)


def tune_rate(
    model: Any,
    loss: Any,
    optimizer: Any,
    x: Any,
    y: Any,
    rates: Sequence[float] | Mapping[str, Sequence[float]],
    *,
    epochs: int,
    batch_size: int = 32,
    folds: int = 5,
    seeds: Sequence[int] = (0,),
    metric: str = "accuracy",
    workers: int | None = None,
    record: str | os.PathLike[str] | None = None,
    progress: bool | str = True,
) -> Sweep:
    """Train with every setting of the rates, for every fold and seed, and compare the scores.

    The folds are the same for all settings, and a run depends on its rates, fold and seed alone:
    not on the number of workers, nor on whether the sweep was stopped in between. Every worker is
    a process of its own with one thread. Python starts them by importing the main module again, so
    a script calls this below ``if __name__ == "__main__":``.

    Parameters
    ----------
    model : Sequential
        Not built. It is copied for every run.
    loss, optimizer : Loss or str, Optimizer or str
        As for `Trainer`.
    x, y : array
        Samples and targets; all are used, so keep those for the final test apart.
    rates : sequence of float, or mapping
        The rates to try, for all layers of the model whose rate can be set, as `RateSchedule` finds
        them; or the rates for each layer whose path is named, as in ``{"1.dropout": [0.1, 0.5]}``:
        all combinations are tried.
    epochs, batch_size : int
        As for `Trainer.fit`.
    folds : int
        Parts of the data, at least 2, each of them held out once.
    seeds : sequence of int
        Each gives other weights, orders and masks.
    metric : {"accuracy", "loss"}
        What is measured on the part held out.
    workers : int, optional
        Processes; by default one for each processor that this process may use.
    record : path-like, optional
        File of the scores, a line of JSON for each run, written as they come. With a file of the
        same sweep the runs it holds are not done again.
    progress : bool or str
        Show a bar of the runs; a string is its label.

    Raises
    ------
    ValueError
        If an argument is out of its range, a layer is not there, or the record is of another sweep.
    ImportError
        Without the packages of ``cydropout[train]``.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import tuning
    >>> from cydropout.layers import Dense, Dropout, ReLU, Sequential
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((64, 4), "f4")
    >>> y = (x.sum(axis=1) > 0).astype(int)
    >>> model = Sequential([Dense(16), ReLU(), Dropout(0.2), Dense(2)])
    >>> found = tuning.tune_rate(model, "softmax_cross_entropy", "adam", x, y, [0.0, 0.5], epochs=1,
    ...                          folds=2, workers=1, progress=False)
    >>> len(found.candidates)
    2
    """
    x, y = check_pair(x, y, "x and y")
    for name, count in (("epochs", epochs), ("batch_size", batch_size)):
        check_count(name, count)
    if isinstance(folds, bool) or not 2 <= folds <= len(x):
        raise ValueError(f"folds must lie between 2 and the {len(x)} samples, got {folds!r}")
    if metric not in ("accuracy", "loss"):
        raise ValueError(f"metric must be 'accuracy' or 'loss', not {metric!r}")
    if workers is not None:
        check_count("workers", workers)
    seeds = [int(seed) for seed in seeds]
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be different, and at least one, got {seeds}")
    grid = _grid(rates)
    for setting in grid:
        _with_rates(model, setting)
    loss, optimizer = losses.get(loss), optimizers.get(optimizer)
    task = _Task(model, loss, optimizer, x, y, epochs, batch_size, folds, metric)
    jobs = list(itertools.product(grid, range(folds), seeds))
    done = _Record(record, _fingerprint(task, grid, seeds))
    missing = [job for job in jobs if job not in done.scores]
    count = min(workers or available_cores(), max(len(missing), 1))
    label = {"desc": progress} if isinstance(progress, str) else {}
    shown = bar(len(jobs), len(jobs) - len(missing), unit=" runs", **label) if progress else None
    try:
        for job, score in _run(task, missing, count):
            done.add(job, score)
            if shown is not None:
                shown.update()
    finally:
        if shown is not None:
            shown.close()
    found = [
        Candidate(dict(s), tuple(done.scores[s, f, seed] for f in range(folds) for seed in seeds))
        for s in grid
    ]
    return Sweep(metric, tuple(found))


Job = tuple[Rates, int, int]


@dataclass(frozen=True)
class _Task:
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
        rates, fold, seed = job
        parts = _sklearn.part("model_selection", "train").KFold
        split = list(parts(self.folds, shuffle=True, random_state=0).split(self.x))
        train, held = split[fold]
        rng = np.random.SeedSequence(seed, spawn_key=(fold,))
        trainer = Trainer(
            _with_rates(self.model, rates), self.loss, copy.deepcopy(self.optimizer), rng=rng
        )
        trainer.fit(
            self.x[train], self.y[train], epochs=self.epochs, batch_size=self.batch_size,
            progress=False,
        )
        return trainer.evaluate(self.x[held], self.y[held])[self.metric]


_task: _Task | None = None


def _start(task: _Task) -> None:
    global _task
    _task = task
    blas_threads(1)


def _work(job: Job) -> float:
    assert _task is not None
    return _task.score(job)


def _run(task: _Task, jobs: Sequence[Job], workers: int) -> Iterable[tuple[Job, float]]:
    """Yield each job and its score when it is done; what is not begun is given up on an error."""
    if not jobs:
        return
    _sklearn.part("model_selection", "train")
    context = multiprocessing.get_context("spawn")  # a fork would take the threads' locks along
    pool = ProcessPoolExecutor(workers, context, _start, (task,))
    try:
        waiting = {pool.submit(_work, job): job for job in jobs}
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


class _Record:
    """The scores, in memory and in a file that is only ever added to."""

    def __init__(self, path: str | os.PathLike[str] | None, sweep: Mapping[str, Any]) -> None:
        self.path = None if path is None else Path(path)
        self.scores: dict[Job, float] = {}
        if self.path is None:
            return
        whole = self.path.read_bytes() if self.path.exists() else b""
        # A line that was cut off when the sweep was killed is dropped, and its run done again.
        whole = whole[: whole.rfind(b"\n") + 1]
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
        except ValueError as error:
            raise ValueError(f"{str(self.path)!r} is no record of a sweep: {error}") from error
        if not lines:
            whole = json.dumps(sweep).encode() + b"\n"
        elif lines[0] != sweep:
            raise ValueError(
                f"{str(self.path)!r} is the record of another sweep: {lines[0]}; here: {sweep}"
            )
        self.path.write_bytes(whole)
        for line in lines[1:]:
            rates = tuple((name, float(rate)) for name, rate in line["rates"].items())
            self.scores[rates, line["fold"], line["seed"]] = float(line["score"])

    def add(self, job: Job, score: float) -> None:
        self.scores[job] = score
        if self.path is not None:
            rates, fold, seed = job
            line = {"rates": dict(rates), "fold": fold, "seed": seed, "score": score}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def _grid(rates: Sequence[float] | Mapping[str, Sequence[float]]) -> list[Rates]:
    named = dict(rates) if isinstance(rates, Mapping) else {ALL: rates}
    columns = [
        [(name, check_one_rate(rate, "tune_rate")) for rate in each] for name, each in named.items()
    ]
    grid = list(itertools.product(*columns)) if columns else []
    if not grid or len(set(grid)) < len(grid):
        raise ValueError(f"rates must be different, and at least one for each layer, got {rates!r}")
    return grid


def _with_rates(model: Any, rates: Rates) -> Any:
    """Return a copy of the model with these rates."""
    model = copy.deepcopy(model)
    if model.parameters():
        raise ValueError("tune_rate takes a model that is not built: each run draws new weights")
    for name, rate in rates:
        for layer in rate_layers(model, None if name == ALL else [name]):
            layer.rate = rate
    return model


def _fingerprint(task: _Task, grid: list[Rates], seeds: list[int]) -> dict[str, Any]:
    """Return what a record must agree with for its runs to be those of this sweep."""
    data = hashlib.sha256()
    for array in (task.x, task.y):
        data.update(f"{array.dtype} {array.shape}".encode())
        for start in range(0, len(array), 4096):
            data.update(np.ascontiguousarray(array[start : start + 4096]).tobytes())
    return {
        "model": repr(task.model),
        "loss": f"{type(task.loss).__name__} {sorted(vars(task.loss).items())}",
        "optimizer": repr(task.optimizer),
        "data": data.hexdigest(),
        "rates": [dict(setting) for setting in grid],
        "seeds": seeds,
        "epochs": task.epochs,
        "batch_size": task.batch_size,
        "folds": task.folds,
        "metric": task.metric,
    }
