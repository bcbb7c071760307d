"""scikit-learn: its multilayer perceptron, which has no dropout."""

import warnings

import sklearn
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from contenders import Base


class Contender(Base):
    versions = (("scikit-learn", sklearn.__version__),)

    def __init__(self, variant, threads):
        threadpool_limits(threads)

    def epoch(self, case, x, labels):
        model = MLPClassifier(
            case.hidden, batch_size=case.batch, max_iter=1, warm_start=True, random_state=0)

        def run():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that one epoch does not converge
                return model.fit(x, labels).loss_

        return run
