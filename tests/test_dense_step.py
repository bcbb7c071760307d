"""Whole training steps in one call: several, of parts of the layers, and what is refused."""

import copy
import pickle

import numpy as np
import pytest
from dense_cases import BATCHWISE, FLAT, LABELS, MODELS, X, compare

from cydropout import MaskStream, Trainer
from cydropout.functional.dense_stack import DenseLayer, DenseStack, Part
from cydropout.functional.dense_step import DenseStep
from cydropout.layers import Dense, Dropout, Flatten, ReLU, Sequential
from cydropout.training import NonFiniteLossError

pytestmark = pytest.mark.skipif(
    not DenseStack.available(), reason="NumPy runs on another BLAS than OpenBLAS")


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


def part(*units, count=2, scales=None, lazy=None):
    scales, lazy = scales or [1.0] * len(units), lazy or [True] * len(units)
    return [Part([None, None], [1.0] * 2, [True] * 2)] * (count - 1) + [
        Part([*units], scales, lazy)]


@pytest.mark.parametrize(("parts", "made", "words"), [
    (part(None, None), {}, "needs a DenseStack with parts=True"),
    (part(None, None), {"parts": True, "l2": 0.1}, "need as many parts, and no L2"),
    (part(None, None, count=1), {"parts": True}, "2 steps need as many parts, and no L2, .* not 1"),
    (part(np.array([1]), None), {"parts": True}, "two or more of inputs"),
    (part(np.array([1, 3]), None), {"parts": True}, r"a part of \[3, 2\]"),
    (part(np.array([-1, 1]), None), {"parts": True}, r"not Part\(units=\[array\(\[-1,  1\]\)"),
    (part(np.array([0, 1], "i4"), None), {"parts": True}, "int64"),
    (part(None, np.array([0, 1])), {"parts": True}, "of the last all"),
    (part(None), {"parts": True}, "two or more of inputs"),
    (part(np.array([2, 0]), None), {"parts": True}, "rising"),
    (part(np.array([0, 2, 1]), None), {"parts": True}, "rising"),
    (part(np.array([1, 1]), None), {"parts": True}, "rising"),
    (part(np.array([[0, 1], [1, 2]]), None), {"parts": True}, "rising"),
    (part(np.arange(4)[::2], None), {"parts": True}, "rising"),
    (part([0, 1], None), {"parts": True}, "rising"),
    (part(None, None, scales=[1.0]), {"parts": True}, "with a scale and lazy for each"),
    (part(None, None, lazy=[True]), {"parts": True}, "with a scale and lazy for each"),
])
def test_wrong_parts_change_nothing(parts, made, words):
    step, w = step_of(**made)
    with pytest.raises(ValueError, match=words):
        step.several(np.ones((8, 3)), None, np.zeros(8, "i8"), [], [], "sgd",
                     [{"learning_rate": 0.5}] * 2, parts=parts)
    assert (w == 1).all()


def test_a_step_of_a_part_leaves_those_after_it_whole():
    (step, w), (single, v) = step_of(parts=True), step_of()
    x, y, rule = np.arange(12.0).reshape(4, 3), np.array([0, 0, 1, 1]), {"learning_rate": 0.5}
    own = part(np.array([0, 2]), None, scales=[2.0, 1.0], lazy=[True, True], count=1)
    step.several(x, None, y, [], [], "sgd", [rule], parts=own)
    assert (w[1] == 1).all() and not (w == 1).all()
    np.testing.assert_allclose(w[0], 1 - 0.5 * 2 * x[:, 0] @ (0.5 - np.eye(2)[y]) / 4)
    v[...] = w
    assert step(x, y, [None], "sgd", **rule)[0] == single(x, y, [None], "sgd", **rule)[0]
    with pytest.raises(ValueError, match="no L2, plans and draws"):
        step.several(x, None, y, [None], [False], "sgd", [rule], parts=own)


def test_what_is_stepped_need_not_be_of_the_layers():
    w, b, dw, db = np.ones((3, 2)), np.zeros(2), np.ones((3, 2)), np.zeros(2)
    more, gradient = np.ones(5), np.ones(5)
    step, _ = step_of(weights=[w], biases=[b], dweights=[dw], dbiases=[db], stepped=[
        (w[:], dw, 0.0), (b[:], db, 0.0), (more, gradient, 0.0)])
    single, v = step_of()
    x, y = np.arange(12.0).reshape(4, 3), np.array([0, 1, 1, 0])
    for one in (step, single):
        one(x, y, [None], "sgd", learning_rate=0.5)
    np.testing.assert_array_equal(w, v)
    assert (more == 0.5).all()


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


@pytest.mark.parametrize("bad", [3, 20, 69])
@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("name", ["scattered", "slice, lazy", "one hidden layer", "l2"])
def test_what_a_loss_that_is_not_finite_leaves(name, anew, bad, monkeypatch):
    """The gradients of the last step that was taken, and no states of parameters without one."""
    whole, found = FLAT.copy(), []
    whole[bad] = np.nan
    for together in (True, False):
        monkeypatch.setattr(DenseStack, "available", staticmethod(lambda own=together: own))
        layers = MODELS.get(name, lambda: BATCHWISE[name][0]().layers)()
        trainer = Trainer(Sequential([one for one in layers if not isinstance(one, Flatten)]),
                          "softmax_cross_entropy", "adam", rng=3)
        trainer.fit(FLAT, LABELS, epochs=1, batch_size=16, progress=False)
        if anew:
            trainer.model = copy.deepcopy(trainer.model)
        with pytest.raises(NonFiniteLossError):
            trainer.fit(whole, LABELS, epochs=1, batch_size=16, shuffle=False, progress=False)
        own = [one.gradient for one in trainer.model.parameters()]
        found.append(([(one.array.copy(), repr(one.submatrix), one.lazy) for one in own],
                      [one.grad for one in trainer.model.parameters()],
                      trainer.optimizer.state_dict()))
    (parts, grads, state), (expected, others, known) = found
    for (array, *own), (other, *same) in zip(parts, expected, strict=True):
        np.testing.assert_array_equal(array, other)
        assert own == same
    for one, other in zip(grads, others, strict=True):
        np.testing.assert_array_equal(one, other)
    assert state.keys() == known.keys()


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
@pytest.mark.parametrize("name", ["scattered", "slice, lazy", "l2", "images"])
def test_a_copy_of_a_trainer_goes_on_by_itself(name, clone):
    model = MODELS.get(name, lambda: BATCHWISE[name][0]().layers)()
    x = X if name == "images" else FLAT
    trainer = Trainer(Sequential(model), "softmax_cross_entropy", "adam", rng=3)
    trainer.fit(x, LABELS, epochs=1, batch_size=16, progress=False)
    twin, before = clone(trainer), trainer.model.state_dict()
    twin.fit(x, LABELS, epochs=2, batch_size=16, progress=False)
    for key, array in trainer.model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])
    trainer.fit(x, LABELS, epochs=2, batch_size=16, progress=False)
    for key, array in trainer.model.state_dict().items():
        np.testing.assert_array_equal(array, twin.model.state_dict()[key])


def test_a_step_of_the_squared_error():
    step, w = step_of("mean_squared_error")
    x, t = np.arange(12.0).reshape(4, 3), np.arange(8.0).reshape(4, 2)
    loss, accuracy, _ = step(x, t, [None], "sgd", learning_rate=0.5)
    difference = x @ np.ones((3, 2)) - t
    assert loss == pytest.approx((difference**2).mean()) and accuracy is None
    np.testing.assert_allclose(w, 1 - 0.5 * x.T @ difference / 4)
