"""What is measured without dropout: the loss, its accuracy, and functions of the user."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from cydropout._validate import ArgumentTypeError, check_function, shown
from cydropout.training._batch import Batch
from cydropout.training._scorers import Scorer, as_scorer, takes_weights
from cydropout.training.history import Mean, Record
from cydropout.training.losses import Loss

Array = np.ndarray[Any, Any]
Metrics = dict[str, Callable[..., Any]]
_TAKEN = ("epoch", "loss", "accuracy", "seconds")


def as_metrics(metrics: Any) -> Metrics:
    """Return metrics by their names: of a mapping, or of functions, which have names themselves.

    A name alone, and what takes an estimator, samples and targets, is a scorer of scikit-learn.

    Examples
    --------
    >>> [*as_metrics([max, min])], [*as_metrics({"largest": max})]
    (['max', 'min'], ['largest'])
    """
    if isinstance(metrics, Mapping):
        metrics = {name: as_scorer(one) for name, one in metrics.items()}
    else:
        listed = metrics if np.iterable(metrics) and not isinstance(metrics, str) else [metrics]
        metrics = {getattr(one, "__name__", str(one)): one for one in map(as_scorer, listed)}
    for name, one in metrics.items():
        check_function(f"metric {name!r}", one, "predictions and targets")
        if name in _TAKEN:
            raise ValueError(f"metric {name!r} is measured already; give it another name")
    return dict(metrics)


def measure(
    batches: Iterable[Batch], infer: Callable[..., Array], loss: Loss, metrics: Metrics
) -> Record:
    """Return the means of the loss and its accuracy, and each metric of all predictions.

    Metrics that take a ``sample_weight`` get the weights, where there are some. Of sequences with
    lengths a metric gets the positions that are no padding.
    """
    mean, kept, weights = Mean(), [], []
    for batch in batches:
        prediction = infer(batch.x, batch.lengths)
        value, _, accuracy, total = loss.measured(prediction, *batch.own)
        mean.add(len(batch.x), value, accuracy, batch.counts(total))
        if metrics:
            where = slice(None) if batch.real is None else batch.real
            kept.append((prediction[where], batch.y[where]))
            weights.append(None if batch.weight is None else batch.weight[where])
    found = mean.result()
    if metrics:
        arrays = [np.concatenate(parts) for parts in zip(*kept, strict=True)]
        more = _weights(weights, [len(part) for part, _ in kept])
        found |= {name: _number(name, one(*arrays, *[loss] * isinstance(one, Scorer),
                                          **more if takes_weights(one) else {}))
                  for name, one in metrics.items()}
    return found


def _weights(parts: list[Any], counts: list[int]) -> dict[str, Array]:
    """Return the weights of all batches, 1 where a batch brought none, if any did."""
    shapes = [part.shape[1:] for part in parts if part is not None]
    return {} if not shapes else {"sample_weight": np.concatenate([
        np.ones((count, *shapes[0])) if part is None else part
        for part, count in zip(parts, counts, strict=True)])}


def _number(name: str, value: Any) -> float:
    if np.ndim(value) or np.asarray(value).dtype.kind not in "biuf":
        raise ArgumentTypeError(f"metric {name!r} must return one number, not {shown(value)}")
    return float(value)
