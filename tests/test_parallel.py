"""Several processes that train as one: masks to the bit, steps to rounding, errors for all."""

import json
import pickle
import threading

import numpy as np
import pytest
from layer_cases import ROWS
from processes import launched

from cydropout import Trainer, layers
from cydropout.layers import BatchNorm, Dense, Dropout, ReLU, Sequential
from cydropout.training._reductions import Ordered
from cydropout.training.callbacks import EarlyStopping, Guard, TensorBoard
from cydropout.training.losses import RDropLoss

TRAINED = sorted(
    name for name, row in ROWS.items()
    if row.make().by_rows and len(row.shape) > 1 and not row.shortens
)


class Threads:
    """What `Parallel` needs of a communicator, of threads: one for each rank."""

    def __init__(self, size):
        self.size, self._rank = size, threading.local()
        self._places, self._barrier = [None] * size, threading.Barrier(size, timeout=60)

    rank = property(lambda self: self._rank.value)

    def allgather(self, value):
        self._places[self.rank] = pickle.dumps(value)
        self._barrier.wait()
        found = [pickle.loads(one) for one in self._places]
        self._barrier.wait()
        return found

    def Allreduce(self, mine, total):
        total[...] = sum(self.allgather(mine.copy()))

    def bcast(self, value, root):
        return self.allgather(value)[root]

    def Abort(self, code):
        self._barrier.abort()

    def run(self, function):
        """Return what the function gives on each rank; raise the first error."""
        found, errors = [None] * self.size, []

        def one(rank):
            self._rank.value = rank
            try:
                found[rank] = function(self)
            except BaseException as error:
                errors.append((isinstance(error, threading.BrokenBarrierError), rank, error))

        team = [threading.Thread(target=one, args=(rank,)) for rank in range(self.size)]
        for thread in team:
            thread.start()
        for thread in team:
            thread.join()
        if errors:
            raise min(errors, key=lambda one: one[:2])[2]
        return found


X = np.random.default_rng(0).standard_normal((50, 12))
Y = np.random.default_rng(1).integers(0, 3, 50)


def model(**options):
    return Sequential([Dense(16, **options), ReLU(), Dropout(0.5), layers.LayerNorm(), Dense(3)],
                      dtype="float64")


def trained(comm=None, loss="softmax_cross_entropy", rng=7, optimizer="adam", make=model,
            reduction="fast", **fit):
    trainer = Trainer(make(), loss, optimizer, rng=rng, comm=comm, clip_norm=0.5,
                      reduction=reduction)
    fit["callbacks"] = fit["callbacks"]() if callable(fit.get("callbacks")) else fit.get(
        "callbacks", ())
    history = trainer.fit(X, Y, **{"epochs": 3, "batch_size": 16, "progress": False, **fit})
    records = [{k: v for k, v in one.items() if k != "seconds"} for one in history.records]
    return list(trainer.model.state_dict().values()), records, trainer.stream.next_draw


