"""Contenders take turns, round by round, so that the machine's noise meets all alike."""

import dataclasses
import math
import time

import numpy as np

from contenders import DEFAULT
from suite import estimators
from suite.case import BYTES_PER_ELEMENT, TEST_ERROR, Case

WARM = 0.003  # seconds before a turn for the caches to fill: others had them since the last one
REST = 0.01  # seconds for the last contender's threads to fall asleep
LONG_REST = 0.1  # the same where they belong to BLAS, which keeps them awake for longer
BATCH = 1e-4  # seconds a timed loop lasts at least
LARGE = 2**28  # bytes from which arrays are made anew for each turn, so that all fit into memory


@dataclasses.dataclass
class Effort:
    """How long to measure: rounds, and seconds for each contender of a case."""

    rounds: int
    seconds: float
    least: int = 3


@dataclasses.dataclass
class Entry:
    """A contender's figures in one case, in the unit of the case."""

    contender: str
    operation: str
    threads: int
    samples: list = dataclasses.field(default_factory=list)

    @property
    def median(self):
        return float(np.median(self.samples))

    @property
    def spread(self):
        """The 10th and 90th percentile."""
        return tuple(map(float, np.percentile(self.samples, [10, 90])))


@dataclasses.dataclass
class Outcome:
    """What a race told: the entries that finished, and why the others did not."""

    case: Case
    entries: list
    left_out: dict

    def find(self, contender, threads=None):
        """Return the entry of a contender in the case's operation, or None."""
        for entry in self.entries:
            if (entry.contender == contender and entry.operation == self.case.operation
                    and threads in (None, entry.threads)):
                return entry
        return None

    def limit(self, threads=None):
        """Return the entry of the fastest scale copy, or None."""
        copies = [e for e in self.entries
                  if e.operation == "copy" and threads in (None, e.threads)]
        return min(copies, key=lambda entry: entry.median, default=None)

    def peers(self, threads=None):
        """Return the entries that compute the same and are not ours, the fastest first."""
        others = [e for e in self.entries
                  if e.operation != "copy" and not e.contender.startswith("cydropout")
                  and threads in (None, e.threads)]
        return sorted(others, key=lambda entry: entry.median)


class _Runner:
    """One entry of a race with its process."""

    def __init__(self, process, case, entry):
        self.process, self.case, self.entry = process, case, entry
        self.slot = entry.operation
        self.large = case.nbytes >= LARGE

    def _ask(self, checked):
        case = dataclasses.asdict(self.case)
        return self.process.ask("prepare", slot=self.slot, case=case, checked=checked)

    def prepare(self):
        answer = self._ask(checked=False)
        self.seconds = max(answer.get("seconds", 0), 1e-9)
        if self.large:
            self.process.ask("release")
        return answer

    def plan(self, effort):
        """Decide how many calls make a turn, and in which rounds it takes part."""
        self.calls = max(1, math.ceil(BATCH / self.seconds))
        run = self.calls * self.seconds
        self.runs = 5 if run < 0.01 else 2 if run < 0.1 else 1
        cost = run * (self.runs + 1) + WARM + REST
        if self.large:
            cost += 4 * run  # to make the arrays, and to prepare
        least = min(effort.least, 3) if self.large else effort.least
        most = max(1, effort.rounds // least)
        self.stride = min(most, math.ceil(effort.rounds * cost / effort.seconds))

    def turn(self):
        if self.large:
            self._ask(checked=True)
        time.sleep(LONG_REST if self.case.uses_blas else REST)
        answer = self.process.ask("turn", slot=self.slot, calls=self.calls, runs=self.runs,
                                  warm=WARM if self.seconds < 0.1 else 0)
        if self.large:
            self.process.ask("release")
        return answer


def race(case, pool, effort, tell=lambda text: None):
    """Run the case and return its Outcome; `tell` hears what is being done.

    Raises
    ------
    RuntimeError
        If cydropout itself gives a wrong result or fails.
    """
    runners, left_out = [], {}
    for threads in case.threads:
        for process in pool.start(case.contenders or DEFAULT, threads):
            for operation in (case.operation, *(("copy",) if case.limit else ())):
                tell(f"{process.name} prepares")
                entry = Entry(process.name, operation, process.threads)
                runner = _Runner(process, dataclasses.replace(case, operation=operation), entry)
                answer = runner.prepare()
                if "seconds" in answer:
                    runner.plan(effort)
                    runners.append(runner)
                elif operation != "copy":
                    left_out[process.name] = _reason(process.name, answer)
    for turn in range(effort.rounds):
        for runner in runners:
            if turn % runner.stride == 0:
                tell(f"round {turn + 1} of {effort.rounds}, {runner.entry.contender}")
                answer = runner.turn()
                if "seconds" not in answer:
                    left_out[runner.entry.contender] = _reason(runner.entry.contender, answer)
                    continue
                runner.entry.samples.append(answer["seconds"] * case.per_second)
    for runner in runners:
        runner.process.ask("release")
    return Outcome(case, [r.entry for r in runners if r.entry.samples], left_out)


#: What is asked for once, in a new process, and is no time.
ASKED = {BYTES_PER_ELEMENT: "memory", TEST_ERROR: "test_error"}


def ask(case, pool, tell=lambda text: None):
    """Return the Outcome of a case in bytes per element or test errors, each in a new process."""
    entries, left_out = [], {}
    names = [process.name for process in pool.start(case.contenders or DEFAULT)]
    for process in pool.fresh(names):
        tell(f"{process.name} tells its {case.unit}")
        answer = process.ask(ASKED[case.unit], case=dataclasses.asdict(case))
        process.close()
        if "value" in answer:
            entry = Entry(process.name, case.operation, process.threads, [answer["value"]])
            entries.append(entry)
        else:
            left_out[process.name] = _reason(process.name, answer)
    outcome = Outcome(case, entries, left_out)
    if case.unit == TEST_ERROR:
        estimators.check(outcome)
    return outcome


def run(case, pool, effort, tell=lambda text: None):
    """Race or ask, as the unit of the case wants."""
    if case.unit in ASKED:
        return ask(case, pool, tell)
    return race(case, pool, effort, tell)


def _reason(name, answer):
    kind, text = next(iter(answer.items()))
    if kind == "cannot":
        return text
    if name.startswith("cydropout"):
        raise RuntimeError(f"{name} {kind}: {text}")
    return f"{kind}: {text}"
