"""Optimizers against a plain-NumPy reference and, where it is installed, PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from optimizer_reference import CASES, IN_TORCH, Case

from cydropout import functional
from cydropout._kernels import api
from cydropout.functional import Gradient
from cydropout.layers._layer import Parameter
from cydropout.training import optimizers
from cydropout.training.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop

SHAPES = [(7, 5), (1,), (129,), (3, 1, 2)]


def test_every_optimizer_has_a_row():
    assert {type(make()) for make, *_ in CASES.values()} == {*optimizers.NAMES.values()}


def test_settings_are_checked_whenever_they_are_set():
    optimizer = SGD(0.1, momentum=0.9)
    for wrong in (True, "0.5", None, np.ones(2), 1.0):
        with pytest.raises((TypeError, ValueError), match="momentum of SGD"):
            optimizer.momentum = wrong
    assert optimizer.momentum == 0.9


def test_an_optimizer_of_one_class():
    """What CONTRIBUTING says: a formula of the kernels, with other settings, is a class alone."""
    class Signed(Optimizer):
        """``v = g^2``; ``w -= lr g / (sqrt(v) + epsilon)``."""

        kind, slots = "rmsprop", ("v",)

        def rule(self, step):
            return {"learning_rate": self.learning_rate, "beta2": 0.0, "epsilon": 1e-30}

    optimizer, parameter = Signed(0.5), Parameter(np.zeros(3), "w")
    parameter.accumulate(np.array([3.0, -0.25, 8.0]))
    optimizer.step([parameter])
    np.testing.assert_allclose(parameter.value, [-0.5, 0.5, -0.5])
    assert [*optimizer.state_dict()] == ["steps", "learning_rate", "w.v"]
    assert repr(optimizer) == "Signed(learning_rate=0.5)"


@pytest.fixture(params=CASES, name="case")
def _case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def parameters(dtype: str) -> list[Parameter]:
    rng = np.random.default_rng(0)
    return [
        Parameter(rng.standard_normal(shape).astype(dtype), f"{place}.layer.weight")
        for place, shape in enumerate(SHAPES)
    ]


def gradients(step: int, dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng([1, step])
    return [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]


def advance(optimizer: Optimizer, params: list[Parameter], steps: range, dtype: str) -> None:
    for step in steps:
        for parameter, gradient in zip(params, gradients(step, dtype), strict=True):
            parameter.zero_grad()
            parameter.accumulate(gradient)
        optimizer.step(params)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_reference(case: Case, dtype: str) -> None:
    make, expected, _, _ = case
    optimizer, params = make(), parameters(dtype)
    runs = [expected(parameter.value.copy()) for parameter in params]
    for run in runs:
        next(run)
    tolerance = 3e-6 if dtype == "float32" else 1e-13
    for step in range(100):
        advance(optimizer, params, range(step, step + 1), dtype)
        for parameter, run, gradient in zip(params, runs, gradients(step, dtype), strict=True):
            wanted = run.send(gradient)
            assert parameter.value.dtype == dtype
            np.testing.assert_allclose(
                parameter.value, wanted, rtol=10 * tolerance, atol=10 * tolerance
            )
    assert optimizer.steps == 100


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", IN_TORCH, indirect=True)
def test_torch(case: Case, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    make, _, name, settings = case
    optimizer, params = make(), parameters(dtype)
    tensors = [torch.nn.Parameter(torch.tensor(parameter.value)) for parameter in params]
    theirs = getattr(torch.optim, name)(tensors, **settings)
    for step in range(100):
        for tensor, gradient in zip(tensors, gradients(step, dtype), strict=True):
            tensor.grad = torch.tensor(gradient)
        theirs.step()
    advance(optimizer, params, range(100), dtype)
    tolerance = 3e-5 if dtype == "float32" else 1e-12
    for parameter, tensor in zip(params, tensors, strict=True):
        np.testing.assert_allclose(
            parameter.value, tensor.detach().numpy(), rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_resumed_run_is_the_same_to_the_bit(
    case: Case, dtype: str
) -> None:
    make = case[0]
    whole, params = make(), parameters(dtype)
    advance(whole, params, range(4), dtype)
    whole.learning_rate = 0.007
    state, values = whole.state_dict(), [parameter.value.copy() for parameter in params]
    advance(whole, params, range(4, 9), dtype)
    other, resumed = make(), parameters(dtype)
    for parameter, value in zip(resumed, values, strict=True):
        parameter.value[...] = value
    other.load_state_dict(state)
    advance(other, resumed, range(4, 9), dtype)
    for one, two in zip(params, resumed, strict=True):
        np.testing.assert_array_equal(one.value, two.value)
    mine, theirs = whole.state_dict(), other.state_dict()
    assert list(mine) == list(theirs)
    for key, value in mine.items():
        np.testing.assert_array_equal(value, theirs[key])


def test_gradients_and_saved_state_are_left_alone(
    case: Case,
) -> None:
    optimizer, params = case[0](), parameters("float32")
    advance(optimizer, params, range(1), "float32")
    for parameter, gradient in zip(params, gradients(0, "float32"), strict=True):
        np.testing.assert_array_equal(parameter.grad, gradient)
    state = optimizer.state_dict()
    before = {key: np.copy(value) for key, value in state.items()}
    advance(optimizer, params, range(1, 2), "float32")
    for key, value in state.items():
        np.testing.assert_array_equal(value, before[key])


def test_state_keys() -> None:
    optimizer, params = Adam(), parameters("float32")[:1]
    params[0].accumulate(np.ones((7, 5), "float32"))
    optimizer.step(params)
    keys = ["steps", "learning_rate", "0.layer.weight.m", "0.layer.weight.v"]
    assert list(optimizer.state_dict()) == keys
    plain = SGD()
    plain.step(params)
    assert plain.state_dict() == {"steps": 1, "learning_rate": 0.01}


def test_no_gradient_counts_as_zero() -> None:
    parameter = Parameter(np.ones(3), "w")
    SGD().step([parameter])
    np.testing.assert_array_equal(parameter.value, np.ones(3))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("steps"), "steps"),
        (lambda s: s.pop("w.m"), r"'w' lacks \['m'\]"),
        (lambda s: s.update({"w.velocity": np.zeros(3)}), "velocity"),
        (lambda s: s.update({"learning_rate": -1.0}), "-1.0"),
    ],
)
def test_wrong_state(change: Callable[[dict[str, Any]], object], words: str) -> None:
    optimizer, parameter = Adam(), Parameter(np.ones(3), "w")
    optimizer.step([parameter])
    state = optimizer.state_dict()
    change(state)
    with pytest.raises(ValueError, match=words):
        optimizer.load_state_dict(state)
    assert optimizer.steps == 1 and optimizer.learning_rate == 0.001


@pytest.mark.parametrize("value", [np.ones(4), np.ones(3, "float32")])
def test_state_of_another_model(value: np.ndarray) -> None:
    optimizer, first = Adam(), Parameter(np.ones(3), "w")
    optimizer.step([first])
    optimizer.load_state_dict(optimizer.state_dict())
    other = Parameter(value, "w")
    with pytest.raises(ValueError, match="'w'"):
        optimizer.step([Parameter(np.ones(2), "first"), other])
    assert optimizer.steps == 1
    np.testing.assert_array_equal(other.value, np.ones_like(value))


def test_repeated_names() -> None:
    with pytest.raises(ValueError, match="unique"):
        SGD().step([Parameter(np.ones(3), "w"), Parameter(np.ones(3), "w")])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SGD(-0.1), "learning_rate.*-0.1"),
        (lambda: SGD(float("nan")), "learning_rate.*nan"),
        (lambda: SGD(0.1, momentum=1.0), "momentum.*1.0"),
        (lambda: SGD(0.1, nesterov=True), "momentum"),
        (lambda: SGD(0.1, weight_decay=-1), "weight_decay.*-1"),
        (lambda: Adam(beta1=1.0), "beta1.*1.0"),
        (lambda: Adam(beta2=-0.1), "beta2.*-0.1"),
        (lambda: Adam(epsilon=0), "epsilon.*0"),
        (lambda: AdamW(weight_decay=float("inf")), "weight_decay.*inf"),
        (lambda: RMSprop(rho=1.5), "rho.*1.5"),
        (lambda: optimizers.get("adma"), "adma.*adam"),
        (lambda: optimizers.get("adam", -1), "-1"),
        (lambda: optimizers.get(Adam(), 0.1), "learning_rate"),
    ],
)
def test_wrong_settings(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_get() -> None:
    for name, kind in optimizers.NAMES.items():
        assert type(optimizers.get(name)) is kind
        assert optimizers.get(name, 0.25).learning_rate == 0.25
        assert repr(optimizers.get(name)).startswith(f"{kind.__name__}(learning_rate=")
    optimizer = SGD()
    assert optimizers.get(optimizer) is optimizer
    with pytest.raises(TypeError, match="3"):
        optimizers.get(3)  # type: ignore[arg-type]


def test_what_is_not_trainable_is_left_alone():
    mean = Parameter(np.ones(3), "mean", trainable=False)
    weight = Parameter(np.ones(3), "weight")
    for parameter in (mean, weight):
        parameter.accumulate(np.ones(3))
    optimizer = SGD(0.5, momentum=0.9)
    optimizer.step([mean, weight])
    assert (mean.value == 1).all() and (weight.value == 0.5).all()
    assert [*optimizer.state_dict()] == ["steps", "learning_rate", "weight.velocity"]


ADAM = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8, "step": 1}


def members(count=2):
    """Return parameters of both dtypes, each with a gradient and two arrays of state."""
    rng, found = np.random.default_rng(0), []
    for place in range(count):
        arrays = rng.random((4, 3 + place, 5), ("f4", "f8")[place % 2])
        found.append([np.array(array) for array in arrays])
    return found


def test_a_group_steps_as_its_members_do():
    together, apart = members(), members()
    whole = functional.StepGroup([(w, m, v) for w, _, m, v in together])
    some = functional.Submatrix((4, 5), [1, 3], [0, 2, 4])
    block = np.ones((2, 3))
    rule = functional.adam_rule(**ADAM)
    whole.step("adam", [Gradient(together[0][1]), Gradient(block, some, True)], **rule)
    (w, g, m, v), (w2, _, m2, v2) = apart
    functional.adam_step(w, g, m, v, **ADAM)
    functional.adam_step(w2, block, m2, v2, submatrix=some, lazy=True, **ADAM)
    for one, other in zip(together, apart, strict=True):
        for x, y in zip(one, other, strict=True):
            assert x.tobytes() == y.tobytes()
    assert not np.array_equal(w, members()[0][0])


def test_a_group_holds_its_arrays():
    (w, _, m, v), (w2, _, m2, v2) = members()
    group = functional.StepGroup([(w, m, v), (w2, m2, v2)])
    assert group.holds([(w, m, v), (w2, m2, v2)])
    assert not group.holds([(w, m, v)]) and not group.holds([(w, m, v), (w2, m2, v2.copy())])


@pytest.mark.parametrize(
    "grads, error, message",
    [
        (lambda g, h: [(g,)], ValueError, "2 parameters"),
        (lambda g, h: [(g,), (None,)], TypeError, "NoneType"),
        (lambda g, h: [(g,), (h.astype("f4"),)], ValueError, "float32"),
        (lambda g, h: [(g,), (h.T.copy(),)], ValueError, r"\(5, 4\)"),
        (lambda g, h: [(g,), (np.asfortranarray(h),)], ValueError, "contiguous"),
        (lambda g, h: [(g,), (h, None, True)], ValueError, "submatrix"),
        (lambda g, h: [(g,), (h, functional.Submatrix((4, 5), [1]), True)], ValueError, "block"),
        (lambda g, h: [(g,), (None, functional.Submatrix((4, 5), [1]), True)], TypeError, "block"),
    ],
)
def test_a_group_takes_gradients_that_fit_or_changes_nothing(grads, error, message):
    found = members()
    group = functional.StepGroup([(w, m, v) for w, _, m, v in found])
    with pytest.raises(error, match=message):
        given = [Gradient(*each) for each in grads(found[0][1], found[1][1])]
        group.step("adam", given, **functional.adam_rule(**ADAM))
    for one, other in zip(found, members(), strict=True):
        for x, y in zip(one, other, strict=True):
            assert x.tobytes() == y.tobytes()


def test_groups_refuse_what_a_step_cannot_take():
    w, g, m, v = members(1)[0]
    with pytest.raises(TypeError, match="None"):
        functional.StepGroup([(w, None, None)])
    for kind, states in (("adam", (m,)), ("rmsprop", (m, v)), ("rmsprop", ()), ("sgd", (m, v))):
        with pytest.raises(ValueError, match=f"not {len(states)}"):
            functional.StepGroup([(w, *states)]).step(kind, [Gradient(g)], learning_rate=0.1)
    with pytest.raises(ValueError, match="sdg"):
        functional.StepGroup([(w, m)]).step("sdg", [Gradient(g)], learning_rate=0.1)
    w.flags.writeable = False
    with pytest.raises(ValueError, match="write"):
        functional.StepGroup([(w, m, v)])
    with pytest.raises(ValueError, match="write"):
        functional.adam_step(w, g, m, v, **ADAM)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", [1, 7, 512, 2000])
def test_totals_are_folded_chunk_by_chunk(dtype, columns):
    totals = np.random.default_rng(0).standard_normal((5, columns + 300)).astype(dtype)
    expected = np.zeros(columns, dtype)
    for place, total in enumerate(totals.sum(axis=0)):
        expected[place % columns] += total
    np.testing.assert_array_equal(api.folded(totals, columns), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", [
    lambda: SGD(0.1, momentum=0.9), lambda: SGD(0.1, momentum=0.9, nesterov=True), Adam, AdamW])
def test_a_mean_ends_at_zero_where_gradients_are(make, dtype):
    """Not among numbers so small that CPUs take long for them."""
    optimizer, broken = make(), np.eye(3, 5) > 0
    weight = Parameter(np.ones((3, 5), dtype), "w")
    weight.grad = np.where(broken, np.nan, 1e-30)
    optimizer.step([weight])
    for _ in range(8000):
        weight.zero_grad()
        optimizer.step([weight])
    mean = optimizer.state_dict()[f"w.{optimizer.slots[0]}"]
    assert np.isnan(mean[broken]).all()
    assert not mean[~broken].any()
