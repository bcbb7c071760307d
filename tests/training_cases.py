"""A small network and data for it, which the tests of training share."""

import os
import signal
import time

import numpy as np
import threadpoolctl

from cydropout import Trainer
from cydropout.layers import Dense, Dropout, Sequential
from cydropout.training.callbacks import Callback
from cydropout.training.optimizers import SGD

SAMPLES, FEATURES, CLASSES = 203, 12, 3  # 203 is no multiple of the batches: the last is smaller


def network(rate=0.5, dtype="float32"):
    return Sequential(
        [Dense(32, activation="relu"), Dropout(rate), Dense(CLASSES)],
        dtype=dtype,
    )


def trainer(rng=0, optimizer="adam", **settings):
    return Trainer(network(**settings), "softmax_cross_entropy", optimizer, rng=rng)


def state(of):
    optimizer = {k: np.asarray(v) for k, v in of.optimizer.state_dict().items()}
    return {**of.model.state_dict(), **optimizer, "draw": np.asarray(of.stream.next_draw)}


def assert_same_bits(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype
        assert a[name].tobytes() == b[name].tobytes(), name


def without_seconds(history):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in history]


def drawn(monkeypatch, module):
    """Return a list to which every figure that ``module`` makes adds its panels."""
    made, figure_of = [], module.figure_of

    def keep(panels):
        figure, axes = figure_of(panels)
        made.append(list(axes))
        return figure, axes

    monkeypatch.setattr(module, "figure_of", keep)
    return made


class Stop(Exception):
    pass


class Crash(Callback):
    """Spoil what is in memory and fail when epoch ``at`` begins; None never does."""

    def __init__(self, at=None):
        self.at = at

    def on_epoch_begin(self, trainer, epoch):
        if epoch == self.at:
            trainer.stream.take()
            for parameter in trainer.model.parameters():
                parameter.value += 1
            raise Stop


# ---------------------------------------------------------------- learning


class Meeting(SGD):
    """An optimizer whose first step waits until another process takes one too."""

    def __init__(self, folder):
        super().__init__(0.1)
        self.folder = folder

    def step(self, parameters, **options):
        (self.folder / str(os.getpid())).touch()
        end = time.monotonic() + 60
        while len(list(self.folder.iterdir())) < 2:
            if time.monotonic() > end:
                raise TimeoutError("no other process came")
            time.sleep(0.01)
        super().step(parameters, **options)


class OneThread(SGD):
    """An optimizer that fails where NumPy's BLAS or the kernels have more than one thread."""

    def step(self, parameters, num_threads=None, **options):
        pools = [p for p in threadpoolctl.threadpool_info() if "numpy" in p["filepath"]]
        assert [pool["num_threads"] for pool in pools] == [1] == [num_threads]
        super().step(parameters, num_threads=num_threads, **options)


class Slow(SGD):
    """An optimizer whose steps take so many seconds."""

    def __init__(self, pause):
        super().__init__(0.1)
        self.pause = pause

    def step(self, parameters, **options):
        time.sleep(self.pause)
        super().step(parameters, **options)


class Odd(Exception):
    """An error that pickle takes for one of one argument, or cannot take at all."""

    def __init__(self, kind, held):
        super().__init__("odd it is")
        self.held = held if kind == "holds a lambda" else None
        if kind == "takes more":
            self.args = ("odd it is",)


class Dies(SGD):
    """An optimizer that ends its process, or fails, at one of the first steps there."""

    taken = 0

    def __init__(self, after, error=False):
        super().__init__(0.1)
        self.after, self.error = after, error

    def step(self, parameters, **options):
        Dies.taken += 1
        if Dies.taken > self.after and isinstance(self.error, str):
            raise Odd(self.error, lambda: None)
        if Dies.taken > self.after and self.error:
            1 / 0  # noqa: B018
        if Dies.taken > self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        super().step(parameters, **options)
