"""Which rates a sweep tries: those of a grid, or those that Optuna asks for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from cydropout._optional import require
from cydropout._validate import check_count, check_one_rate
from cydropout.tuning.results import Candidate
from cydropout.tuning.runs import ALL, Job, Rates

#: Trials that are open at a time: so many however many workers there are, as what Optuna asks for
#: depends on what it was told before.
OPEN = 8


class Search:
    """Settings of the rates, each tried with all folds and seeds.

    ``rates`` are checked by a subclass, which sets ``tried``, the settings to look at before the
    first run, and ``settings``, what a record must agree with.
    """

    tried: list[Rates]
    settings: Any

    def __init__(self, rates: Any, trials: int | None, folds: int, seeds: Sequence[int]) -> None:
        self.folds, self.seeds = folds, seeds
        self.named = dict(rates) if isinstance(rates, Mapping) else {ALL: rates}
        if not self.named or not all(map(np.iterable, self.named.values())):
            raise ValueError(f"rates must be several, for all layers or for each, got {rates!r}")

    def runs(self, rates: Rates, folds: int) -> list[Job]:
        """Return the runs of the first folds."""
        return [(rates, fold, seed) for fold in range(folds) for seed in self.seeds]


class Grid(Search):
    """All combinations of the rates."""

    def __init__(self, rates: Any, trials: int | None, folds: int, seeds: Sequence[int]) -> None:
        super().__init__(rates, trials, folds, seeds)
        if trials is not None:
            raise ValueError(
                f"trials={trials!r} is for search='optuna'; a grid tries all of its rates"
            )
        columns = [
            [(name, check_one_rate(rate, "tune_rate")) for rate in each]
            for name, each in self.named.items()
        ]
        self.tried = list(itertools.product(*columns))
        if not self.tried or len(set(self.tried)) < len(self.tried):
            raise ValueError(
                f"rates must be different, and at least one for each layer, got {rates!r}"
            )
        self.settings = [dict(setting) for setting in self.tried]
        self._jobs = dict.fromkeys(
            job for rates in self.tried for job in self.runs(rates, folds)
        )

    def __contains__(self, job: object) -> bool:
        return job in self._jobs

    def __len__(self) -> int:
        return len(self._jobs)

    def jobs(self, scores: Mapping[Job, float], metric: str) -> list[Job]:
        """Return the runs that have no score."""
        return [job for job in self._jobs if job not in scores]

    def candidates(self, scores: Mapping[Job, float]) -> list[Candidate]:
        """Return what was found."""
        return [
            Candidate(dict(rates), tuple(scores[job] for job in self.runs(rates, self.folds)))
            for rates in self.tried
        ]


class _Trial:
    """A trial of Optuna, and the folds whose scores it was told."""

    def __init__(self, trial: Any, names: Iterable[str]) -> None:
        self.trial, self.told = trial, 0
        self.rates: Rates = tuple((name, trial.params[name]) for name in names)
        self.pruned = False


class Optuna(Search):
    """What a study of Optuna asks for: its own sampler, and its pruner after each fold.

    Nothing of the study is kept: it asks for the same again when it is told the same scores in the
    same order, which the open trials take turns for, whichever run is done first. So the record
    that holds the scores is enough to go on, and more trials may be added to it. Workers that have
    nothing to do run the later folds of open trials.
    """

    def __init__(self, rates: Any, trials: int | None, folds: int, seeds: Sequence[int]) -> None:
        super().__init__(rates, trials, folds, seeds)
        if trials is None:
            raise ValueError("search='optuna' needs trials=, how many settings of rates to try")
        check_count("trials", trials)
        self._trials, self._optuna = trials, require("optuna", "tune")
        self._found: list[_Trial] = []
        self._open: list[_Trial] = []
        for name, each in self.named.items():
            ends = [check_one_rate(end, "tune_rate") for end in each]
            if len(ends) != 2 or not ends[0] < ends[1]:
                raise ValueError(
                    f"with search='optuna' rates must be an interval (low, high) for each layer, "
                    f"with low < high, got {each!r} for {name!r}"
                )
            self.named[name] = ends
        self.tried = [
            tuple((name, ends[end]) for name, ends in self.named.items()) for end in (0, 1)
        ]
        self.settings = self.named

    def __contains__(self, job: Any) -> bool:
        rates, fold, seed = job
        return (
            [name for name, _ in rates] == list(self.named) and fold < self.folds
            and seed in self.seeds
            and all(self.named[name][0] <= rate <= self.named[name][1] for name, rate in rates)
        )

    def __len__(self) -> int:
        return self._trials * self.folds * len(self.seeds)

    def jobs(self, scores: Mapping[Job, float], metric: str) -> Iterator[Job | None]:
        """Iterate over the runs without a score; None says that others must be done first."""
        logging = self._optuna.logging
        level = logging.get_verbosity()
        logging.set_verbosity(logging.WARNING)
        try:
            study = self._optuna.create_study(
                sampler=self._optuna.samplers.TPESampler(seed=self.seeds[0] % 2**32),
                direction="minimize" if metric == "loss" else "maximize",
            )
        finally:
            logging.set_verbosity(level)
        begun = set(scores)
        while True:
            self._go_on(study, scores)
            job = next((job for job in self._wanted() if job not in begun), None)
            if job is not None:
                begun.add(job)
            yield job

    def _go_on(self, study: Any, scores: Mapping[Job, float]) -> None:
        """Tell and ask, as long as all open trials have the scores of their next fold."""
        distribution = self._optuna.distributions.FloatDistribution
        space = {name: distribution(*ends) for name, ends in self.named.items()}
        while True:
            while len(self._open) < OPEN and len(self._found) < self._trials:
                self._open.append(_Trial(study.ask(space), space))
                self._found.append(self._open[-1])
            now = [job for one in self._open for job in self.runs(one.rates, one.told + 1)]
            if not self._open or not all(job in scores for job in now):
                return
            for one in self._open.copy():
                one.told += 1
                found = [scores[job] for job in self.runs(one.rates, one.told)]
                mean = math.fsum(found) / len(found)
                one.trial.report(mean, one.told - 1)
                last = one.told == self.folds
                one.pruned = not last and one.trial.should_prune()
                if one.pruned:
                    study.tell(one.trial, state=self._optuna.trial.TrialState.PRUNED)
                elif last:
                    study.tell(one.trial, mean)
                if one.pruned or last:
                    self._open.remove(one)

    def _wanted(self) -> Iterator[Job]:
        """Iterate over the runs of the open trials, those that decide the next first."""
        for ahead in range(1, self.folds + 1):
            for one in self._open:
                yield from self.runs(one.rates, min(one.told + ahead, self.folds))

    def candidates(self, scores: Mapping[Job, float]) -> list[Candidate]:
        """Return what was found, trial by trial."""
        return [
            Candidate(
                dict(one.rates), tuple(scores[job] for job in self.runs(one.rates, one.told)),
                one.pruned,
            )
            for one in self._found
        ]


SEARCHES: dict[str, type[Grid] | type[Optuna]] = {"grid": Grid, "optuna": Optuna}
