"""What stands for the processes of a communicator, and the runs that tests compare."""

import pickle
import threading

import numpy as np

from cydropout import Trainer, layers
from cydropout.layers import BatchNorm, Dense, Dropout, ReLU, Sequential


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


class Apart(Threads):
    def Abort(self, code):
        raise AssertionError("all processes have this error")


X = np.random.default_rng(0).standard_normal((50, 12))
Y = np.random.default_rng(1).integers(0, 3, 50)


def model(**options):
    return Sequential([Dense(16, **options), ReLU(), Dropout(0.5), layers.LayerNorm(), Dense(3)],
                      dtype="float64")


def normed(**options):
    return Sequential([Dense(16, bias=False), BatchNorm(**options), ReLU(), Dropout(0.5), Dense(3)],
                      dtype="float64")


def trained(comm=None, loss="softmax_cross_entropy", rng=7, optimizer="adam", make=model,
            reduction="fast", **fit):
    trainer = Trainer(make(), loss, optimizer, rng=rng, comm=comm, clip_norm=0.5,
                      reduction=reduction)
    fit["callbacks"] = fit["callbacks"]() if callable(fit.get("callbacks")) else fit.get(
        "callbacks", ())
    history = trainer.fit(*fit.pop("data", (X, Y)), **{
        "epochs": 3, "batch_size": 16, "progress": False, **fit})
    records = [{k: v for k, v in one.items() if k != "seconds"} for one in history.records]
    return list(trainer.model.state_dict().values()), records, trainer.stream.next_draw
