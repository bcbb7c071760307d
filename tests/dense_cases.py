"""Models that run in one call, and their training with that and without."""

import copy

import numpy as np

from cydropout import Trainer
from cydropout.functional.dense_stack import DenseStack
from cydropout.functional.dense_step import DenseStep
from cydropout.layers import (
    GELU,
    BatchNorm,
    BatchwiseDropout,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GaussianDropout,
    LayerNorm,
    ReLU,
    Residual,
    Sequential,
    Softplus,
)
from cydropout.training.losses import RDropLoss
from cydropout.training.optimizers import SGD
from cydropout.training.run import Run

MODELS = {
    "one hidden layer": lambda: [Flatten(), Dense(33), ReLU(), Dropout(0.5), Dense(5)],
    "two hidden layers": lambda: [
        Dropout(0.2), Dense(33, activation="tanh"), Dropout(0.5), Dense(40), GELU(), Dense(5)],
    "no dropout": lambda: [Dense(16, activation="relu", init="he"), Dense(5)],
    "rate 0 and 1": lambda: [Dense(16), Dropout(0.0), Dense(17), Dropout(1.0), Dense(5)],
    "no bias": lambda: [Dense(33, bias=False), Softplus(2.0), Dropout(0.5), Dense(5, bias=False)],
    "a rate for each unit": lambda: [Dense(32), ReLU(), Dropout(np.linspace(0, 1, 32)), Dense(5)],
    "shared axes": lambda: [Dense(32), ReLU(), Dropout(0.5, shared_axes=(0,)), Dense(5)],
    "another scaling": lambda: [Dense(32), Dropout(0.5, scaling="sqrt", storage="seed"), Dense(5)],
    "penalty and bound": lambda: [Dense(32, l2=1e-2, max_norm=1.0), ReLU(), Dense(5, l1=1e-3)],
    "l2": lambda: [Dense(32, l2=1e-2), ReLU(), Dropout(0.5), Dense(5, l2=1e-3)],
    "one unit": lambda: [Dense(1), ReLU(), Dense(5)],
    "one unit behind": lambda: [Dense(16), ReLU(), Dropout(0.5), Dense(1), Dropout(0.5), Dense(5)],
    "layers between": lambda: [
        Dense(16), LayerNorm(), Dense(16), GaussianDropout(0.5), Dense(5), BatchNorm(), Dense(5)],
    "residual": lambda: [Dense(16), Residual(Dense(16), ReLU(), Dropout(0.5), rate=0.1), Dense(5)],
    "images": lambda: [Conv2D(3, 3), ReLU(), Flatten(), Dense(20), ReLU(), Dropout(0.5), Dense(5)],
}
SIZES = (1, 10, 9)
X = np.random.default_rng(0).standard_normal((70, *SIZES)).astype("f4")
FLAT = X.reshape(70, -1)
LABELS = np.random.default_rng(1).integers(0, 5, 70)


def batchwise(first=None, hidden=0.5, units=33, **options):
    """Return a model with batchwise dropout, of the inputs too where there is a rate for them."""
    entry = [] if first is None else [BatchwiseDropout(first, **options)]
    return lambda **model: Sequential([
        *entry, Dense(units), GELU(), BatchwiseDropout(hidden, **options),
        Dense(20, activation="relu"), BatchwiseDropout(0.4, scaling="classic", **options), Dense(5),
    ], **model)


def frozen(model):
    """Return a model whose first layer of weights stays as it is."""
    model.layers[0].freeze()
    return model


#: By what they are: the model, how it is trained, and whether its steps are one call each.
BATCHWISE = {
    "scattered": (batchwise(), {}, True),
    "scattered, lazy": (batchwise(lazy=True), {}, True),
    "blocks": (batchwise(block=4), {}, True),
    "slice": (batchwise(layout="slice"), {}, True),
    "slice, lazy": (batchwise(layout="slice", lazy=True), {}, True),
    "slice of blocks": (batchwise(layout="slice", block=3), {}, True),
    "inputs": (batchwise(first=0.3), {}, True),
    "slice of inputs": (batchwise(first=0.3, layout="slice", lazy=True), {}, True),
    "all inputs": (batchwise(first=0.0), {}, True),
    "double": (lambda: batchwise(lazy=True)(dtype="float64"), {}, True),
    "without bias": (lambda: Sequential(
        [Dense(33, bias=False), ReLU(), BatchwiseDropout(0.5), Dense(5, bias=False)]), {}, True),
    "few units": (batchwise(hidden=0.9, units=6), {}, None),
    "none": (batchwise(hidden=1.0), {}, False),
    "one unit": (lambda: Sequential([Dense(33), BatchwiseDropout(0.5), Dense(1)]),
                 {"loss": "mean_squared_error", "y": np.sin(LABELS)[:, None]}, True),
    "without momentum": (batchwise(), {"optimizer": SGD(0.1)}, True),
    "momentum": (batchwise(layout="slice"), {"optimizer": SGD(0.1, momentum=0.9)}, True),
    "rmsprop": (batchwise(lazy=True), {"optimizer": "rmsprop"}, True),
    "in order": (batchwise(layout="slice", lazy=True), {"shuffle": False}, True),
    "one thread": (batchwise(), {"num_threads": 1}, True),
    "l2": (lambda: Sequential([Dense(33, l2=0.1), BatchwiseDropout(0.5), Dense(5)]), {}, False),
    "frozen": (lambda: frozen(batchwise()()), {}, False),
    "clipped": (batchwise(), {"clip_norm": 0.1}, False),
    "a rate for each": (batchwise(hidden=np.linspace(0.1, 0.9, 33)), {}, False),
    "the last": (lambda: Sequential([Dense(33), ReLU(), BatchwiseDropout(0.5), Dense(5),
                                     BatchwiseDropout(0.2)]), {}, False),
    "two passes": (batchwise(), {"loss": RDropLoss()}, False),
}


def train(model, monkeypatch, together, **options):
    """Return every number of a run, and which passes of `DenseStack` and whole steps there were."""
    calls = []
    forward, several = DenseStack.forward, DenseStep.several
    monkeypatch.setattr(DenseStack, "available", staticmethod(lambda: together))
    if not together:
        monkeypatch.setattr(Run, "is_settled", lambda *args: False)
    monkeypatch.setattr(
        DenseStack, "forward", lambda *args, **own: calls.append("stack") or forward(*args, **own))

    def steps(*args, **own):
        found = several(*args, **own)
        calls.extend(["step"] * len(found))
        return found

    monkeypatch.setattr(DenseStep, "several", steps)
    loss, y = options.pop("loss", "softmax_cross_entropy"), options.pop("y", LABELS)
    x = options.pop("x", X if isinstance(model.layers[0], (Flatten, Conv2D)) else FLAT)
    fit = {"epochs": 2, "batch_size": 16, "progress": False, "callbacks": (), "accumulate": 1,
           "shuffle": True}
    fit |= {name: options.pop(name) for name in fit.keys() & options.keys()}
    trainer = Trainer(model, loss, options.pop("optimizer", "adam"), rng=3, **options)
    history = trainer.fit(x, y, **fit)
    monkeypatch.undo()
    losses = [record["loss"] for record in history.records]
    found = [*model.state_dict().values(), *trainer.optimizer.state_dict().values(),
             np.array(losses), trainer.stream.next_draw]
    return found, calls


def compare(make, monkeypatch, **options):
    found, calls = train(make(), monkeypatch, True, **copy.deepcopy(options))
    expected, none = train(make(), monkeypatch, False, **copy.deepcopy(options))
    assert not none
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    return calls
