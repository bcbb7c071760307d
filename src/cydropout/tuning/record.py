"""The scores of a sweep, in a file that a stopped sweep goes on from."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cydropout.tuning.runs import Job


class ScoreRecord:
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
        """Keep the score of a job, in the file too."""
        self.scores[job] = score
        if self.path is not None:
            rates, fold, seed = job
            line = {"rates": dict(rates), "fold": fold, "seed": seed, "score": score}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
