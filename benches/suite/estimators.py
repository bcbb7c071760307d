"""The estimators beside scikit-learn's: whether they learn as well, and how long it takes."""

import math
import warnings

import numpy as np

from suite.expect import WrongResult

#: Of an epoch over scikit-learn's, at most, by the size of the batches.
TIME = {200: 1 / 2, 32: 1 / 3}
#: By how many standard deviations, of so many test samples, a test error may be above theirs.
SIGMAS = 3


def inputs(case):
    """Return digits, or a table: classes or numbers of a network with random weights, and noise."""
    if case.shape[1] == 64:
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
        return (x[: case.shape[0]] / 16).astype("f4"), y[: case.shape[0]]
    rng = np.random.default_rng(0)
    x = rng.standard_normal(case.shape, "f4")
    z = np.tanh(x @ rng.standard_normal((case.shape[1], 20), "f4") / case.shape[1] ** 0.5)
    z = z @ rng.standard_normal((20, 10), "f4") + rng.standard_normal((len(x), 10), "f4")
    return x, z.argmax(axis=1) if case.operation == "classifier" else 4.5 + z[:, 0]


def epochs(case):
    """Return how many epochs come before the test."""
    return 10 if case.shape[0] > 10_000 else 50


def tested(case):
    """Return how many samples are kept for the test: the last ones."""
    return case.shape[0] // 10


def test_error(model, case, x, y):
    """Return what a model gets wrong after some epochs: classes, or the variance, in %."""
    held = tested(case)
    model.set_params(max_iter=epochs(case), n_iter_no_change=epochs(case) + 1, warm_start=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that so few epochs do not converge
        model.fit(x[:-held], y[:-held])
    return 100 * (1 - model.score(x[-held:], y[-held:]))


def bound(case, error):
    """Return the largest error that is no worse, but for the noise of the test samples.

    Of classes ``3 sqrt(2 e (1 - e) / n)`` above an error e, for numbers ``3 e sqrt(4 / n)``.
    """
    share, n = error / 100, tested(case)
    noise = (2 * share * (1 - share) if case.operation == "classifier" else 4 * share**2) / n
    return error + 100 * SIGMAS * math.sqrt(noise)


def check(outcome):
    """Raise WrongResult if the same network, without dropout, learns less than scikit-learn's."""
    ours, theirs = outcome.find("cydropout"), outcome.find("scikit-learn")
    if outcome.case.rate or not (ours and theirs):
        return
    most = bound(outcome.case, theirs.median)
    if not ours.median <= most:
        raise WrongResult(f"{outcome.case.title()}: the test error is {ours.median:.2f} %, more "
                          f"than the {theirs.median:.2f} % of scikit-learn and noise, {most:.2f} %")
