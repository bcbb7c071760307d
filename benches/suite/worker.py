"""The process of one contender: requests and answers are lines of JSON.

It needs NumPy and the contender's library alone, so that any interpreter can run it.
"""

import dataclasses
import gc
import json
import os
import sys
import time

import numpy as np

import contenders
from suite import estimators
from suite.case import Case
from suite.check import WrongResult, check, differ, inputs
from suite.pipeline import neighbour

PAIRS = 4  # at least, of steps of seconds: they differ by a tenth from one to the next
_STATUS = "/proc/self/status"


class Worker:
    """Runs of one contender, by slot: what was prepared stays until it is released."""

    def __init__(self, name, threads):
        self.contender = contenders.create(name, threads)
        self.runs, self.arrays = {}, {}

    def prepare(self, slot, case, checked=False):
        """Build the run of a slot, check its result unless told that it is, and time it roughly."""
        case = Case.from_json(case)
        if case.key() not in self.arrays:
            self.arrays = {case.key(): {}}
        cache = self.arrays[case.key()]
        arrays = cache.setdefault(case.operation, inputs(case))
        run = getattr(self.contender, case.operation)(case, *arrays)
        if case.variant and case.operation == "copy":
            # There and back, as a variant goes: between four arrays, not twice the same two.
            run = _both(run, self.contender.copy(case, *(array.copy() for array in arrays)))
        result = run()
        if not checked:
            self._check(case, arrays, run, result)
        del result
        self.runs[slot] = run, case
        seconds = self._time(run, 1)
        if seconds < 0.05:
            seconds = min(seconds, *(self._time(run, 1) for _ in range(2)))
        return {"seconds": seconds}

    def _check(self, case, arrays, run, result):
        if case.operation in ("network", "classifier", "regressor"):
            result = run()  # the epoch may be short: only a second one shows what it learned
        if not isinstance(result, float):
            result = self.contender.numpy(result)
        check(case, arrays, result)
        if case.size <= 2**24 and not isinstance(result, float):
            parts = result if isinstance(result, tuple) else (result,)
            first = tuple(np.array(part) for part in parts)  # the next run may write over it
            second = self.contender.numpy(run())
            differ(case, first, second if isinstance(second, tuple) else (second,))

    @staticmethod
    def _time(run, calls):
        begin = time.perf_counter()
        for _ in range(calls):
            run()
        return (time.perf_counter() - begin) / calls

    def turn(self, slot, calls, runs, warm):
        """Return the time of a call: the least of some runs of many calls, after a warm-up.

        A run that brings what stands `alone` is timed beside that, and what it adds is returned.
        """
        run, case = self.runs[slot]
        with neighbour(case):
            begin = time.perf_counter()
            while time.perf_counter() - begin < warm:
                run()
            if hasattr(run, "alone"):
                return {"seconds": self._added(run, calls, max(runs, PAIRS))}
            return {"seconds": min(self._time(run, calls) for _ in range(runs))}

    def _added(self, run, calls, pairs):
        """Return the median of what a run adds to what stands alone, who in turn goes first."""
        found = []
        for pair in range(pairs):
            order = (run, run.alone) if pair % 2 else (run.alone, run)
            times = {each: self._time(each, calls) for each in order}
            found.append(times[run] - times[run.alone])
        return float(np.median(found))

    def release(self):
        self.runs, self.arrays = {}, {}
        gc.collect()
        return {}

    def memory(self, case):
        """Return the bytes per element that the run needs beyond its inputs, at its peak."""
        case = Case.from_json(case)
        if not os.path.exists(_STATUS):
            raise NotImplementedError("peak memory is read from Linux's /proc")
        small = dataclasses.replace(case, shape=(2**16,))
        getattr(self.contender, case.operation)(small, *inputs(small))()
        gc.collect()
        before = _resident("VmRSS")
        arrays = inputs(case)
        given = sum(array.nbytes for array in arrays)
        run = getattr(self.contender, case.operation)(case, *arrays)
        del arrays  # the contender may have copies of its own
        run()
        gc.collect()
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the peak starts again from here
        run()
        return {"value": (_resident("VmHWM") - before - given) / case.size}

    def test_error(self, case):
        """Return the error of a classifier or regressor on samples that it has not seen."""
        case = Case.from_json(case)
        model = self.contender.estimator(case)
        return {"value": estimators.test_error(model, case, *inputs(case))}


def _both(first, second):
    return lambda: (first(), second())[0]


def _resident(name):
    with open(_STATUS) as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))


def main(name, threads):
    """Answer the requests on standard input until it ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not stand between the answers
    try:
        worker = Worker(name, threads)
        print(json.dumps({"versions": dict(worker.contender.versions)}), file=answers)
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), file=answers)
        return
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except (NotImplementedError, WrongResult) as error:
            answer = {"cannot" if isinstance(error, NotImplementedError) else "wrong": str(error)}
        except Exception as error:
            answer = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), file=answers)
