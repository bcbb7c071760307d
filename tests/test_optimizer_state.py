"""The state of an optimizer belongs to the parameters, and goes with them."""

import copy
import pickle

import numpy as np
import optimizer_reference
import pytest
from test_ownership import inputs, same

from cydropout import Trainer
from cydropout.layers import Dense, Parameter, Sequential
from cydropout.training.optimizers import SGD, Adam


def stepped(optimizer, parameter, gradient, steps=1):
    for _ in range(steps):
        parameter.zero_grad()
        parameter.accumulate(np.full(parameter.value.shape, gradient))
        optimizer.step([parameter])
    return parameter


def weight():
    return Parameter(np.zeros(1), "w")


def test_a_new_parameter_of_the_same_name_begins_anew():
    optimizer = Adam(0.1)
    stepped(optimizer, weight(), 1.0, 10)
    assert stepped(optimizer, weight(), -1.0).value == pytest.approx(0.1)


def test_layers_that_change_places_are_saved_by_their_new_names():
    first, second, optimizer = Dense(4), Dense(4), Adam(0.1)
    for model in (Sequential([first, second]), Sequential([second, first])):
        trainer = Trainer(model, "softmax_cross_entropy", optimizer, rng=0)
        trainer.fit(np.ones((8, 4), "f4"), np.arange(8) % 4, epochs=2, batch_size=4, progress=False)
        state = optimizer.state_dict()
        for name, parameter in model.named_parameters():
            (own,) = optimizer._states.of([(name, parameter)], 2)
            np.testing.assert_array_equal(state[f"{name}.m"], own.arrays[0])


MAKERS = optimizer_reference.OPTIMIZERS


@pytest.mark.parametrize("name", MAKERS)
def test_parameters_of_one_name_do_not_touch_each_other(name):
    make = MAKERS[name]
    apart = [stepped(make(), weight(), g, 5) for g in (1.0, -0.5)]
    shared, one, two = make(), weight(), weight()
    for _ in range(5):
        stepped(shared, one, 1.0)
        stepped(shared, two, -0.5)
    assert [one.value, two.value] == [p.value for p in apart]
    alone, last = make(), weight()
    stepped(alone, last, -0.5, 5)
    mine, theirs = shared.state_dict(), alone.state_dict()
    for slot in alone.slots:
        np.testing.assert_array_equal(mine[f"w.{slot}"], theirs[f"w.{slot}"])


COPIES = [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))]


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("name", MAKERS)
def test_a_copy_goes_on_where_the_original_does(name, copied):
    optimizer, one, two = MAKERS[name](), weight(), weight()
    for _ in range(3):
        stepped(optimizer, one, 1.0)
        stepped(optimizer, two, -0.5)
    other, first, second = copied((optimizer, one, two))
    alone, last = copied(optimizer), copied(two)
    for which, gradient in ((one, 0.25), (two, 0.75)):
        stepped(optimizer, which, gradient)
    stepped(other, first, 0.25)
    stepped(other, second, 0.75)
    stepped(alone, last, 0.75)
    assert first.value == one.value and second.value == two.value == last.value
    # While what was copied with it lives, a copied state is that parameter's alone.
    together = copied((optimizer, one, two))
    fresh = stepped(MAKERS[name](), weight(), 3.0)
    assert stepped(together[0], weight(), 3.0).value == fresh.value


def test_state_that_was_loaded_waits_for_its_name():
    optimizer, w = Adam(0.1), weight()
    stepped(optimizer, w, 1.0, 4)
    state, other = optimizer.state_dict(), Adam(0.1)
    other.load_state_dict(state)
    same({k: np.asarray(v) for k, v in other.state_dict().items()},
         {k: np.asarray(v) for k, v in state.items()})
    twin = Parameter(w.value.copy(), "another")
    for optimizer_, one in ((optimizer, w), (other, twin)):
        one.zero_grad()
        one.accumulate(np.ones(1))
        optimizer_.step({"w": one})
    assert twin.value == w.value and [*other.state_dict()] == [*state]
    assert stepped(other, weight(), -1.0).value == pytest.approx(0.1)


def test_steps_of_a_parameter_that_came_later_are_saved():
    optimizer, old, late = Adam(0.1), weight(), Parameter(np.zeros(1), "late")
    stepped(optimizer, old, 1.0, 10)
    stepped(optimizer, late, 1.0)
    state = optimizer.state_dict()
    assert state["steps"] == 11 and state["late.steps"] == 1 and state["w.steps"] == 10
    other = Adam(0.1)
    other.load_state_dict(state)
    twins = [Parameter(one.value.copy(), one.name) for one in (old, late)]
    for optimizer_, pair in ((optimizer, (old, late)), (other, twins)):
        for one in pair:
            one.zero_grad()
            one.accumulate(np.ones(1))
        optimizer_.step(pair)
    assert [one.value for one in twins] == [old.value, late.value]
    state.pop("late.m")
    with pytest.raises(ValueError, match=r"'late' lacks \['m'\]"):
        other.load_state_dict(state)


def test_a_parameter_that_is_gone_leaves_no_state():
    optimizer = Adam(0.1)
    stepped(optimizer, weight(), 1.0)
    assert [*optimizer.state_dict()] == ["steps", "learning_rate"]


def test_models_of_several_folds_train_alike_with_one_optimizer():
    x, y = inputs(32, 4).astype("f4"), np.arange(32) % 2

    def fit(optimizer):
        model = Sequential([Dense(4), Dense(2)])
        Trainer(model, "softmax_cross_entropy", optimizer, rng=0).fit(
            x, y, epochs=2, progress=False)
        return model.state_dict()

    optimizer = Adam(0.1)
    first = fit(optimizer)
    same(fit(optimizer), first)


def test_one_parameter_is_not_stepped_twice():
    w = weight()
    with pytest.raises(ValueError, match="'a' and 'b' are one parameter"):
        SGD(0.1).step({"a": w, "b": w})
    other = Parameter(w.value, "other")
    with pytest.raises(ValueError, match="share memory"):
        SGD(0.1).step([w, other])
    assert w.value == 0


@pytest.mark.parametrize("change, words", [
    ({"steps": True}, "steps must be an integer"), ({"steps": 1.5}, "steps must be an integer"),
    ({"steps": -1}, "at least 0, not -1"), ({"learning_rate": "0.1"}, "learning_rate"),
    ({"w.steps": -1}, "w.steps must be an integer"),
])
def test_a_state_that_is_none_changes_nothing(change, words):
    optimizer = Adam(0.2)
    stepped(optimizer, w := weight(), 1.0)
    state = optimizer.state_dict()
    with pytest.raises(ValueError, match=words):
        optimizer.load_state_dict(state | {"learning_rate": 0.3} | change)
    assert optimizer.learning_rate == 0.2 and optimizer.steps == 1
    assert stepped(optimizer, w, 1.0).value == pytest.approx(-0.4)
