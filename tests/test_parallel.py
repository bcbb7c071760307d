"""Several processes that train as one: masks to the bit, steps to rounding, errors for all."""

import json

import numpy as np
import pytest
from layer_cases import ROWS
from parallel_cases import Apart, Threads, X, Y, model, normed, trained
from processes import launched

from cydropout import Trainer, layers
from cydropout.layers import Dense, Sequential, Standout
from cydropout.training.callbacks import (
    Callback,
    DroppedShareError,
    EarlyStopping,
    Guard,
    TensorBoard,
)
from cydropout.training.losses import RDropLoss
from cydropout.training.nonfinite import NonFiniteLossError

TRAINED = sorted(
    name for name, row in ROWS.items()
    if (row.make().by_rows or row.make().by_sums) and len(row.shape) > 1 and not row.shortens
)


@pytest.mark.parametrize("options", [
    {}, {"make": lambda: model(l2=0.01)}, {"loss": RDropLoss()}, {"optimizer": "sgd"},
    {"sample_weight": np.linspace(0, 2, 50)}, {"class_weight": {0: 3.0}},
    {"validation_data": (X, Y), "callbacks": lambda: [EarlyStopping("val_loss", patience=1)]},
    {"shuffle": False, "drop_last": True}, {"accumulate": 2}, {"accumulate": 3, "batch_size": 9},
    {"make": normed}, {"make": normed, "accumulate": 2}, {"make": normed, "loss": RDropLoss()},
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
    ({"make": lambda: Sequential([Dense(4), Standout(4), Dense(3)])}, r"\(Standout\)"),
    ({"make": normed, "reduction": "ordered"},
     r"1.batchnorm \(BatchNorm\) .* trained with reduction='ordered'"),
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


def test_callbacks_of_whole_batches_are_named():
    class Whole(Callback):
        by_rows = False

    with pytest.raises(ValueError, match="Whole reads whole batches"):
        Threads(2).run(lambda comm: trained(comm, callbacks=[Whole()]))
    expected = trained(callbacks=[Whole()])[1]
    alone = Threads(1).run(lambda comm: trained(comm, callbacks=[Whole()]))
    assert alone[0][1] == expected


class Shares(Guard):
    def __init__(self, *args):
        super().__init__(*args)
        self.found = []

    def on_batch_end(self, trainer, epoch, step, record):
        super().on_batch_end(trainer, epoch, step, record)
        self.found.append(self.shares)


@pytest.mark.parametrize(("size", "reduction"), [(2, "fast"), (3, "fast"), (2, "ordered")])
@pytest.mark.parametrize("loss", ["softmax_cross_entropy", RDropLoss()], ids=["one", "two"])
def test_guards_count_what_all_drop(size, reduction, loss, tmp_path):
    def run(comm=None, limit=0.95):
        guard = Shares(limit, tmp_path / f"good{0 if comm is None else comm.rank}")
        try:
            trained(comm, loss=loss, batch_size=25, callbacks=[guard], reduction=reduction)
        except DroppedShareError as error:
            return guard.found, error.share, error.step
        return guard.found

    expected = run()
    limit = expected[2]["2.dropout"] - 1e-6
    assert len(expected) == 6
    for found in Apart(size).run(run):
        for one, other in zip(found, expected, strict=True):
            assert one == pytest.approx(other)
    stopped = Apart(size).run(lambda comm: run(comm, limit))
    assert all(one == stopped[0] and one[2] <= 2 for one in stopped)
    assert [place.name for place in tmp_path.iterdir()] == ["good0"] * (stopped[0][2] > 0)


def test_the_first_process_writes_for_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX")
    Threads(2).run(lambda comm: trained(comm, callbacks=[TensorBoard(tmp_path / "run")]))
    assert len([*(tmp_path / "run").iterdir()]) == 1


def test_a_loss_that_is_not_known_by_positions_is_named():
    def loss(prediction, target):
        return float(prediction.std()), np.zeros_like(prediction)

    with pytest.raises(ValueError, match="cannot be shared out"):
        Threads(2).run(lambda comm: trained(comm, loss=loss))
    Threads(1).run(lambda comm: trained(comm, loss=loss))


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


class Refuses(Callback):
    def __init__(self, wrong):
        self.wrong = wrong

    def on_train_begin(self, trainer, metrics):
        if self.wrong:
            raise ValueError("not today")


@pytest.mark.parametrize(("options", "words"), [
    (lambda rank: {"epochs": 0}, "epochs must be"), (lambda rank: {"batch_size": 49}, "1 samples"),
    (lambda rank: {"batch_size": 16 - 16 * rank}, "batch_size must be"),
    (lambda rank: {"checkpoint": f"/nowhere/{rank}/file"}, "/nowhere/0' of the checkpoint"),
    (lambda rank: {"data": (X[: 50 - rank], Y)}, "x and y"),
    (lambda rank: {"callbacks": [Refuses(False)] * rank}, "different settings"),
    (lambda rank: {"callbacks": [Refuses(rank == 1)]}, "not today"),
    (lambda rank: {"rng": rank}, "different"), (lambda rank: {"epochs": 1 + rank}, "different"),
    (lambda rank: {"data": (X + rank, Y)}, "different data"),
], ids=range(10))
def test_an_error_before_a_step_is_raised_in_all(options, words):
    def run(comm):
        with pytest.raises(ValueError, match=words):
            trained(comm, **options(comm.rank))

    Apart(2).run(run)


@pytest.mark.parametrize(("value", "layer"), [(np.nan, "input"), (1e308, "0.dense")])
@pytest.mark.parametrize("reduction", ["fast", "ordered"])
def test_all_name_the_same_layer_as_not_finite(value, layer, reduction):
    x = X.copy()
    x[30] = value

    def run(comm):
        with pytest.raises(NonFiniteLossError) as caught, np.errstate(all="ignore"):
            trained(comm, data=(x, Y), reduction=reduction)
        return caught.value.layer, caught.value.step

    first, second = Apart(2).run(run)
    assert first == second and first[0] == layer


def test_an_error_that_cannot_be_sent_is_raised_in_all():
    class Local(ValueError):
        pass

    class Own(Callback):
        def on_train_begin(self, trainer, metrics):
            if trainer._parallel.rank == 1:
                raise Local("not here")

    def run(comm):
        with pytest.raises(Local if comm.rank else RuntimeError, match="not here"):
            trained(comm, callbacks=[Own()])

    Apart(2).run(run)


def test_a_checkpoint_of_the_first_process_alone_is_enough(tmp_path):
    expected, *_ = trained(epochs=4)
    trained(epochs=2, checkpoint=tmp_path / "run")

    def run(comm):
        place = tmp_path / "run" if comm.rank == 0 else tmp_path / "nowhere" / "run"
        return trained(comm, epochs=4, checkpoint=place, resume=True)

    for values, *_ in Apart(2).run(run):
        for one, other in zip(values, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


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
