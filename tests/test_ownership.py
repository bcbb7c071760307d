"""Which parameters and layers belong to a layer; layers of several models; own layers."""

import copy
from collections import deque
from functools import reduce
from types import MappingProxyType

import numpy as np
import pytest
from test_layers import ROWS

from cydropout import MaskStream, Trainer
from cydropout.layers import (
    ConcreteDropout,
    Context,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LayerDrop,
    LayerNorm,
    Parameter,
    ReLU,
    Residual,
    Sequential,
    WeightDropout,
)
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


def test_flatten_may_stand_in_two_models():
    flatten = Flatten()
    one, two = Sequential([flatten, Dense(2)]), Sequential([ReLU(), flatten])
    built(one, (2, 3))
    assert one.forward(inputs(3, 2, 3), Context())[0].shape == (3, 2)
    assert two.paths == ["0.relu", "1.flatten"] and one.paths == ["0.flatten", "1.dense"]


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


# ------------------------------------------------------------ whatever they are held in


class Held(Layer):
    """Layers one after the other, in whatever holds them."""

    def __init__(self, held):
        super().__init__()
        self.held = held

    def build(self, input_shape, rng=None, dtype=None):
        for layer in self.children().values():
            layer.build(input_shape, rng, dtype)

    def forward(self, x, ctx):
        backs = []
        for layer in self.children().values():
            x, back = layer.forward(x, ctx)
            backs.insert(0, back)
        return x, lambda dy: reduce(lambda d, back: back(d), backs, dy)


HELD = {
    "list": (lambda: [Dense(4)], "held.0"),
    "lists": (lambda: [[Dense(4)]], "held.0.0"),
    "tuples of dicts": (lambda: ({"a": [Dense(4)]},), "held.0.a.0"),
    "dict of lists": (lambda: {"a": [Dense(4)], "b": 3}, "held.a.0"),
    "deque": (lambda: deque([Dense(4)]), "held.0"),
    "proxy": (lambda: MappingProxyType({1: (Dense(4),)}), "held.1.0"),
}


@pytest.mark.parametrize("name", HELD)
def test_layers_belong_to_what_holds_them_however_deep(name):
    make, path = HELD[name]
    own = Held(make())
    model = built(Sequential([own, Dense(2)]))
    names = [f"{path}.weight", f"{path}.bias"]
    assert [*own.state_dict()] == names and [*dict(model.named_layers())][1] == f"0.held.{path}"
    twin = own.with_parameters({names[0]: Parameter(np.zeros((4, 4)), "w"),
                                names[1]: Parameter(np.ones(4), "b")})
    assert (twin.forward(inputs(), Context())[0] == 1).all() and [*twin.state_dict()] == names
    assert not (own.forward(inputs(), Context())[0] == 1).any()
    own.freeze()
    assert not own.needs_gradient and model.needs_gradient
    with pytest.raises(ValueError, match="is used twice"):
        Sequential([Held([[noise := Dropout(0.5)]]), noise])


def test_a_model_holds_each_layer_at_its_place_alone():
    model = built(Sequential([Dense(4), ReLU(), Dropout(0.5), Residual(Dense(4))]))
    assert [*model.children()] == ["0.dense", "1.relu", "2.dropout", "3.residual"] == model.paths


@pytest.mark.parametrize("held, kind", [
    (lambda: {Dense(4)}, "set"), (lambda: [frozenset([Dense(4)])], "frozenset"),
    (lambda: np.array([Dense(4)], object), "ndarray"),
    (lambda: {Parameter(np.ones(1), "w")}, "set"),
])
def test_what_has_no_order_holds_no_layers(held, kind):
    with pytest.raises(TypeError, match=rf"is held in a {kind}; use a list"):
        Held(held()).parameters()


def test_no_layer_hides_behind_the_name_of_another():
    with pytest.raises(ValueError, match=r"Held holds several layers by the name 'held\.0'"):
        Held({0: Dense(4), "0": Dense(4)}).state_dict()
    own = Held({0: Parameter(np.ones(1), "a"), "0": Parameter(np.ones(2), "b")})
    assert [*own.state_dict()] == ["held.0", "layer.held.0"]


def test_a_layer_that_holds_itself_is_walked_once_and_not_copied():
    own = Held([Dense(4)])
    own.held.append(own)
    assert [type(one) for one in own.walk()] == [Held, Dense]
    own.held[0].build((4,), 0)
    with pytest.raises(ValueError, match="parameters of a Held inside itself"):
        own.with_parameters({"held.0.bias": Parameter(np.ones(4), "b")})


def test_a_copy_with_other_parameters_has_tied_layers_once():
    dense = Dense(4)
    model = built(Sequential([dense, ReLU(), dense]))
    twin = model.with_parameters({"0.dense.bias": Parameter(np.ones(4), "b")})
    assert twin.layers[0] is twin.layers[2] is not dense


# ------------------------------------------------------------ what stands for a parameter


MASKED = np.ma.masked_array(np.ones((4, 4)), np.eye(4))


@pytest.mark.parametrize("take", [
    lambda layer: Parameter(MASKED, "w"), lambda layer: layer.parameters()[0].accumulate(MASKED),
    lambda layer: setattr(layer.parameters()[0], "grad", MASKED),
    lambda layer: layer.load_state_dict(layer.state_dict() | {"weight": MASKED}),
    lambda layer: layer.load_torch_state(layer.torch_state() | {"weight": MASKED}),
    lambda layer: Adam().load_state_dict(
        {"steps": 1, "learning_rate": 0.1, "w.m": MASKED, "w.v": np.ones((4, 4))}),
])
def test_no_mask_of_a_parameter_is_lost(take):
    layer = built(Dense(4))
    with pytest.raises(TypeError, match="is a masked array"):
        take(layer)
    assert layer.parameters()[0].grad.sum() == 0


@pytest.mark.parametrize("make, words", [
    (lambda: Parameter([1.0], "w"), "value of 'w' must be a NumPy array, not list"),
    (lambda: Parameter(np.ones(1), "w", trainable="no"), "trainable must be True or False"),
    (lambda: setattr(Parameter(np.ones(1), "w"), "trainable", 1), "trainable must be True"),
])
def test_what_is_no_parameter_is_named(make, words):
    with pytest.raises(TypeError, match=words):
        make()
