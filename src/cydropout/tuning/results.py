"""What a sweep found: scores by setting, and which setting is best."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import numpy as np

from cydropout.training.history import figure_of, save_figure


@dataclass(frozen=True)
class Candidate:
    """Rates by layer, and the scores of their runs.

    ``mean`` is over all folds and seeds, ``spread`` the standard deviation among them, and
    ``error`` that of the mean: ``spread / sqrt(n)``. One that was ``pruned`` has the scores of the
    folds until then alone, and is no candidate for the best.

    Examples
    --------
    >>> one = Candidate({"rate": 0.5}, (0.5, 0.75))
    >>> one.mean, round(one.spread, 3), one.error
    (0.625, 0.177, 0.125)
    """

    rates: dict[str, float]
    scores: tuple[float, ...]
    pruned: bool = False

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
    >>> scores = {0.2: (0.8, 0.9), 0.5: (0.9, 0.9)}
    >>> found = Sweep("accuracy", tuple(Candidate({"rate": p}, s) for p, s in scores.items()))
    >>> found.best.rates
    {'rate': 0.5}
    >>> print(found)
    | rate | accuracy | spread | |
    |---|---|---|---|
    | 0.2 | 0.8500 | 0.0707 |  |
    | 0.5 | 0.9000 | 0.0000 | best |
    """

    metric: str
    candidates: tuple[Candidate, ...]

    @property
    def best(self) -> Candidate:
        """The candidate with the best mean; of equal ones the first."""
        sign = 1 if self.metric == "loss" else -1
        return min(self._whole(), key=lambda one: sign * one.mean)

    @property
    def near(self) -> tuple[Candidate, ...]:
        """Those whose mean lies within one standard error of the best one's."""
        best = self.best
        return tuple(c for c in self._whole() if abs(c.mean - best.mean) <= best.error)

    def _whole(self) -> list[Candidate]:
        return [one for one in self.candidates if not one.pruned]

    def table(self) -> str:
        """Return a table in Markdown: rates, mean, spread; the best one is marked."""
        names, best = list(self.candidates[0].rates), self.best
        head = [*names, self.metric, "spread", ""]
        near = self.near
        lines = [f"| {' | '.join(head)} |".replace("  ", " "), "|---" * len(head) + "|"]
        for one in self.candidates:
            rates = " | ".join(f"{rate:g}" for rate in one.rates.values())
            mark = "pruned" if one.pruned else "best" if one is best else ""
            mark = mark or ("near" if one in near else "")
            lines.append(f"| {rates} | {one.mean:.4f} | {one.spread:.4f} | {mark} |")
        return "\n".join(lines)

    __str__ = table

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw score against rate, a panel per layer, with the mean and its spread.

        Where several layers are swept, a panel shows the scores of all settings of the others.
        """
        names, best = list(self.candidates[0].rates), self.best
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
            label = f"best: {best.rates[name]:g}"
            panel.axvline(best.rates[name], color="C1", linestyle="--", label=label)
            panel.set_xlabel(name)
            panel.set_ylabel(self.metric)
        save_figure(figure, path)
