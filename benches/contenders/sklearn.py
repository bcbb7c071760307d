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
        return epoch_of(MLPClassifier, case, x, labels)

    def classifier(self, case, x, labels):
        return epoch_of(MLPClassifier, case, x, labels)

    def regressor(self, case, x, y):
        return epoch_of(MLPRegressor, case, x, y)


def epoch_of(kind, case, x, y, **options):
    """Return a run of one epoch of an estimator, which goes on from the last and returns the loss.

    The time is that of `fit`, with its checks of the data.
    """
    model = kind(hidden_layer_sizes=case.hidden, batch_size=case.batch, max_iter=1,
                 warm_start=True, random_state=0, **options)

    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that one epoch does not converge
            return float(model.fit(x, y).loss_curve_[-1])

    return run
