"""Dense layers in one call: every number of a training run is the one of a pass at a time."""

import copy

import numpy as np
import pytest
from reference import misaligned

from cydropout import MaskStream, Trainer
from cydropout.functional.dense_stack import DenseLayer, DenseStack, Part
from cydropout.functional.dense_step import DenseStep
from cydropout.layers import (
    GELU,
    BatchNorm,
    BatchwiseDropout,
    Context,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GaussianDropout,
    LayerNorm,
    Parameter,
    ReLU,
    Residual,
    Sequential,
    Softplus,
)
from cydropout.layers._workspace import Workspace
from cydropout.training.callbacks import RateSchedule
from cydropout.training.losses import RDropLoss, SoftmaxCrossEntropy
from cydropout.training.optimizers import SGD
from cydropout.training.run import Run
from cydropout.training.trainer import NonFiniteLossError

available = DenseStack.available
pytestmark = pytest.mark.skipif(not available(), reason="NumPy runs on another BLAS than OpenBLAS")

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
#: Those whose steps are one call each, with loss and optimizer.
WHOLE = {"no dropout", "rate 0 and 1", "no bias", "a rate for each unit", "another scaling", "l2",
         "one unit", "one unit behind"}
SIZES = (1, 10, 9)
X = np.random.default_rng(0).standard_normal((70, *SIZES)).astype("f4")
FLAT = X.reshape(70, -1)
LABELS = np.random.default_rng(1).integers(0, 5, 70)
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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
def test_training_is_the_same_to_the_bit(name, dtype, monkeypatch):
    calls = compare(lambda: Sequential(MODELS[name](), dtype=dtype), monkeypatch)
    stacks = {"layers between": 4, "residual": 3, "shared axes": 0}.get(name, 1)
    assert len(calls) == 2 * 5 * stacks
    # All but the first, after which the arrays are known; the last of an epoch is a smaller one.
    assert calls.count("step") == (2 * 5 - 1 if name in WHOLE else 0)


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


@pytest.mark.parametrize("name", BATCHWISE)
def test_parts_of_layers_in_one_call(name, monkeypatch):
    make, options, whole = BATCHWISE[name]
    models = []

    def made():
        models.append(make())
        return models[-1]

    calls = compare(made, monkeypatch, **options)
    if whole is None:  # where too few take part a step is not one call
        assert 0 < calls.count("step") < 9
    else:
        assert calls == ["step"] * (9 * whole)
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        found, expected = one.gradient, other.gradient
        assert found.lazy == expected.lazy and repr(found.submatrix) == repr(expected.submatrix)
        np.testing.assert_array_equal(found.array, expected.array)
        np.testing.assert_array_equal(one.grad, other.grad)


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


def step_of(loss="softmax_cross_entropy", parts=False, l2=0.0, **changed):
    w, b, dw, db = np.ones((3, 2)), np.zeros(2), np.ones((3, 2)), np.zeros(2)
    given = {"weights": [w], "biases": [b], "dweights": [dw], "dbiases": [db],
             "stepped": [(w, dw, l2), (b, db, 0.0)]} | changed
    return DenseStep(DenseStack(4, 3, [DenseLayer(2)], "float64", parts), loss, **given), w


@pytest.mark.parametrize(("changed", "words"), [
    ({"weights": [np.ones((3, 2), "f4")]}, "do not fit the layers"),
    ({"dbiases": [None]}, "needs its gradient"),
    ({"dweights": [np.ones((2, 3))]}, "grad has shape"),
    ({"stepped": [(np.ones(3), np.ones(3), 0.0, np.ones(2))]}, "has shape"),
    ({"loss": "hinge"}, "unknown kind 'hinge'"),
])
def test_arrays_that_are_no_step_are_refused(changed, words):
    with pytest.raises(ValueError, match=words):
        step_of(**changed)


@pytest.mark.parametrize(("changed", "words"), [
    ({"x": np.ones((4, 2))}, "x must be an array"), ({"x": np.ones((4, 3), "f4")}, "ready"),
    ({"targets": np.array([0, 1, 2, 0])}, "label 2 at position 2"),
    ({"targets": np.array([0, 1, 1])}, r"targets \(4,\)"), ({"targets": np.zeros(4)}, "int64"),
    ({"loss": "mean_squared_error"}, r"targets \(4, 2\) to be read as float64, not \(4,\)"),
    ({"loss": "mean_squared_error", "targets": np.zeros((4, 2), complex)}, "complex128"),
    ({"kind": "adam"}, "needs .* arrays in states"), ({"kind": "newton"}, "unknown"),
    ({"learning_rate": -1.0}, "learning_rate"),
])
def test_a_wrong_step_changes_nothing(changed, words):
    step, w = step_of(changed.pop("loss", "softmax_cross_entropy"))
    given = {"x": np.ones((4, 3)), "targets": np.zeros(4, "i8"), "plans": [None], "kind": "sgd",
             "learning_rate": 0.5} | changed
    with pytest.raises(ValueError, match=words):
        step(**given)
    assert (w == 1).all()


