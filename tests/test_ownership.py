"""Which parameters and layers belong to a layer; layers of several models; own layers."""

import copy
import json
import pickle

import numpy as np
import optimizer_reference
import pytest
from test_layers import ROWS

from cydropout import MaskStream, Trainer
from cydropout.layers import (
    ConcreteDropout,
    Context,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Layer,
    LayerDrop,
    LayerNorm,
    Parameter,
    ReLU,
    Residual,
    Sequential,
    TransformerBlock,
    WeightDropout,
)
from cydropout.layers._workspace import Workspace
from cydropout.training.callbacks import Guard, RateSchedule
from cydropout.training.optimizers import SGD, Adam


def training(**options):
    return Context(training=True, stream=MaskStream(3), **options)


def built(model, shape=(4,)):
    model.build(shape, 0, "float64")
    return model


def inputs(*shape):
    return np.random.default_rng(0).standard_normal(shape or (8, 4))


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


# ------------------------------------------------------------ layers in several models


@pytest.mark.parametrize("name", ROWS)
def test_another_model_changes_nothing_for_the_first(name):
    row = ROWS[name]
    layer = row.make()
    model = Sequential([layer], dtype="float64")
    model.build(row.shape[1:], 0)
    state, paths = model.state_dict(), [*dict(model.named_layers())]
    names, config, repr_ = [p.name for p in model.parameters()], model.get_config(), repr(model)
    table = model.summary()
    other = Sequential([Dropout(0.1, name="first"), Sequential([layer])], dtype="float64")
    other.build(row.shape[1:], 1)
    other.with_parameters({name: Parameter(p.value, "x") for name, p in other.named_parameters()})
    same(model.state_dict(), state)
    assert [*dict(model.named_layers())] == paths and model.summary() == table
    assert model.get_config() == config and repr(model) == repr_
    assert len(model.parameters()) == len(state) == len(other.state_dict())
    assert [*other.state_dict()] == [f"1.sequential.{key}" for key in state]
    assert all(a is b for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert layer.path == f"0.{layer.name}"
    # An optimizer that is given parameters without names still takes the first model's.
    if "1.sequential" not in "".join(names):
        assert [p.name.removeprefix("1.sequential.") for p in other.parameters()] == names


def test_the_first_model_is_whole_when_its_layers_stand_in_a_second_one():
    d0, d1 = Dense(5), Dense(2)
    a = built(Sequential([d0, d1]), (3,))
    b = Sequential([ReLU(), d0])
    names = ["0.dense.weight", "0.dense.bias", "1.dense.weight", "1.dense.bias"]
    assert [*a.state_dict()] == names and [*b.state_dict()] == ["1.dense.weight", "1.dense.bias"]
    before = a.state_dict()
    for parameter in a.parameters():
        parameter.value += 1
    a.load_state_dict(before)
    same(a.state_dict(), before)


def test_features_are_extracted_from_a_trained_model_that_is_saved(tmp_path):
    pytest.importorskip("safetensors")
    x, y = inputs(64, 6).astype("f4"), np.random.default_rng(1).integers(0, 2, 64)

    def model():
        return Sequential([Dense(8), ReLU(), Dropout(0.5), Dense(4), Dense(2)])

    def fit(model, epochs, optimizer, **options):
        t = Trainer(model, "softmax_cross_entropy", optimizer, rng=0)
        t.fit(x, y, epochs=epochs, progress=False, **options)
        return t

    path, whole = tmp_path / "run", fit(model(), 4, SGD(0.1, momentum=0.9))
    first = fit(model(), 2, SGD(0.1, momentum=0.9), checkpoint=path)
    Sequential(first.model.layers[2:]).build((8,), 0)
    fit(first.model, 3, first.optimizer, checkpoint=path, resume=True)
    again = fit(model(), 4, SGD(0.1, momentum=0.9), checkpoint=path, resume=True)
    same(again.model.state_dict(), whole.model.state_dict())
    assert [*again.optimizer.state_dict()] == [*whole.optimizer.state_dict()]


def test_nested_models_may_have_layers_of_the_same_name():
    model = Sequential([Sequential([Dense(4)]), Sequential([Dense(4)])])
    for inner in model.layers:
        inner.build((4,), 0)
    built(model)
    assert len(model.state_dict()) == 4
    t = Trainer(model, "mean_squared_error", SGD(0.1, momentum=0.9), rng=0)
    t.fit(inputs().astype("f4"), inputs().astype("f4"), epochs=1, progress=False)
    assert len(t.optimizer.state_dict()) == 2 + 4


# ------------------------------------------------------------ tied layers


def tied(where):
    d = Dense(4, activation="tanh", l2=0.1)
    return d, {
        "places": lambda: Sequential([d, d], dtype="float64"),
        "fused": lambda: Sequential([d, ReLU(), d, ReLU()], dtype="float64"),
        "nested": lambda: Sequential([Sequential([d], dtype="float64"),
                                      Sequential([d], dtype="float64")], dtype="float64"),
        "residual": lambda: Sequential([Residual(d), LayerDrop(d, 0.0)], dtype="float64"),
        "own": lambda: Sequential([Twice(d), d], dtype="float64"),
    }[where]()


class Twice(Layer):
    """A container of its own, which runs a layer twice."""

    def __init__(self, layer):
        super().__init__()
        self.stages = [layer, layer]

    def build(self, input_shape, rng=None, dtype=None):
        for layer in self.stages:
            layer.build(input_shape, rng, dtype)

    def forward(self, x, ctx):
        y, first = self.stages[0].forward(x, ctx)
        y, second = self.stages[1].forward(y, ctx)
        return y, lambda dy: first(second(dy))


TIED = ("places", "fused", "nested", "residual", "own")


@pytest.mark.parametrize("where", TIED)
def test_gradients_of_tied_layers_add_up_and_one_entry_is_saved(where):
    d, model = tied(where)
    built(model)
    x, eps = inputs(), 1e-6
    assert len(model.state_dict()) == len(model.parameters()) == 2
    assert f"{'total'} {20}" in " ".join(model.summary().split())
    y, backward = model.forward(x, training())
    backward(np.ones_like(y))
    penalty = model.penalty()
    assert penalty == pytest.approx(0.1 * np.square(d.parameters()[0].value).sum())
    for parameter in model.parameters():
        slope, numeric = parameter.grad.copy(), np.empty_like(parameter.value)
        for place in np.ndindex(parameter.value.shape):
            ends = []
            for step in (eps, -2 * eps):
                parameter.value[place] += step
                ends.append(model.forward(x, Context())[0].sum() + model.penalty())
            parameter.value[place] += eps
            numeric[place] = (ends[0] - ends[1]) / (2 * eps)
        np.testing.assert_allclose(slope, numeric, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("where", TIED)
def test_training_steps_of_tied_layers_are_those_of_any_others(where):
    found = []
    for workspace in (None, Workspace()):
        model = built(tied(where)[1])
        y, backward = model.forward(inputs(), training(workspace=workspace))
        backward(np.ones_like(y))
        found.append([y.copy(), *(parameter.grad for parameter in model.parameters())])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("where", TIED)
def test_tied_layers_stay_tied(where):
    _, model = tied(where)
    built(model)
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    if where != "own":
        copies.append(Sequential.from_config(json.loads(json.dumps(model.get_config()))))
        built(copies[-1])
        assert copies[-1].get_config() == model.get_config()
    for one in copies:
        one.load_state_dict(model.state_dict())
        np.testing.assert_array_equal(one(inputs()), model(inputs()))
        assert len(one.parameters()) == 2
    names = {name: Parameter(p.value * 2, name) for name, p in model.named_parameters()}
    twin = model.with_parameters(names)
    assert {id(p) for p in twin.parameters()} == {id(p) for p in names.values()}
    for parameter in model.parameters():
        parameter.value *= 2
    np.testing.assert_array_equal(twin.forward(inputs(), Context())[0], model(inputs()))


@pytest.mark.parametrize("make", [
    lambda noise: Sequential([noise, ReLU(), noise]),
    lambda noise: Sequential([Sequential([noise]), Sequential([noise])]),
    lambda noise: Residual(noise, noise),
    lambda noise: Sequential([Residual(noise), LayerDrop(Sequential([noise]), 0.1)]),
    lambda noise: Sequential([noise, Twice(noise)]),
])
@pytest.mark.parametrize("noise", [
    lambda: Dropout(0.5), lambda: WeightDropout(Dense(4), 0.5), lambda: Residual(Dense(4)),
    lambda: ConcreteDropout(Dense(4)), lambda: TransformerBlock(4, 2, 4),
    lambda: Embedding(3, 4),
])
def test_noise_has_one_place_in_a_model(make, noise):
    with pytest.raises(ValueError, match=r"draws masks, and is used twice.*give each place"):
        make(noise())


# ------------------------------------------------------------ own layers


class Scale(Layer):
    """``y = g x``, with dropout and more layers inside."""

    def __init__(self, rate=0.5):
        super().__init__()
        self.drop = Dropout(rate)
        self.pair = (Dense(4), LayerNorm())
        self.more = {"last": Dense(4)}

    def build(self, input_shape, rng=None, dtype=None):
        self.g = Parameter(np.ones(input_shape[-1], dtype or "f4"), "g")
        for layer in (*self.pair, self.more["last"]):
            layer.build(input_shape, rng, dtype)

    def forward(self, x, ctx):
        g, backs, h = self.g, [], x
        for layer in (*self.pair, self.more["last"], self.drop):
            h, back = layer.forward(h, ctx)
            backs.append(back)

        def backward(dy):
            self.g.accumulate((dy * h).sum(axis=0))
            dy = dy * g.value
            for back in reversed(backs):
                dy = back(dy)
            return dy

        return g.value * h, backward


NAMES = ["g", "pair.0.weight", "pair.0.bias", "pair.1.weight", "pair.1.bias", "more.last.weight",
         "more.last.bias"]


def test_attributes_that_are_parameters_or_layers_belong_to_a_layer():
    own = Scale()
    model = built(Sequential([own, Dense(2)]))
    assert [*own.state_dict()] == NAMES
    assert [*model.state_dict()] == [
        *(f"0.scale.{name}" for name in NAMES), "1.dense.weight", "1.dense.bias"]
    assert f"{4 + 20 + 8 + 20}" in model.summary().splitlines()[3]
    assert own.drop in model.walk()
    paths = dict(model.named_layers())
    assert paths["0.scale.drop"] is own.drop and paths["0.scale.pair.1"] is own.pair[1]
    assert [p.name for p in model.parameters()] == [*model.state_dict()]
    own.g = Parameter(np.zeros(4), "g")
    own.more["last"] = own.pair[0]
    assert own.parameters()[0] is own.g and len(own.parameters()) == 5
    del own.g, own.more
    own.pair = ()
    assert own.parameters() == [] and [*own.children()] == ["drop"]


@pytest.mark.parametrize("wrap", [
    lambda layer: layer, lambda layer: Sequential([layer]), lambda layer: Residual(layer),
    lambda layer: LayerDrop(layer, 0.0), lambda layer: WeightDropout(layer, 0.1, ["g"]),
])
def test_what_is_inside_an_own_layer_is_trained_saved_and_scheduled(wrap, tmp_path):
    pytest.importorskip("safetensors")
    x, y = inputs(32, 4).astype("f4"), np.arange(32) % 2

    def fit(epochs, **options):
        own = Scale()
        model = Sequential([wrap(own), Dense(2)])
        t = Trainer(model, "softmax_cross_entropy", "adam", rng=0)
        seen = Guard(1.0)
        schedule = RateSchedule(lambda step: 0.25)
        t.fit(x, y, epochs=epochs, progress=False, callbacks=[schedule, seen], **options)
        assert own.drop.rate == 0.25
        path = next(path for path, layer in model.named_layers() if layer is own.drop)
        assert seen.shares[path] == pytest.approx(0.25, abs=0.15)
        return t

    whole, path = fit(3), tmp_path / "run"
    before = Sequential([wrap(Scale()), Dense(2)])
    before.build((4,), 0)
    for name, value in whole.model.state_dict().items():
        assert not np.array_equal(value, before.state_dict()[name]), name
    fit(1, checkpoint=path)
    again = fit(3, checkpoint=path, resume=True)
    same(again.model.state_dict(), whole.model.state_dict())
    masks = {}
    whole.model.forward(x, training(masks=masks))
    assert any(isinstance(layer, Dropout) and layer.rate == 0.25 for layer in masks)


def test_a_limit_holds_for_the_layers_inside():
    x, y = inputs(32, 4).astype("f4"), np.arange(32) % 2
    for path in ("0.scale", "0.scale.drop"):
        t = Trainer(Sequential([Scale(0.9), Dense(2)]), "softmax_cross_entropy", "adam", rng=0)
        with pytest.raises(RuntimeError, match=r"'0\.scale\.drop' dropped"):
            t.fit(x, y, epochs=1, progress=False, callbacks=[Guard({path: 0.5})])


def test_wrappers_whose_parameters_have_the_same_name_keep_both():
    layer = built(ConcreteDropout(ConcreteDropout(Dense(3), 0.2), 0.4))
    assert [*layer.state_dict()] == ["logit", "layer.logit", "weight", "bias"]
    state = layer.state_dict()
    assert state["logit"] > state["layer.logit"]
    other = built(ConcreteDropout(ConcreteDropout(Dense(3))))
    other.load_state_dict(state)
    assert other.rate == pytest.approx(0.4) and other.layer.rate == pytest.approx(0.2)


class Forgetful(Layer):
    def __init__(self):
        self.units = 3


@pytest.mark.parametrize("use", [
    lambda layer: Sequential([layer]), lambda layer: Residual(layer), lambda layer: layer.name,
    lambda layer: Trainer(layer, "mean_squared_error", "sgd").fit(
        inputs(), inputs(), epochs=1, progress=False),
    lambda layer: layer.get_config(), repr,
])
def test_a_layer_that_forgot_its_base_says_so(use):
    with pytest.raises(AttributeError, match=r"Forgetful.*super\(\).__init__\(\)"):
        use(Forgetful())


def test_a_penalty_of_its_own_is_not_taken_for_that_of_all():
    with pytest.raises(TypeError, match="own_penalty"):
        type("Wrong", (Layer,), {"penalty": lambda self: 1.0})


def test_an_attribute_that_is_missing_is_named():
    with pytest.raises(AttributeError, match="'Dense' object has no attribute 'unit'"):
        _ = Dense(3).unit
    assert copy.copy(Dense(3)).units == 3


# ------------------------------------------------------------ the state of optimizers


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


def test_flatten_may_stand_in_two_models():
    flatten = Flatten()
    one, two = Sequential([flatten, Dense(2)]), Sequential([ReLU(), flatten])
    built(one, (2, 3))
    assert one.forward(inputs(3, 2, 3), Context())[0].shape == (3, 2)
    assert two.paths == ["0.relu", "1.flatten"] and one.paths == ["0.flatten", "1.dense"]
