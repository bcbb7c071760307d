"""Data of every kind of target, and estimators that are fitted to them."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from cydropout.sklearn import DropoutMLPClassifier as Classifier
from cydropout.sklearn import DropoutMLPRegressor as Regressor

KINDS = ("two", "three", "labels", "one", "many")
FRUITS = np.array(["apple", "fig", "kiwi"])


def data(kind, dtype="float64"):
    """Return samples and targets: fruits, labels as 0 and 1, or one or two numbers."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 6)).astype(dtype)
    z = x @ rng.normal(size=(6, 4)).astype(dtype)
    if kind == "two":
        return x, FRUITS[np.where(z[:, 0] > 0, 2, 0)]
    if kind == "three":
        return x, FRUITS[z[:, :3].argmax(axis=1)]
    if kind == "labels":
        return x, (z > 0).astype(int)
    return x, z[:, 0] if kind == "one" else z[:, :2]


def estimator(kind, **settings):
    settings = {"hidden_layer_sizes": (24,), "random_state": 0, "batch_size": 30, "tol": 0.0,
                "n_iter_no_change": 1000, **settings}
    return (Regressor if kind in ("one", "many") else Classifier)(**settings)


def fitted(kind, xy=None, weight=None, **settings):
    """Return an estimator after all of its epochs."""
    return refitted(estimator(kind, **settings), *(xy or data(kind)), weight)


def refitted(model, x, y, weight=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, y, sample_weight=weight)
