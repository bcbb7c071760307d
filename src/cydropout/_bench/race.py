"""The contenders take turns; what they needed, as a table and a picture."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cydropout._bench.contender import CONTENDERS
from cydropout.training.history import figure_of, save_figure

SIZES = (2**12, 2**16, 2**20, 2**23)
ROUNDS = 5
REST = 0.01  # seconds for the last contender's threads to fall asleep
COPY = "scale copy"
_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

#: Nanoseconds for an element: by contender, one for each size.
Times = dict[str, list[float]]


class Process:
    """A contender; what it says first is its version, or that its library is missing."""

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cydropout._bench.contender", name, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=os.environ | dict.fromkeys(_POOLS, str(threads)),
        )

    def hear(self) -> dict[str, Any]:
        """Return the next answer."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ChildProcessError(f"the process of {self.name} ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Send a request and return the answer."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended; `hear` says so
            self._process.stdin.write(json.dumps({"do": do} | request) + "\n")
            self._process.stdin.flush()
        return self.hear()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


@contextlib.contextmanager
def started(threads: int) -> Iterator[tuple[dict[str, Process], dict[str, str]]]:
    """Start all at once; give the processes of those that are installed, and their versions."""
    processes = {name: Process(name, threads) for name in CONTENDERS}
    try:
        versions = {name: process.hear().get("version") for name, process in processes.items()}
        there = {name: process for name, process in processes.items() if versions[name]}
        yield there, {name: str(versions[name]) for name in there}
    finally:
        for process in processes.values():
            process.close()


def race(processes: dict[str, Process], rate: float) -> Times:
    """Return the medians of each, and the copy of the one that copies fastest.

    Raises
    ------
    ArithmeticError
        If a result is no dropout.
    """
    times: Times = {name: [] for name in (COPY, *processes)}
    for size in SIZES:
        for name, process in processes.items():
            if not process.ask("prepare", size=size, rate=rate)["right"]:
                raise ArithmeticError(f"{name} gave a result that is no dropout of rate {rate}")
        turns: dict[str, list[list[float]]] = {name: [] for name in processes}
        for _ in range(ROUNDS):
            for name, process in processes.items():
                time.sleep(REST)
                turns[name].append(process.ask("turn")["seconds"])
        medians = {name: np.median(found, axis=0) * 1e9 / size for name, found in turns.items()}
        times[COPY].append(min(float(copy) for copy, _ in medians.values()))
        for name, (_, dropout) in medians.items():
            times[name].append(float(dropout))
    return times


def words(size: int) -> str:
    """Return a size as in "64 Ki"."""
    return f"{size // 2**20} Mi" if size >= 2**20 else f"{size // 2**10} Ki"


def table(times: Times) -> str:
    """Return the table: ns for an element, and in brackets how many copies that is."""
    lines = [f"{'ns/element':<12}" + "".join(f"{words(size):>18}" for size in SIZES)]
    for name, found in times.items():
        cells = [f"{ns:.3f}" if name == COPY else f"{ns:.3f} ({ns / copy:.1f})"
                 for ns, copy in zip(found, times[COPY], strict=True)]
        lines.append(f"{name:<12}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)


def draw(times: Times, path: Path, title: str) -> None:
    """Draw the times against the size."""
    figure, (panel,) = figure_of(1)
    for name, found in times.items():
        style = {"color": "black", "linestyle": "--"} if name == COPY else {"marker": "o"}
        panel.plot(SIZES, found, label=name, **style)
    panel.set(xscale="log", yscale="log", xlabel="elements", ylabel="ns/element")
    panel.set_title(title, fontsize=8)
    save_figure(figure, path)
