"""Dense layers in one call: every number of a training run is the one of a pass at a time."""

import numpy as np
import pytest
from dense_cases import FLAT, LABELS, MODELS, compare, train
from reference import misaligned

from cydropout import MaskStream
from cydropout.functional.dense_stack import DenseLayer, DenseStack
from cydropout.layers import Context, Dense, Dropout, Parameter, ReLU, Sequential, Softplus
from cydropout.layers._workspace import Workspace
from cydropout.training.callbacks import RateSchedule
from cydropout.training.losses import RDropLoss, SoftmaxCrossEntropy
from cydropout.training.optimizers import SGD

available = DenseStack.available
pytestmark = pytest.mark.skipif(not available(), reason="NumPy runs on another BLAS than OpenBLAS")

#: Those whose steps are one call each, with loss and optimizer.
WHOLE = {"no dropout", "rate 0 and 1", "no bias", "a rate for each unit", "another scaling", "l2",
         "one unit", "one unit behind"}
NUMBERS = np.random.default_rng(2).standard_normal((70, 3))
#: Losses that may stand in a step, with targets, and whether the step reads them.
LOSSES = {
    "softmax_cross_entropy": (LABELS, True),
    "softmax_cross_entropy-int8": (LABELS.astype("i1"), True),
    "softmax_cross_entropy-soft": (np.eye(5)[LABELS], False),
    "mean_squared_error": (NUMBERS, True), "mean_squared_error-f4": (NUMBERS.astype("f4"), True),
    "mean_squared_error-strided": (np.repeat(NUMBERS, 2, axis=1)[:, ::2], True),
    "mean_squared_error-integers": (LABELS[:, None], True),
    "mean_squared_error-flat": (NUMBERS[:, 0], True),
    "mean_squared_error-one-feature": (NUMBERS[:, :1], True),
    "binary_cross_entropy": (NUMBERS > 0, False),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
def test_training_is_the_same_to_the_bit(name, dtype, monkeypatch):
    calls = compare(lambda: Sequential(MODELS[name](), dtype=dtype), monkeypatch)
    stacks = {"layers between": 4, "residual": 3, "shared axes": 0}.get(name, 1)
    assert len(calls) == 2 * 5 * stacks
    # All but the first, after which the arrays are known; the last of an epoch is a smaller one.
    assert calls.count("step") == (2 * 5 - 1 if name in WHOLE else 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, dtype, monkeypatch):
    y, whole = LOSSES[name]
    x = FLAT[:, :1] if name.endswith("one-feature") else FLAT
    units = {"softmax": 5, "mean": y.shape[1] if y.ndim > 1 else 1, "binary": 3}[name.split("_")[0]]
    calls = compare(
        lambda: Sequential([Dense(16, l2=1e-2), ReLU(), Dropout(0.5), Dense(units)], dtype=dtype),
        monkeypatch, x=x, y=y, loss=name.split("-")[0])
    assert len(calls) == 2 * 5 and calls.count("step") == (2 * 5 - 1 if whole else 0)


@pytest.mark.parametrize("options", [
    {"optimizer": "sgd", "clip_norm": 0.1}, {"clip_value": 1e-3}, {"num_threads": 1},
    {"optimizer": "sgd"}, {"optimizer": "rmsprop"}, {"optimizer": "adamw"}, {"accumulate": 2},
    {"metrics": {"one": lambda p, y: 1.0}}, {"batch_size": 23}, {"batch_size": 69},
    {"loss": RDropLoss()},
    {"callbacks": [RateSchedule(lambda step: 1 / (step + 2))]},
], ids=str)
def test_with_what_else_a_trainer_does(options, monkeypatch):
    assert compare(lambda: Sequential(MODELS["one hidden layer"]()), monkeypatch, **options)


#: What somebody does to a trainer between two epochs.
CHANGES = {
    "nothing": lambda trainer: None,
    "freeze": lambda trainer: trainer.model.layers[0].freeze(),
    "l2": lambda trainer: setattr(trainer.model.layers[0], "l2", 0.1),
    "l1": lambda trainer: setattr(trainer.model.layers[0], "l1", 0.1),
    "max_norm": lambda trainer: setattr(trainer.model.layers[0], "max_norm", 0.3),
    "rate": lambda trainer: setattr(trainer.model.layers[2], "rate", 0.1),
    "activation": lambda trainer: setattr(trainer.model.layers[1], "a", 0.5),
    "other arrays": lambda trainer: [
        setattr(one, "value", one.value * 2) for one in trainer.model.parameters()],
    "state": lambda trainer: trainer.optimizer.load_state_dict(
        {name: one * 2 for name, one in trainer.optimizer.state_dict().items()}),
    "learning rate": lambda trainer: setattr(trainer.optimizer, "learning_rate", 0.1),
    "beta1": lambda trainer: setattr(trainer.optimizer, "beta1", 0.5),
    "groups": lambda trainer: setattr(
        trainer.optimizer, "groups", [("*.bias", {"learning_rate": 0.1})]),
    "optimizer": lambda trainer: setattr(trainer, "optimizer", SGD(0.1)),
    "loss": lambda trainer: setattr(trainer, "loss", SoftmaxCrossEntropy(label_smoothing=0.1)),
    "clip_norm": lambda trainer: setattr(trainer, "clip_norm", 0.1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_between_epochs_counts(name, monkeypatch):
    def change(trainer, epoch, record):
        if epoch == 2:
            CHANGES[name](trainer)

    def made():
        return Sequential([Dense(16), Softplus(), Dropout(0.5), Dense(5)])

    begin, stacks = DenseStack.__init__, []

    def init(self, *args):
        stacks.append(self)
        begin(self, *args)

    monkeypatch.setattr(DenseStack, "__init__", init)
    found, calls = train(made(), monkeypatch, True, epochs=4, callbacks=[change])
    count = len(stacks)
    expected, _ = train(made(), monkeypatch, False, epochs=4, callbacks=[change])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    # The stack of the first step, and those of the steps of whole and of smaller batches.
    kept = count == 3 and calls == ["stack"] + ["step"] * (4 * 5 - 1)
    assert kept == (name in {"nothing", "rate", "learning rate", "beta1"})


def test_sequences_and_the_gradient_of_the_input(monkeypatch):
    def run(together):
        monkeypatch.setattr(DenseStack, "available", staticmethod(lambda: together))
        model = Sequential([Dense(8), ReLU(), Dropout(0.5), Dense(4)], dtype="float64")
        model.build((6, 5), 0)
        x = np.random.default_rng(0).standard_normal((3, 6, 5))
        y, backward = model.forward(x, Context(True, MaskStream(0), workspace=Workspace()))
        dx = backward(np.cos(y))
        return [y, dx, *(parameter.grad for parameter in model.parameters())]

    for one, other in zip(run(True), run(False), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("change", [
    lambda dense: setattr(dense.parameter("weight"), "trainable", False),
    lambda dense: setattr(dense.parameter("bias"), "value", np.zeros(8)),
    lambda dense: dense._parameters.update(
        weight=Parameter(np.ones((16, 8), "f4")[::2], "weight")),
], ids=["frozen", "another dtype", "strided"])
def test_what_does_not_fit_runs_a_pass_at_a_time(change, monkeypatch):
    model = Sequential([Dense(8), ReLU(), Dropout(0.5), Dense(4)])
    model.build((8,), 0)
    monkeypatch.setattr(DenseStack, "forward", lambda *args, **options: pytest.fail("it ran"))
    change(model.layers[0])
    ctx = Context(True, MaskStream(0), workspace=Workspace())
    y, backward = model.forward(np.ones((6, 8), "f4"), ctx)
    assert y.shape == (6, 4) and backward(y).shape == (6, 8)


def test_wrong_input_is_refused_as_ever():
    model = Sequential([Dense(8), ReLU(), Dropout(0.5), Dense(4)])
    model.build((5,), 0)
    stream = MaskStream(0)
    ctx = Context(True, stream, workspace=Workspace())
    with pytest.raises(ValueError, match="5 input features, got 6"):
        model.forward(np.ones((3, 6), "f4"), ctx)
    _, backward = model.forward(np.ones((3, 5), "f4"), ctx)
    with pytest.raises(ValueError, match=r"shape \(2, 4\)"):
        backward(np.ones((2, 4), "f4"))
    for sizes in ((1, 5, 4), (3, 1, 1), (3, 0, 4), (3, 5, 0)):
        with pytest.raises(ValueError, match="rows must be at least 2, inputs and units"):
            DenseStack(sizes[0], sizes[1], [DenseLayer(sizes[2])], "float32")
    with pytest.raises(ValueError, match="rellu"):
        DenseStack(2, 5, [DenseLayer(4, "rellu")], "float32")


@pytest.mark.parametrize("lay", [misaligned, np.asfortranarray, lambda dy: dy.astype("f8"),
                                 lambda dy: np.repeat(dy, 2, axis=1)[:, ::2]],
                         ids=["misaligned", "Fortran", "wider", "strided"])
def test_gradients_come_in_any_layout(lay):
    model = Sequential([Dense(8), ReLU(), Dropout(0.5), Dense(4)])
    model.build((5,), 0)
    x = np.random.default_rng(0).standard_normal((6, 5)).astype("f4")
    results = []
    for own in (np.asarray, lay):
        ctx = Context(True, MaskStream(0), workspace=Workspace())
        y, backward = model.forward(x, ctx)
        model.layers[0].parameter("weight").zero_grad()
        backward(own(np.cos(y)))
        results.append(model.layers[0].parameter("weight").grad.copy())
    np.testing.assert_array_equal(*results)


def test_no_features_are_as_without_a_workspace():
    model = Sequential([Dense(8), Dense(4)])
    model.build((0,), 0)
    for workspace in (None, Workspace()):
        ctx = Context(True, MaskStream(0), workspace=workspace)
        y, backward = model.forward(np.ones((6, 0), "f4"), ctx)
        assert y.shape == (6, 4) and backward(y).shape == (6, 0)
