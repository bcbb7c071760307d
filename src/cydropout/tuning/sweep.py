"""tune_rate: a sweep of dropout rates with cross-validation, in parallel, that can be stopped."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cydropout import _sklearn
from cydropout._samples import check_ends, check_pair
from cydropout._validate import check_choice, check_count, check_integer, optional
from cydropout.functional import available_cores
from cydropout.layers._layer import check_model
from cydropout.training import losses, optimizers
from cydropout.training._configuration import plain
from cydropout.training.progress import bar, check_bar
from cydropout.tuning.executors import check_executor, run_on
from cydropout.tuning.record import ScoreRecord
from cydropout.tuning.results import Sweep
from cydropout.tuning.runs import Job, Task, run_jobs
from cydropout.tuning.search import SEARCHES, Grid, Optuna


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
    folds: Any = 5,
    seeds: Sequence[int] = (0,),
    metric: str | None = None,
    search: str = "grid",
    trials: int | None = None,
    workers: int | None = None,
    executor: Any = None,
    record: str | os.PathLike[str] | None = None,
    progress: bool | str = True,
    lengths: Any = None,
) -> Sweep:
    """Train with every setting of the rates, for every fold and seed, and compare the scores.

    The folds are the same for all settings, and a run depends on its rates, fold and seed alone:
    not on the number of workers, nor on whether the sweep was stopped in between. Every worker is
    a process of its own with one thread. Python starts them by importing the main module again, so
    a script calls this below ``if __name__ == "__main__":``.

    On an ``executor`` the runs are those of its workers, on other machines too. Each gets the data
    once, and keeps them until the next sweep. What waits there is cancelled when the sweep ends by
    Ctrl-C or an error; what runs there runs to its end, as an executor cannot stop it.

    Parameters
    ----------
    model : Sequential
        Not built. It is copied for every run.
    loss, optimizer : Loss or str, Optimizer or str
        As for `Trainer`.
    x, y : array
        Samples and targets; all are used, so hold those for the final test out.
    rates : sequence of float, or mapping
        The rates to try, for all layers of the model whose rate can be set, as `RateSchedule` finds
        them; or the rates for each layer whose path is named, as in ``{"1.dropout": [0.1, 0.5]}``:
        all combinations are tried. With ``search="optuna"`` an interval, ``(low, high)``, for all
        or for each layer.
    epochs, batch_size : int
        As for `Trainer.fit`.
    folds : int, splitter or iterable of (train, held)
        Parts of the data, at least 2, each of them held out once, with their share of every class
        where ``y`` is labels; or a splitter of scikit-learn, as ``RepeatedKFold(5)``; or the rows
        themselves, as ``GroupKFold(5).split(x, y, groups)``.
    seeds : sequence of int
        Each gives other weights, orders and masks. The first is that of Optuna's sampler, too.
    metric : {"accuracy", "loss"}, optional
        What is measured on the part held out; by default the accuracy, where the loss has one.
    search : {"grid", "optuna"}
        Try all combinations of the rates, or what a study of Optuna asks for, with its default
        sampler and pruner (``cydropout[tune]``). Optuna is told the mean score after each fold, and
        prunes trials that lag behind. Its search is the same for any number of workers.
    trials : int, optional
        With ``search="optuna"``, how many settings it asks for.
    workers : int, optional
        Processes; by default one for each processor that this process may use. Not beside an
        executor, which has workers of its own.
    executor : concurrent.futures.Executor, optional
        Who does the runs instead: a ``ProcessPoolExecutor``, loky's, ``mpi4py.futures``'
        ``MPIPoolExecutor``, or what ``get_executor()`` of a dask ``Client`` returns. It stays open.
    record : path-like, optional
        File of the scores, a line of JSON for each run, added as they come. With a file of the
        same sweep the runs it holds are not done again; there may be more ``trials`` then.
    progress : bool or str
        Show a bar of the runs; a string is its label.
    lengths : array of int, optional
        How many positions of each sequence count, as for `Trainer.fit`.

    Raises
    ------
    ValueError
        If an argument is out of its range, a layer is not there, the loss has no such metric, or
        the record is damaged, of another sweep, or no record; no run has begun then.
    RuntimeError
        If a worker dies or the executor fails. What is done is in the record then, as it is after
        Ctrl-C.
    ImportError
        Without the packages of ``cydropout[train]``, or for Optuna those of ``cydropout[tune]``.

    Examples
    --------
    >>> from cydropout.layers import Dense, Dropout, Sequential
    >>> from cydropout.training.data import load_digits
    >>> def sweep():  # call it below ``if __name__ == "__main__":``
    ...     data = load_digits()
    ...     model = Sequential([Dense(64, activation="relu"), Dropout(0.5), Dense(10)])
    ...     x = data.x_train.reshape(len(data.x_train), -1)
    ...     found = tune_rate(model, "softmax_cross_entropy", "adam", x, data.y_train,
    ...                       [0.0, 0.2, 0.5], epochs=10)
    ...     print(found)
    ...     return found.best.rates
    """
    check_model(model)
    x, y = check_pair(x, y, "x and y")
    if lengths is not None:
        lengths = check_ends("lengths", lengths, x.shape)
    for name, count in (("epochs", epochs), ("batch_size", batch_size)):
        check_count(name, count)
    parts = _split(folds, x, y)
    optional(check_choice, "metric", metric, ("accuracy", "loss"))
    check_choice("search", search, SEARCHES)
    optional(check_count, "workers", workers)
    check_executor(executor)
    if workers is not None and executor is not None:
        raise ValueError(
            f"workers={workers} is for processes of tune_rate's own; an executor brings its workers"
        )
    check_bar(progress)
    if not np.iterable(seeds):
        raise TypeError(f"seeds must be a list of integers, not {seeds!r}")
    seeds = [check_integer("a seed", seed, "[0, inf)") for seed in seeds]
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be different, and at least one, got {seeds}")
    plan = SEARCHES[search](rates, trials, len(parts), seeds)
    loss, optimizer = losses.get(loss), optimizers.get(optimizer)
    task = Task(
        model, loss, optimizer, x, y, epochs, batch_size, parts, metric or "accuracy", lengths
    )
    for setting in plan.tried:
        trainer = task.trainer(setting, 0)
    first = slice(batch_size)  # what does not fit is seen here
    measured = trainer.evaluate(x[first], y[first], lengths=task.ends(first))
    if metric is None and "accuracy" not in measured:
        task = replace(task, metric="loss")
    if task.metric not in measured:
        raise ValueError(f"metric {metric!r} is not measured by {loss}; use {', '.join(measured)}")
    done = ScoreRecord(record, _fingerprint(task, search, plan), plan)
    label = progress if isinstance(progress, str) else ""
    shown = bar(len(plan), len(done.scores), label=label, unit=" runs") if progress else None

    def add(job: Job, score: float) -> None:
        done.add(job, score)
        if shown is not None:
            shown.update()

    try:
        jobs = plan.jobs(done.scores, task.metric)
        if executor is None:
            run_jobs(task, jobs, workers or available_cores(), add)
        else:
            run_on(executor, task, jobs, add)
        if shown is not None:
            shown.total = shown.n  # less than promised where trials were pruned
    finally:
        if shown is not None:
            shown.close()
    return Sweep(task.metric, tuple(plan.candidates(done.scores)))


def _split(folds: Any, x: Any, y: Any) -> list[tuple[Any, Any]]:
    """Return the rows to train on and those held out, of each fold."""
    if not hasattr(folds, "split") and not np.iterable(folds):
        count = check_integer("folds", folds, f"[2, {len(x)}]")
        # Of labels that have so many of each class, every fold gets its share.
        classes = y.ndim == 1 and y.dtype.kind in "iu"
        stratified = classes and np.unique(y, return_counts=True)[1].min() >= count
        kinds = _sklearn.part("model_selection", "train")
        kind = kinds.StratifiedKFold if stratified else kinds.KFold
        folds = kind(count, shuffle=True, random_state=0)
    rows = np.zeros((len(x), 1))  # a splitter asks for their number alone
    pairs = folds.split(rows, y) if hasattr(folds, "split") else folds
    parts = []
    for place, pair in enumerate(pairs):
        both = tuple(np.asarray(each) for each in pair)
        if len(both) != 2 or not all(
            each.ndim == 1 and each.dtype.kind in "iu" and each.size
            and each.min() >= 0 and each.max() < len(x)
            for each in both
        ):
            raise ValueError(
                f"fold {place} of folds must be rows to train on and rows held out, integers in "
                f"[0, {len(x)}) and some of each, got {pair!r}"
            )
        parts.append(both)
    if not parts:
        raise ValueError("folds must give at least one pair of rows, got none")
    return parts


def _fingerprint(task: Task, search: str, plan: Grid | Optuna) -> dict[str, Any]:
    """Return what a record must agree with for its runs to be those of this sweep."""
    data = hashlib.sha256()
    for array in (task.x, task.y) if task.lengths is None else (task.x, task.y, task.lengths):
        data.update(f"{array.dtype} {array.shape}".encode())
        for start in range(0, len(array), 4096):
            data.update(np.ascontiguousarray(array[start : start + 4096]).tobytes())
    rows = hashlib.sha256()
    for part in itertools.chain.from_iterable(task.folds):
        rows.update(f"{len(part)} ".encode() + part.astype("<i8").tobytes())
    return {
        "search": search,
        "model": plain(task.model),
        "loss": plain(task.loss),
        "optimizer": plain(task.optimizer),
        "data": data.hexdigest(),
        "rates": plan.settings,
        "seeds": plan.seeds,
        "epochs": task.epochs,
        "batch_size": task.batch_size,
        "folds": rows.hexdigest(),
        "metric": task.metric,
    }
