"""This library: `Trainer.fit`."""

import itertools
from functools import partial

import numpy as np

from cydropout import Trainer, predict_mc
from cydropout.functional import adam_step
from cydropout.layers import BatchwiseDropout, Dense, Dropout, ReLU, Sequential

#: What stands behind each hidden layer.
NOISE = {
    "nothing": None,
    "Dropout": Dropout,
    "scattered": BatchwiseDropout,
    "blocks": partial(BatchwiseDropout, block=16),
    "slice": partial(BatchwiseDropout, layout="slice"),
    "slice, lazy": partial(BatchwiseDropout, layout="slice", lazy=True),
}


def network(hidden, rate, noise=Dropout):
    layers = []
    for units in hidden:
        layers += [Dense(units, init="he"), ReLU()]
        layers += [noise(rate)] if noise and rate else []
    return Sequential([*layers, Dense(10)])


def monte_carlo(case, stream, x):
    model = network((512, 512), case.rate)
    model.build(x.shape[1:], 0)

    def run():
        found = predict_mc(
            model, x, 50, rng=stream, batch_size=len(x), outputs="logits", num_threads=None)
        return found.mean, found.std

    return run


def epoch(case, x, labels, noise="Dropout"):
    return fit(case, x, labels, trainer(network(case.hidden, case.rate, NOISE[noise])))


def trainer(model, **options):
    return Trainer(model, "softmax_cross_entropy", "adam", rng=0, **options)


def fit(case, x, labels, trainer):
    def run():
        history = trainer.fit(x, labels, epochs=1, batch_size=case.batch, progress=False)
        return history.records[-1]["loss"]

    return run


def products(case, x, labels):
    """Return a run of what a step cannot do without: the products, and Adam's pass."""
    sizes = [case.shape[1], *case.hidden, case.classes]
    rng = np.random.default_rng(0)
    weights = [
        rng.standard_normal((m, n), "f4") / np.float32(m) for m, n in itertools.pairwise(sizes)]
    states = [[np.zeros_like(w) for _ in range(3)] for w in weights]
    units = [np.ones((case.batch, n), "f4") for n in sizes]
    gradients = [np.ones_like(u) for u in units]
    settings = {"lr": 1e-9, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "step": 1}

    def run():
        for start in [*range(0, len(x) - case.batch + 1, case.batch)] * case.epochs:
            units[0] = x[start : start + case.batch]
            for i, w in enumerate(weights):
                np.matmul(units[i], w, out=units[i + 1])
            for i in range(len(weights) - 1, -1, -1):
                np.matmul(units[i].T, gradients[i + 1], out=states[i][0])
                if i:
                    np.matmul(gradients[i + 1], weights[i].T, out=gradients[i])
            for w, state in zip(weights, states, strict=True):
                adam_step(w, *state, **settings)
        return 0.0

    return run
