"""The processes of the contenders.

Each has one of its own: idle workers of one thread pool would hold the cores that the next wants.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from contenders import library

BENCHES = Path(__file__).parent.parent
_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS",
          "CYDROPOUT_NUM_THREADS")


class Process:
    """One contender with some threads; `ask` it after `answer` has told its versions."""

    def __init__(self, name, threads, python):
        self.name, self.threads = name, threads
        code = (f"import sys; sys.path.insert(0, {str(BENCHES)!r}); "
                f"from suite.worker import main; main({name!r}, {threads})")
        environment = os.environ | dict.fromkeys(_POOLS, str(threads))
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [python, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors, env=environment, text=True, preexec_fn=_pin(threads),
        )

    def ask(self, do, **request):
        """Send a request and return the answer."""
        try:
            self.process.stdin.write(json.dumps({"do": do} | request) + "\n")
            self.process.stdin.flush()
        except OSError:
            pass  # it has ended; the answer says so
        return self.answer()

    @property
    def ended(self):
        return self.process.poll() is not None

    def answer(self):
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.errors.seek(0)
        tail = self.errors.read().decode(errors="replace").strip().splitlines()[-5:]
        return {"failed": "its process ended: " + " / ".join(tail)}

    def close(self):
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def _pin(threads):
    """Return what leaves a child as many cores as threads: not every pool can be told a number."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    return lambda: os.sched_setaffinity(0, cores[:threads])


class Pool:
    """The contenders' processes, started when they are first wanted.

    Parameters
    ----------
    pythons : dict
        The interpreter of a library, where it is not this one.
    threads : int
        How many there are when a case says all.
    peers : collection of names, or None
        Which peers may take part; all if None.
    """

    def __init__(self, pythons, threads, peers=None):
        self.pythons, self.threads, self.peers = pythons, threads, peers
        self.processes = {}
        self.versions = {}
        self.missing = {}

    def start(self, names, threads=0):
        """Return the processes of those contenders that are there, all started at once."""
        threads = threads or self.threads
        names = [name for name in names if name not in self.missing and self._may(name)]
        new = [name for name in names if (name, threads) not in self.processes
               or self.processes[name, threads].ended]
        for name in new:
            if (name, threads) in self.processes:
                self.processes[name, threads].close()
            self.processes[name, threads] = self._spawn(name, threads)
        for name in new:
            answer = self.processes[name, threads].answer()
            if "versions" not in answer:
                self.missing[name] = next(iter(answer.values()))
                self.processes.pop((name, threads)).close()
            elif name != "cydropout" and library(name) == "cydropout":
                continue
            else:
                self.versions |= answer["versions"]
        return [self.processes[name, threads] for name in names if name not in self.missing]

    def fresh(self, names):
        """Return new processes that no case has used, started at once; the caller closes them."""
        processes = [self._spawn(name, self.threads) for name in names]
        for process in processes:
            process.answer()
        return processes

    def _may(self, name):
        return self.peers is None or name in self.peers or library(name) == "cydropout"

    def _spawn(self, name, threads):
        return Process(name, threads, self.pythons.get(library(name), sys.executable))

    def close(self):
        for process in self.processes.values():
            process.close()
