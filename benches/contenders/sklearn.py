"""scikit-learn: its multilayer perceptron, which has no dropout."""

import warnings

import sklearn
from sklearn.neural_network import MLPClassifier, MLPRegressor
from threadpoolctl import threadpool_limits

from contenders import Base


class Contender(Base):
    versions = (("scikit-learn", sklearn.__version__),)

    def __init__(self, variant, threads):
        threadpool_limits(threads)

    def epoch(self, case, x, labels):
        return fit_of(estimator(MLPClassifier, case), x, labels)

    def estimator(self, case):
        kind = MLPRegressor if case.operation == "regressor" else MLPClassifier
        return estimator(kind, case)

    def classifier(self, case, x, y):
        return fit_of(self.estimator(case), x, y)

    regressor = classifier


def estimator(kind, case, **options):
    """Return an estimator of a kind that trains for the case's epochs with each `fit`."""
    return kind(hidden_layer_sizes=case.hidden, batch_size=case.batch, max_iter=case.epochs,
                n_iter_no_change=10**9, warm_start=True, random_state=0, **options)


def fit_of(model, x, y):
    """Return a run of an estimator, which goes on from the last and returns the loss.

    The time is that of `fit`, with its checks of the data.
    """

    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that so few epochs do not converge
            return float(model.fit(x, y).loss_curve_[-1])

    return run
