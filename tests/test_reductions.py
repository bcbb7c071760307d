"""Sums over processes: in an order that is fixed, and of the statistics of a batch."""

import copy

import numpy as np
import pytest
from parallel_cases import Threads, X, model, normed, trained

from cydropout import Trainer, layers
from cydropout.layers import BatchNorm, Context, Dense, Sequential
from cydropout.training._parallel import Parallel
from cydropout.training._reductions import Ordered
from cydropout.training.losses import RDropLoss


@pytest.mark.parametrize("options", [
    {}, {"batch_size": 50}, {"batch_size": 10}, {"accumulate": 2}, {"loss": RDropLoss()},
    {"sample_weight": np.linspace(0, 2, 50), "make": lambda: model(l1=0.01)},
    {"make": lambda: Sequential([Dense(16), layers.BatchwiseDropout(0.5), Dense(3)])},
], ids=lambda options: "-".join(options) or "plain")
def test_ordered_sums_are_the_same_to_the_bit(options):
    options = {"batch_size": 23, **options, "reduction": "ordered"}
    expected = trained(**options)
    for size in (1, 2, 3, 4):
        for found in Threads(size).run(lambda comm: trained(comm, **options)):
            assert found[1:] == expected[1:]
            for one, other in zip(found[0], expected[0], strict=True):
                np.testing.assert_array_equal(one, other)
    fast, *_ = trained(**{**options, "reduction": "fast"})
    for one, other in zip(expected[0], fast, strict=True):
        np.testing.assert_allclose(one, other, 1e-3 if one.dtype == "f4" else 1e-8, 1e-6)


@pytest.mark.parametrize("samples", [7, 12, 100])
def test_sums_by_halves(samples):
    values = np.random.default_rng(0).standard_normal(12) * 10.0 ** np.arange(12)

    def halves(parts):
        middle = len(parts) // 2
        return parts[0] if middle == 0 else halves(parts[:middle]) + halves(parts[middle:])

    def total(comm):
        reduction = Ordered(comm)
        places, count = reduction.parts(samples)
        assert count == min(samples, 12)
        return reduction.total(([values[i : i + 1]] for i in places), samples)[0][0]

    for size in range(1, min(samples, 12) + 1):
        assert {*Threads(size).run(total)} == {halves(values[:samples])}


def test_a_reduction_that_is_unknown_or_for_fewer():
    with pytest.raises(ValueError, match="reduction 'exact' is unknown; use one of fast, ordered"):
        Trainer(model(), "mean_squared_error", "sgd", reduction="exact")
    with pytest.raises(ValueError, match="12 parts, which are too few for 13 processes"):
        Threads(13).run(lambda comm: trained(comm, reduction="ordered"))


def test_statistics_of_each_process_alone():
    def run(comm=None):
        return trained(comm, make=lambda: normed(synchronized=False), batch_size=25)[0]

    expected, found = run(), Threads(2).run(run)
    assert all(np.array_equal(one, other) for one, other in zip(*found, strict=True))
    assert not np.allclose(found[0][0], expected[0], 1e-3)
    # Of the first batch the averages move towards the mean of those of the processes.
    layer, x = BatchNorm(synchronized=False), X[:10]
    layer.build((12,), 0, "float64")

    def one(comm):
        own, rows = copy.deepcopy(layer), (x[:4], x[4:])[comm.rank]
        ctx = Context(True, sums=Parallel(comm, "fast").sums)
        own.forward(rows, ctx)[1](rows)
        return own.state_dict()

    for state in Threads(2).run(one):
        mean = 0.1 * (0.4 * x[:4].mean(0) + 0.6 * x[4:].mean(0))
        var = 0.9 + 0.1 * (0.4 * x[:4].var(0, ddof=1) + 0.6 * x[4:].var(0, ddof=1))
        np.testing.assert_allclose(state["running_mean"], mean)
        np.testing.assert_allclose(state["running_var"], var)


@pytest.mark.parametrize("sizes", [(5, 6), (1, 10), (0, 11), (3, 4, 4)])
@pytest.mark.parametrize("shift", [0.0, 1e5])
def test_statistics_of_all_processes(sizes, shift):
    layer = BatchNorm()
    layer.build((12,), 1, "float64")
    x, dy = X[:11] + shift, np.cos(X[:11])
    ends = np.cumsum([0, *sizes])

    def run(comm=None):
        own, rows, sums = copy.deepcopy(layer), slice(None), None
        if comm is not None:
            rows, sums = slice(*ends[comm.rank : comm.rank + 2]), Parallel(comm, "fast").sums
        y, backward = own.run(x[rows], Context(True, sums=sums), relu=True)
        dx = backward(dy[rows])
        return y, dx, [one.grad for one in own.parameters()[:2]], own.state_dict()

    y, dx, gradients, state = run()
    found = Threads(len(sizes)).run(run)
    for place, whole in enumerate((y, dx)):
        together = np.concatenate([one[place] for one in found])
        np.testing.assert_allclose(together, whole, 1e-7, 1e-7)
    for place, whole in enumerate(gradients):
        np.testing.assert_allclose(sum(one[2][place] for one in found), whole, 1e-7, 1e-7)
    for *_, own in found:
        for name, value in state.items():
            np.testing.assert_allclose(own[name], value, 1e-12)
