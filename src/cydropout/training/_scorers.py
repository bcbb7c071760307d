"""Scorers of scikit-learn as metrics: asked of an estimator whose predictions are there already."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from cydropout import _sklearn
from cydropout._samples import spread
from cydropout._validate import ArgumentTypeError
from cydropout._words import did_you_mean

if TYPE_CHECKING:
    from cydropout.training.losses import Loss

Array = np.ndarray[Any, Any]


class Values:
    """An estimator's methods, whatever the samples."""

    guess: Array

    def predict(self, x: Any) -> Array:
        """Return what was predicted."""
        return self.guess


class Classes(Values):
    """A classifier's methods."""

    rows: Array
    classes_: Array

    def predict_proba(self, x: Any) -> Array:
        """Return the probabilities that were predicted."""
        return self.rows


class Scorer:
    """A scorer, ``scorer(estimator, X, y)``, to be called with predictions and targets.

    Examples
    --------
    >>> from cydropout.training import losses
    >>> z = np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [1.0, 0.0]])
    >>> loss = losses.SoftmaxCrossEntropy()
    >>> Scorer("balanced_accuracy")(z, np.array([0, 1, 0, 1]), loss)
    0.75
    """

    def __init__(self, scorer: Any) -> None:
        if isinstance(scorer, str):
            metrics, name = _sklearn.part("metrics", "sklearn"), scorer
            known = metrics.get_scorer_names()
            if name not in known:
                raise ValueError(
                    f"metric {name!r} is no scorer of scikit-learn"
                    f"{did_you_mean(name, known) or '; see sklearn.metrics.get_scorer_names()'}"
                )
            scorer = metrics.get_scorer(name)
        else:
            name = getattr(getattr(scorer, "_score_func", scorer), "__name__", str(scorer))
        self.scorer, self.__name__ = scorer, name

    def __call__(
        self, prediction: Array, target: Array, loss: Loss, sample_weight: Array | None = None
    ) -> Any:
        """Return the score of all positions that count; the loss says what predictions mean."""
        weighs = takes_weights(getattr(self.scorer, "_score_func", self.scorer))
        own = sample_weight if weighs else None
        probabilities = loss.probabilities(prediction)
        if probabilities is None:
            if prediction.size == target.size:
                prediction = prediction.reshape(target.shape)
            made = _fitted("RegressorMixin", Values, guess=prediction)
            return self.scorer(made, prediction, target, **_weighed(own))
        target, weight = loss.counted(target, prediction.shape)
        labels, classes = loss.labels(target, prediction.shape[1:])
        if labels.shape == probabilities.shape[:-1]:  # the last axis are classes
            counts = slice(None) if weight is None else weight.reshape(-1) > 0
            rows = probabilities.reshape(-1, classes)[counts]
            guess = rows.argmax(axis=1)
            own = None if own is None else spread(own, labels.shape).reshape(-1)[counts]
            labels = labels.reshape(-1)[counts]
        else:
            rows = probabilities.reshape(len(probabilities), -1)
            guess, labels = (rows > 0.5).astype(np.int64), labels.reshape(rows.shape)
            if rows.shape[1] == 1:
                guess, labels = guess[:, 0], labels[:, 0]
                rows = np.concatenate([1 - rows, rows], axis=1)
        made = _fitted("ClassifierMixin", Classes, guess=guess, rows=rows,
                       classes_=np.arange(classes))
        return self.scorer(made, guess, labels, **_weighed(own))


def takes_weights(metric: Any) -> bool:
    """Whether a function takes weights of samples."""
    try:
        return "sample_weight" in inspect.signature(metric).parameters
    except (TypeError, ValueError):  # of a builtin function
        return False


def _weighed(weight: Array | None) -> dict[str, Array]:
    return {} if weight is None else {"sample_weight": weight}


def as_scorer(metric: Any) -> Any:
    """Return a metric; a name, and what takes an estimator, samples and targets, as a `Scorer`.

    Raises
    ------
    TypeError
        For a function of scikit-learn, which takes the targets first.
    """
    if isinstance(metric, str):
        return Scorer(metric)
    if not callable(metric) or isinstance(metric, (type, Scorer)):
        return metric
    try:
        found = inspect.signature(metric).parameters.values()
    except (TypeError, ValueError):  # of a builtin function
        return metric
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if sum(one.default is one.empty and one.kind in places for one in found) == 3:
        return Scorer(metric)
    function = getattr(metric, "func", metric)
    if str(getattr(function, "__module__", "")).startswith("sklearn."):
        name = getattr(function, "__name__", "metric")
        raise ArgumentTypeError(
            f"metric {name!r}: functions of scikit-learn take targets first, and what they take as "
            f"predictions differs; give the name of a scorer, as 'f1' or 'r2', or "
            f"sklearn.metrics.make_scorer({name})"
        )
    return metric


def _fitted(kind: str, face: type, **predicted: Array) -> Any:
    """Return an estimator of a kind of scikit-learn's, with what it has predicted."""
    base = _sklearn.part("base", "sklearn")
    made = type(face.__name__, (getattr(base, kind), face, base.BaseEstimator), {})()
    vars(made).update(predicted)
    return made
