"""The progress bar of a training run."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from cydropout._optional import require
from cydropout._text import Screen
from cydropout._validate import check_flag
from cydropout.training.history import Mean

_SECONDS_BETWEEN_UPDATES = 0.1


def bar(total: int | None, done: int = 0, *, label: str = "", **options: Any) -> Any:
    """Return tqdm's bar of ``total`` things, of which ``done`` are there already."""
    return require("tqdm", "train").tqdm(
        total=total, initial=done, dynamic_ncols=True, desc=label, file=Screen(sys.stderr),
        disable=sys.stderr is None,  # as where Python runs without a terminal
        **options,
    )


def check_bar(progress: bool | str) -> None:
    """Raise if ``progress`` is neither a flag nor the label of a bar."""
    if not isinstance(progress, str):
        check_flag("progress", progress)


class Progress:
    """One bar for a whole run, in samples: epoch, loss, accuracy and samples per second.

    Parameters
    ----------
    show : bool or str
        Whether to show it; a string is shown, as a label in front.
    samples : int or None
        Samples in an epoch, where that is known.
    epochs, done : int
        Epochs in all, and samples already done by a resumed run.
    """

    def __init__(
        self, show: bool | str, *, samples: int | None, epochs: int, done: int
    ) -> None:
        self._label = f"{show}, " if isinstance(show, str) and show else ""
        self._epochs = epochs
        self._bar: Any = None
        self._pending = 0
        self._next = 0.0
        if show:
            total = None if samples is None else samples * epochs
            self._bar = bar(total, done, unit=" samples", unit_scale=True)

    def begin(self, epoch: int) -> None:
        """Show the number of the epoch that begins (from 1)."""
        if self._bar is not None:
            text = f"{self._label}epoch {epoch}/{self._epochs}"
            self._bar.set_description_str(text, refresh=False)

    def step(self, samples: int, mean: Mean) -> None:
        """Count a batch. Text is made a few times a second only: a small step is faster than it."""
        if self._bar is None:
            return
        self._pending += samples
        now = time.perf_counter()
        if now >= self._next:
            self._next = now + _SECONDS_BETWEEN_UPDATES
            self._show(mean.result())

    def end(self, record: Mapping[str, float]) -> None:
        """Show the record of a finished epoch."""
        if self._bar is not None:
            self._show({k: v for k, v in record.items() if k not in ("epoch", "seconds")})

    def _show(self, metrics: Mapping[str, float]) -> None:
        self._bar.set_postfix_str(
            " ".join(f"{k}={v:.4f}" for k, v in metrics.items()), refresh=False
        )
        self._bar.update(self._pending)
        self._pending = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
