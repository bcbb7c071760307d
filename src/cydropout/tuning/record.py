"""The scores of a sweep, in a file that a stopped sweep goes on from."""

from __future__ import annotations

import json
import os
from collections.abc import Container, Mapping
from typing import Any

from cydropout._files.replace import check_target
from cydropout._validate import check_integer, check_number, check_one_rate
from cydropout.training._configuration import differences
from cydropout.tuning.runs import Job


class ScoreRecord:
    """The scores, in memory and in a file: one line of JSON for the sweep, and one for each score.

    A line is only ever added, in one write, and taken back where the disk is too full for it. A
    part of a last line, which a crash can leave, is cut off before the next one is added.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None, sweep: Mapping[str, Any], jobs: Container[Job]
    ) -> None:
        self.path = None if path is None else check_target(path, "record")
        self.scores: dict[Job, float] = {}
        if self.path is None:
            return
        *lines, rest = (self.path.read_bytes() if self.path.exists() else b"").split(b"\n")
        self._part = rest
        if lines or rest:
            self._compare(lines[0] if lines else rest, sweep)
        for number, line in enumerate(lines[1:], 2):
            if line == lines[0]:
                continue  # two sweeps began the file at the same moment
            try:
                job, score = _job(**json.loads(line))
                if job not in jobs:
                    raise KeyError(job)
                self.scores[job] = score
            except Exception as error:
                raise ValueError(
                    f"{str(self.path)!r}, line {number}, is damaged: it holds no score of a run of "
                    f"this sweep, but {line[:80]!r} ({type(error).__name__}); delete the line"
                ) from error
        if not lines:
            self._append(sweep)

    def _compare(self, line: bytes, sweep: Mapping[str, Any]) -> None:
        """Raise if the first line of the file is not what it would be here."""
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or found.keys() != sweep.keys():
            raise ValueError(
                f"{str(self.path)!r} is no record of a sweep, by its line 1; choose another file"
            )
        for name, there, here in differences(found, sweep, ""):
            raise ValueError(
                f"{str(self.path)!r}, line 1, is the record of another sweep: {name} is {there!r} "
                f"there and {here!r} here; choose another file"
            )

    def add(self, job: Job, score: float) -> None:
        """Keep the score of a job, in the file too."""
        self.scores[job] = check_number(f"the score of {_entry(job)}", score)
        if self.path is not None:
            self._append(_entry(job) | {"score": score})

    def _append(self, entry: Mapping[str, Any]) -> None:
        assert self.path is not None
        line = json.dumps(entry).encode() + b"\n"
        with self.path.open("a+b", buffering=0) as file:
            if self._part:
                place = file.tell() - len(self._part)
                file.seek(place)
                if file.read() == self._part:  # and no other sweep has cut it off
                    file.truncate(place)
                self._part = b""
            written = file.write(line)
            if written < len(line):
                file.truncate(file.tell() - written)
                raise OSError(f"{str(self.path)!r}: the disk is full")
            os.fsync(file.fileno())


def _job(rates: Any, fold: Any, seed: Any, score: Any) -> tuple[Job, float]:
    """Return what an entry says, with no other keys than these, if it is a run and its score."""
    named = tuple((name, check_one_rate(rate, "a run")) for name, rate in rates.items())
    fold, seed = (check_integer("an entry", value, "[0, inf)") for value in (fold, seed))
    return (named, fold, seed), check_number("score", score)


def _entry(job: Job) -> dict[str, Any]:
    rates, fold, seed = job
    return {"rates": dict(rates), "fold": fold, "seed": seed}
