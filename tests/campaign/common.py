"""What campaigns share: seeds, checks and their report, a page that keeps it, processes."""

from __future__ import annotations

import argparse
import datetime
import multiprocessing
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
PAGE = ROOT / "docs" / "proofs.md"
sys.path[:0] = [str(folder) for folder in (TESTS, TESTS / "campaign")]


class Skip(Exception):
    """Why a check cannot be made here."""


@dataclass
class Job:
    """What a check is given: how much to do, random numbers of its own, an empty directory."""

    long: bool
    seed: int
    rng: np.random.Generator
    moments: random.Random
    folder: Path
    arguments: list[str]

    def size(self, short: Any, long: Any) -> Any:
        """Return how much to do."""
        return long if self.long else short


class Campaign:
    """Checks, each of which returns what it did, or raises."""

    def __init__(self, file: str, doc: str) -> None:
        self.name, self.doc = Path(file).stem, doc
        self.checks: dict[str, Callable[[Job], str]] = {}

    def check(self, function: Callable[[Job], str]) -> Callable[[Job], str]:
        """Enter a check."""
        self.checks[function.__name__] = function
        return function

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Make the checks; return 1 if one found a fault."""
        parser = argparse.ArgumentParser(
            description=self.doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        add_options(parser)
        parser.add_argument("--long", action="store_true", help="the long form")
        parser.add_argument("--only", action="append", choices=[*self.checks], help="this check")
        parser.add_argument("rest", nargs="*", help="what a check takes besides")
        chosen = parser.parse_args(arguments)
        report = Report(self.name, sys.argv[1:] if arguments is None else arguments)
        report.say(f"seed {chosen.seed}")
        counts = {"right": 0, "wrong": 0, "skipped": 0}
        for name in chosen.only or self.checks:
            own, began = [chosen.seed, zlib.crc32(name.encode())], time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                job = Job(chosen.long, chosen.seed, np.random.default_rng(own),
                          random.Random(str(own)), Path(folder), chosen.rest)
                try:
                    kind, text = "right", self.checks[name](job)
                except Skip as reason:
                    kind, text = "skipped", f"skipped: {reason}"
                except Exception:
                    kind, text = "wrong", f"WRONG\n{traceback.format_exc(limit=-4)}"
            counts[kind] += 1
            report.say(f"{name}: {text} ({time.perf_counter() - began:.0f} s)")
        report.say(f"{self.name}: " + ", ".join(f"{n} {kind}" for kind, n in counts.items()))
        report.keep(chosen.page)
        return int(counts["wrong"] > 0)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what every campaign takes."""
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", action="store_true", help=f"keep the report on {PAGE.name}")


class Report:
    """Lines that are printed, and kept on the page of proofs under the name of the campaign."""

    def __init__(self, name: str, arguments: Sequence[str]) -> None:
        self.name, words = name, [word for word in arguments if word != "--page"]
        self.lines: list[str] = []
        self.say(" ".join(["$ python", f"tests/campaign/{name}.py", *words]))
        self.say(machine())

    def say(self, line: str) -> None:
        """Print a line."""
        self.lines.append(line)
        print(line, flush=True)

    def keep(self, wanted: bool) -> None:
        """Put the lines in the place of those that the page has."""
        if wanted:
            text, found = PAGE.read_text(encoding="utf-8"), "\n".join(self.lines)
            begin, end = f"<!-- {self.name} -->", f"<!-- end of {self.name} -->"
            if begin not in text:
                raise ValueError(f"{PAGE} has no section {begin}")
            body = f"{begin}\n```text\n{found}\n```\n{end}"
            old = re.escape(begin) + ".*?" + re.escape(end)
            PAGE.write_text(re.sub(old, lambda _: body, text, flags=re.DOTALL), encoding="utf-8")


def machine() -> str:
    """Return where figures come from."""
    import cydropout
    from cydropout._machine import available_cores, cpu_name

    config = cydropout.show_config("dicts")
    return (f"{datetime.date.today()}, {cpu_name()}, {available_cores()[0]} cores, "
            f"{platform.machine()}; cydropout {config['version']}, build {config['build']}; "
            f"Python {config['python']}, NumPy {config['numpy']}")


def run(command: Sequence[Any], *, timeout: float = 7200, **more: Any) -> str:
    """Return what a process prints; raise with its last lines if it fails."""
    environment = os.environ | {name: str(value) for name, value in more.pop("env", {}).items()}
    done = subprocess.run(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", timeout=timeout, env=environment, check=False, **more)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))[:300]}\n"
                             f"ended by {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout


def forked(function: Callable[..., object], *arguments: Any) -> Any:
    """Start a process that has all modules already, and begins with a function."""
    if "fork" not in multiprocessing.get_all_start_methods():
        raise Skip("this system has no fork")
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    return process
