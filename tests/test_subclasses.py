"""A subclass that leaves out what its base needs is named, with what to do."""



import numpy as np
import pytest

from cydropout import MaskStream, Trainer
from cydropout.layers import Dense, Layer, Residual, Sequential
from cydropout.training import callbacks, losses, optimizers, schedules

X = np.random.default_rng(0).standard_normal((64, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


def trainer(loss="softmax_cross_entropy", optimizer="sgd"):
    return Trainer(Sequential([Dense(2)]), loss, optimizer, rng=0)


def fit(one, **options):
    one.fit(X, Y, epochs=1, progress=False, **options)


def made_by_ours():
    """Every public class that has an `__init__` to be called, with what a fit does with one."""
    use = {
        callbacks.Callback: lambda one: fit(trainer(), callbacks=[one]),
        losses.Loss: lambda one: trainer(loss=one),
        optimizers.Optimizer: lambda one: trainer(optimizer=one),
        schedules.Schedule: callbacks.LearningRateSchedule,
        Trainer: fit,
    }
    found = {Trainer: use[Trainer]}
    for package in (callbacks, losses, optimizers, schedules):
        for name, kind in vars(package).items():
            base = next((b for b in use if isinstance(kind, type) and issubclass(kind, b)), None)
            if base and not name.startswith("_") and kind.__init__ is not object.__init__:
                found[kind] = use[base]
    return found


MADE = made_by_ours()


def test_the_table_of_subclasses_finds_them():
    assert len(MADE) > 20


@pytest.mark.parametrize("kind", MADE, ids=lambda kind: kind.__name__)
def test_a_subclass_that_did_not_call_super_is_named(kind):
    class Mine(kind):
        def __init__(self):
            self.mine = 1

    with pytest.raises(TypeError, match=r"Mine lacks.*super\(\).__init__\(\.\.\.\)"):
        MADE[kind](Mine())


class OnlyY(Layer):
    def forward(self, x, ctx):
        return x


class NoBackward(Layer):
    def forward(self, x, ctx):
        return x, None


class Listed(Layer):
    def forward(self, x, ctx):
        return x.tolist(), lambda dy: dy


class Nothing(Layer):
    def forward(self, x, ctx):
        return None


@pytest.mark.parametrize(
    ("kind", "found"),
    [(OnlyY, "not ndarray"), (NoBackward, r"\(ndarray, NoneType\)"), (Nothing, "not NoneType"),
     (Listed, r"\(list, function\)")],
)
@pytest.mark.parametrize("place", ["alone", "first", "last", "inside"])
def test_a_forward_that_returns_no_pair_is_named(kind, found, place):
    model = {
        "alone": lambda: kind(),
        "first": lambda: Sequential([kind(), Dense(6)]),
        "last": lambda: Sequential([Dense(6), kind()]),
        "inside": lambda: Sequential([Residual(Dense(6), kind())]),
    }[place]()
    one = Trainer(model, "mean_squared_error", "sgd", rng=MaskStream(0))
    words = rf"forward of {kind.__name__}.*must return \(y, backward\).*{found}"
    for call in (lambda: one.fit(X, X, epochs=1, progress=False), lambda: one.predict(X)):
        with pytest.raises(TypeError, match=words):
            call()
    assert one.optimizer.steps == 0