@pytest.mark.parametrize("options", [
    {}, {"make": lambda: model(l2=0.01)}, {"loss": RDropLoss()}, {"optimizer": "sgd"},
    {"sample_weight": np.linspace(0, 2, 50)}, {"class_weight": {0: 3.0}},
    {"validation_data": (X, Y), "callbacks": lambda: [EarlyStopping("val_loss", patience=1)]},
    {"shuffle": False, "drop_last": True}, {"accumulate": 2}, {"accumulate": 3, "batch_size": 9},
    {"accumulate": 2, "make": lambda: model(l2=0.01), "class_weight": {1: 2.0}},
], ids=lambda options: "-".join(options) or "plain")
@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_run_of_several_is_the_run_of_one(size, options):
    if "batch_size" not in options and size > 2 and not options.get("drop_last"):
        options = {**options, "batch_size": 25}
    expected, records, draws = trained(**options)
    found = Threads(size).run(lambda comm: trained(comm, **options))
    for values, own, taken in found:
        assert taken == draws and len(own) == len(records)
        for one, other in zip(values, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
        for one, other in zip(own, records, strict=True):
            assert one == pytest.approx(other, rel=1e-9)
    for values, _, _ in found[1:]:
        for one, other in zip(values, found[0][0], strict=True):
            np.testing.assert_array_equal(one, other)


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


def test_checkpoints_know_no_ranks(tmp_path):
    expected, *_ = trained(epochs=4)

    def two(comm):
        trained(comm, epochs=2, checkpoint=tmp_path / "run")
        comm.allgather(None)  # the file is whole then
    Threads(2).run(two)
    found = Threads(1).run(
        lambda comm: trained(comm, epochs=4, checkpoint=tmp_path / "run", resume=True))
    for one, other in zip(found[0][0], expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("change", "words"), [
    ({"rng": lambda rank: rank}, "different stream|different weights"),
    ({"batch_size": lambda rank: 10 + rank}, "different settings"),
    ({"optimizer": lambda rank: ("adam", "sgd")[rank]}, "different settings"),
])
def test_what_differs_between_ranks_is_an_error_for_all(change, words):
    def run(comm):
        return trained(comm, **{name: value(comm.rank) for name, value in change.items()})

    with pytest.raises(ValueError, match=words):
        Threads(2).run(run)


@pytest.mark.parametrize(("options", "words"), [
    ({"make": lambda: Sequential([Dense(4), BatchNorm(), Dense(3)])}, r"1.batchnorm \(BatchNorm\)"),
    ({"batch_size": 49}, "smallest batch has 1 samples for 2 processes"),
])
def test_what_cannot_be_shared_out_is_named(options, words):
    with pytest.raises(ValueError, match=words):
        Threads(2).run(lambda comm: trained(comm, **options))


@pytest.mark.parametrize(("options", "words"), [
    ({"epochs": lambda rank: 2 + rank}, "different epochs"),
    ({"resume": lambda rank: rank == 0}, "different epochs|different weights"),
])
def test_what_parts_later_is_an_error_for_all(options, words, tmp_path):
    trained(epochs=1, checkpoint=tmp_path / "run")

    def run(comm):
        own = {name: value(comm.rank) for name, value in options.items()}
        return trained(comm, checkpoint=tmp_path / "run", **own)

    with pytest.raises(ValueError, match=words):
        Threads(2).run(run)


def test_the_first_process_says_whether_to_stop():
    def run(comm):
        def stops(trainer, epoch, record):
            trainer.stop_training = comm.rank == 0 and epoch == 2
        return trained(comm, callbacks=[stops])

    assert [len(records) for _, records, _ in Threads(2).run(run)] == [2, 2]


@pytest.mark.parametrize("callback", [Guard, TensorBoard])
def test_callbacks_of_whole_batches_are_named(callback, tmp_path):
    made = callback(tmp_path) if callback is TensorBoard else callback()
    with pytest.raises(ValueError, match=f"{callback.__name__} reads whole batches"):
        Threads(2).run(lambda comm: trained(comm, callbacks=[made]))


def test_a_loss_that_is_not_known_by_positions_is_named():
    def loss(prediction, target):
        return float(prediction.std()), np.zeros_like(prediction)

    with pytest.raises(ValueError, match="cannot be shared out"):
        Threads(2).run(lambda comm: trained(comm, loss=loss))


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("name", TRAINED)
def test_every_layer_is_trained_as_in_one_process(name, size):
    row = ROWS[name]
    x = np.random.default_rng(1).standard_normal((13, *row.shape[1:]))

    def run(comm=None):
        made = Sequential([row.make(), layers.Flatten(), Dense(2)], dtype="float64")
        trainer = Trainer(made, "mean_squared_error", "sgd", rng=2, comm=comm)
        trainer.fit(x, np.ones((13, 2)), epochs=2, batch_size=5, progress=False)
        return trainer.model.state_dict(), trainer.stream.next_draw

    expected, draws = run()
    for found, taken in Threads(size).run(run):
        assert taken == draws
        for key, value in expected.items():
            np.testing.assert_allclose(found[key], value, 1e-8, 1e-10, err_msg=key)


def test_an_error_of_one_ends_all(capsys):
    def run(comm):
        def fails(trainer, epoch, record):
            if comm.rank == 1 and epoch == 2:
                raise OSError("the disk is gone")
        return trained(comm, callbacks=[fails])

    with pytest.raises(OSError, match="the disk is gone"):
        Threads(2).run(run)
    assert "the disk is gone" in capsys.readouterr().err


def test_what_is_no_communicator_is_refused():
    with pytest.raises(TypeError, match=r"comm must be a communicator .* has no rank"):
        Trainer(model(), "mean_squared_error", "sgd", comm=3)


def test_other_targets_are_an_error_for_all():
    def run(comm):
        t = Trainer(model(), "softmax_cross_entropy", "adam", rng=7, comm=comm)
        y = Y.copy()
        y[40] = (Y[40] + comm.rank) % 3
        t.fit(X, y, epochs=1, batch_size=16, progress=False)

    with pytest.raises(ValueError, match="different targets"):
        Threads(2).run(run)


@pytest.mark.parametrize(("sizes", "words"), [
    (([8, 8, 8], [8, 8]), r"batches of \[0, 8\] samples"), (([8, 9], [8, 8]), r"\[8, 9\]"),
    (([8, 1], [8, 1]), "1 samples is too small for 2 processes"),
])
def test_batches_that_differ_are_an_error_for_all(sizes, words):
    def run(comm):
        t = Trainer(model(), "softmax_cross_entropy", "adam", rng=7, comm=comm)
        t.fit(((X[:n], Y[:n]) for n in sizes[comm.rank]), epochs=1, progress=False)

    with pytest.raises(ValueError, match=words):
        Threads(2).run(run)


SCRIPT = """
import sys
import numpy as np
from mpi4py import MPI
from cydropout import Trainer
from cydropout.layers import Dense, Dropout, Sequential
comm = MPI.COMM_WORLD
model = Sequential([Dense(16, activation="relu"), Dropout(0.5), Dense(3)], dtype="float64")
trainer = Trainer(model, "softmax_cross_entropy", "adam", rng=7, comm=comm,
                  reduction=sys.argv[2] if sys.argv[2:] else "fast")
x, y = np.random.default_rng(0).standard_normal((48, 12)), np.arange(48) % 3
def spoil(trainer, epoch, record):
    if sys.argv[1] == "raise" and comm.rank == 1:
        raise OSError("the disk is gone")
    if sys.argv[1] == "kill" and comm.rank == 1:
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
trainer.fit(x, y, epochs=3, batch_size=16, progress=False, callbacks=[spoil])
if comm.rank == 0:
    print(repr([float(abs(one).sum()) for one in model.state_dict().values()]))
"""


def mpiexec(ranks, *arguments):
    return launched(ranks, "-c", SCRIPT, *arguments)


def test_mpi_trains_as_one_process_does():
    one, two = (mpiexec(ranks, "train") for ranks in (1, 2))
    assert one.returncode == two.returncode == 0, two.stderr
    assert json.loads(two.stdout) == pytest.approx(json.loads(one.stdout), rel=1e-9)


def test_mpi_sums_in_order():
    found = [mpiexec(ranks, "train", "ordered") for ranks in (1, 2, 3, 4)]
    assert [one.returncode for one in found] == [0] * 4, found[-1].stderr
    assert len({one.stdout for one in found}) == 1


@pytest.mark.parametrize(("how", "words"), [("raise", "the disk is gone"), ("kill", "")])
def test_a_rank_that_fails_ends_the_run(how, words):
    done = mpiexec(2, how)
    assert done.returncode != 0 and words in done.stderr
