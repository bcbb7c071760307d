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
        return epoch_of(estimator(MLPClassifier, case), x, labels)

    def estimator(self, case):
        kind = MLPRegressor if case.operation == "regressor" else MLPClassifier
        return estimator(kind, case)

    def classifier(self, case, x, y):
        return epoch_of(self.estimator(case), x, y)

    regressor = classifier


def estimator(kind, case, **options):
    """Return an estimator of a kind that trains for an epoch with each `fit`."""
    return kind(hidden_layer_sizes=case.hidden, batch_size=case.batch, max_iter=1,
                warm_start=True, random_state=0, **options)


def epoch_of(model, x, y):
    """Return a run of one epoch of an estimator, which goes on from the last and returns the loss.

    The time is that of `fit`, with its checks of the data.
    """

    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that one epoch does not converge
            return float(model.fit(x, y).loss_curve_[-1])

    return run
