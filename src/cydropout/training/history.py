"""What a training run measured, one record per epoch, and its picture."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cydropout._files.replace import check_source, check_target, replace
from cydropout._optional import require

Record = dict[str, float]


class History:
    """The records of a run, one `dict` per epoch.

    A record holds ``epoch`` (from 1), ``loss``, ``accuracy`` where the loss defines one,
    ``val_loss`` and ``val_accuracy`` where there are validation data, and ``seconds``. ``loss``
    and ``accuracy`` are means over the epoch with dropout at work; the ``val_`` ones are
    measured at the end of the epoch without it.

    Parameters
    ----------
    records : iterable of dict, optional
        Records to start from, as a checkpoint holds them.

    Examples
    --------
    >>> history = History([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    >>> history["loss"]
    [0.5, 0.25]
    """

    def __init__(self, records: Iterable[Mapping[str, float]] = ()) -> None:
        self.records: list[Record] = [dict(record) for record in records]

    def append(self, record: Mapping[str, float]) -> None:
        """Add the record of one more epoch."""
        self.records.append(dict(record))

    def to_dict(self) -> dict[str, list[float]]:
        """Return one list per metric, a value per epoch; NaN where it was not measured."""
        names = dict.fromkeys(name for record in self.records for name in record)
        return {name: [r.get(name, float("nan")) for r in self.records] for name in names}

    def __getitem__(self, metric: str) -> list[float]:
        columns = self.to_dict()
        if metric not in columns:
            raise KeyError(f"no metric {metric!r} in this history; there are {sorted(columns)}")
        return columns[metric]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __repr__(self) -> str:
        return f"History({len(self)} epochs, last={self.records[-1] if self.records else None})"

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write one row per epoch, every number so that it reads back as the same float.

        The first row names the metrics; a cell is empty where one was not measured. An old file
        is replaced whole, or stays.
        """
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(self.to_dict()), restval="")
        writer.writeheader()
        writer.writerows(self.records)
        replace(check_target(path, "history"), [text.getvalue().encode()])

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str]) -> History:
        """Return the history that `to_csv` wrote; a `ValueError` names the line that is none."""
        with check_source(path, "history").open(newline="", encoding="utf-8") as file:
            records: list[Record] = []
            try:
                for row in csv.DictReader(file, strict=True):
                    record = {name: float(cell) for name, cell in row.items() if cell != ""}
                    records.append(record | {"epoch": int(record["epoch"])})
            except Exception as error:
                raise ValueError(
                    f"{os.fspath(path)!r}, line {len(records) + 2}, is no epoch of a history that "
                    f"to_csv wrote: {error!r}"
                ) from error
        return cls(records)

    def plot(self, path: str | os.PathLike[str], *, title: str | None = None) -> None:
        """Draw the learning curves into the file ``path``; its suffix decides the format."""
        plot_histories({"": self}, path, title=title)


class Mean:
    """Running means of loss and accuracy over the samples of an epoch, or their weights."""

    def __init__(self) -> None:
        self.count, self.weight, self.loss, self.hits = 0, 0.0, 0.0, 0.0
        self.has_accuracy = True

    def add(
        self, samples: int, loss: float, accuracy: float | None, weight: float | None = None
    ) -> None:
        """Count a batch of ``samples`` with these means, which may weigh another number."""
        weight = samples if weight is None else weight
        self.count += samples
        self.weight += weight
        self.loss += weight * float(loss)
        if accuracy is None:
            self.has_accuracy = False
        else:
            self.hits += weight * float(accuracy)

    def result(self) -> Record:
        """Return them as a record."""
        total = self.weight or math.nan
        record = {"loss": self.loss / total}
        return record | {"accuracy": self.hits / total} if self.has_accuracy else record


def plot_histories(
    histories: Mapping[str, History],
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
) -> None:
    """Draw the learning curves of several runs into one file.

    One panel per metric (loss, accuracy), one colour per run; training dashed, validation solid.

    Parameters
    ----------
    histories : mapping of str to History
        The runs under the names that the legend shows.
    path : path-like
        File to write; its suffix decides the format (``.png``, ``.svg``, ``.pdf``).
    title : str, optional
        Written above the panels.

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        When there is no epoch to draw.
    """
    metrics = [m for m in ("loss", "accuracy") if any(m in h.to_dict() for h in histories.values())]
    if not metrics:
        raise ValueError("nothing to plot: the history has no epoch yet; call fit first")
    figure, panels = figure_of(len(metrics))
    for panel, metric in zip(panels, metrics, strict=True):
        for number, (name, history) in enumerate(histories.items()):
            _draw(panel, metric, name, history, f"C{number}")
        panel.set_xlabel("epoch")
        panel.set_ylabel(metric)
    if title:
        figure.suptitle(title)
    save_figure(figure, path)


def figure_of(panels: int) -> tuple[Any, Any]:
    """Return a figure, and so many panels side by side in it."""
    # A figure with its own Agg canvas: pyplot would keep it alive and choose the user's backend.
    figure_class = require("matplotlib.figure", "train").Figure
    canvas_class = require("matplotlib.backends.backend_agg", "train").FigureCanvasAgg
    figure = figure_class(figsize=(5.2 * panels, 3.9), layout="constrained")
    canvas_class(figure)
    return figure, figure.subplots(1, panels, squeeze=False)[0]


def save_figure(figure: Any, path: str | os.PathLike[str]) -> None:
    """Give each panel a grid and a legend, and write the file."""
    for panel in figure.axes:
        panel.grid(alpha=0.3)
        if panel.get_legend_handles_labels()[1]:
            panel.legend()
    figure.savefig(check_target(path, "picture"), dpi=120)


def _draw(panel: Any, metric: str, name: str, history: History, color: str) -> None:
    columns = history.to_dict()
    for column, words, style in (
        (metric, "training", "--"),
        (f"val_{metric}", "validation", "-"),
    ):
        if column in columns:
            label = f"{name}, {words}" if name else words
            marker = "o" if len(history) == 1 else ""
            panel.plot(
                columns["epoch"], columns[column], style, color=color, label=label, marker=marker
            )