@pytest.mark.parametrize("ordered", [False, True])
def test_several_steps_are_one_after_the_other(ordered):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 3)), rng.integers(0, 2, 12)
    order = rng.permutation(12) if ordered else None
    masks = [MaskStream.from_state(1, draw).draw((4, 2), 0.5) for draw in range(3)]
    rules = [{"learning_rate": 0.5 / n} for n in (1, 2, 3)]
    (step, w), (single, v) = step_of(), step_of()
    rows = np.arange(12) if order is None else order
    found = step.several(x, order, y[rows], [masks[0].fused_plan()], [True], "sgd", rules)
    expected = [
        single(x[own], y[own], [mask.fused_plan()], "sgd", **rule)
        for own, mask, rule in zip(rows.reshape(3, 4), masks, rules, strict=True)]
    assert found == expected
    np.testing.assert_array_equal(w, v)
    np.testing.assert_array_equal(step.batch(x, order, 2), x[rows[8:]])


@pytest.mark.parametrize(("changed", "words"), [
    ({"order": np.arange(8) + 1}, "order must lie between 0 and 7, not 8"),
    ({"order": np.arange(7)}, r"order has shape \(7,\), not \(8,\)"),
    ({"x": np.ones((9, 3))}, "x has 9 rows, but targets 8"),
    ({"targets": np.zeros(7, "i8")}, "x must be an array"),
    ({"targets": np.array([0, 1, 1, 0, 1, 0, 2, 0])}, "label 2 at position 6"),
    ({"rules": [{"learning_rate": 0.5}, {"learning_rate": -1.0}]}, "learning_rate"),
])
def test_several_wrong_steps_change_nothing(changed, words):
    step, w = step_of()
    given = {"x": np.ones((8, 3)), "order": None, "targets": np.zeros(8, "i8"), "plans": [None],
             "draws": [False], "kind": "sgd", "rules": [{"learning_rate": 0.5}] * 2} | changed
    with pytest.raises(ValueError, match=words):
        step.several(**given)
    assert (w == 1).all()


def part(*units, count=2):
    return [Part([*units], [1.0] * len(units), [True] * len(units))] * count


@pytest.mark.parametrize(("parts", "made", "words"), [
    (part(None, None), {}, "needs a DenseStack with parts=True"),
    (part(None, None), {"parts": True, "l2": 0.1}, "need as many parts, and no L2"),
    (part(None, None, count=1), {"parts": True}, "2 steps need as many parts, and no L2, not 1"),
    (part(np.array([1]), None), {"parts": True}, "two or more of inputs"),
    (part(np.array([1, 3]), None), {"parts": True}, r"a part of \[3, 2\]"),
    (part(np.array([-1, 1]), None), {"parts": True}, r"not \[array\(\[-1,  1\]\), None\]"),
    (part(np.array([0, 1], "i4"), None), {"parts": True}, "int64"),
    (part(None, np.array([0, 1])), {"parts": True}, "of the last all"),
    (part(None), {"parts": True}, "two or more of inputs"),
])
def test_wrong_parts_change_nothing(parts, made, words):
    step, w = step_of(**made)
    with pytest.raises(ValueError, match=words):
        step.several(np.ones((8, 3)), None, np.zeros(8, "i8"), [None], [False], "sgd",
                     [{"learning_rate": 0.5}] * 2, parts=parts)
    assert (w == 1).all()


def test_a_loss_that_is_not_finite_steps_nothing():
    step, w = step_of()
    x = np.ones((4, 3))
    x[1, 1] = np.inf
    loss, _, _ = step(x, np.zeros(4, "i8"), [None], "sgd", learning_rate=0.5)
    assert not np.isfinite(loss) and (w == 1).all()


def test_a_run_that_diverges_says_where(monkeypatch):
    x = X.reshape(70, -1).copy()
    x[3] = 1e38
    found = []
    for available in ((lambda: True), (lambda: False)):
        monkeypatch.setattr(DenseStack, "available", staticmethod(available))
        trainer = Trainer(Sequential([Dense(8), ReLU(), Dropout(0.5), Dense(5)]),
                          "softmax_cross_entropy", "sgd", rng=3)
        with pytest.raises(NonFiniteLossError) as error, np.errstate(all="ignore"):
            trainer.fit(x, LABELS, epochs=2, batch_size=16, progress=False)
        one = error.value
        found.append((one.epoch, one.step, one.layer, trainer.stream.next_draw,
                      trainer.optimizer.steps))
    assert found[0] == found[1]


def test_a_step_of_the_squared_error():
    step, w = step_of("mean_squared_error")
    x, t = np.arange(12.0).reshape(4, 3), np.arange(8.0).reshape(4, 2)
    loss, accuracy, _ = step(x, t, [None], "sgd", learning_rate=0.5)
    difference = x @ np.ones((3, 2)) - t
    assert loss == pytest.approx((difference**2).mean()) and accuracy is None
    np.testing.assert_allclose(w, 1 - 0.5 * x.T @ difference / 4)
