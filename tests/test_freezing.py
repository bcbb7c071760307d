"""A frozen layer: nothing about it is computed, counted, moved or changed."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import optimizer_reference
import pytest
from test_layers import ROWS, built, draw, training

from cydropout import MaskStream, Trainer
from cydropout.layers import (
    BatchNorm,
    BatchwiseDropout,
    Context,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Parameter,
    ReLU,
    Residual,
    Sequential,
)
from cydropout.layers._workspace import Workspace
from cydropout.training.optimizers import AdamW

LEARNING = [name for name, row in ROWS.items() if built(row).parameters()]
OPTIMIZERS = optimizer_reference.OPTIMIZERS


def passed(layer, row, ctx=None):
    """Return the output and the gradient of the input, of one pass."""
    for parameter in layer.parameters():
        parameter.zero_grad()
    y, backward = layer.forward(draw(row.shape, 1), ctx or training())
    return y, backward(draw(y.shape, 2))


def bits(layer):
    return {name: value.tobytes() for name, value in layer.state_dict().items()}


@pytest.fixture
def products(monkeypatch):
    """Count the matrix products of NumPy."""
    made = []

    def matmul(*args, real=np.matmul, **options):
        made.append(1)
        return real(*args, **options)

    monkeypatch.setattr(np, "matmul", matmul)
    return made


# ------------------------------------------------------------ every layer


@pytest.mark.parametrize("name", LEARNING)
def test_a_frozen_layer_has_the_same_pass_and_no_gradient(name):
    row = ROWS[name]
    layer, trained = built(row), built(row)
    layer.freeze()
    assert not layer.trainable and trained.trainable
    before = bits(layer)
    of_batch = any(isinstance(one, BatchNorm) for one in layer.walk())
    y, dx = passed(layer, row)
    if not of_batch:
        expected, dexpected = passed(trained, row)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(dx, dexpected)
    assert all(parameter._grad is None for parameter in layer.parameters())
    assert layer.penalty() == 0 and bits(layer) == before


@pytest.mark.parametrize("name", LEARNING)
def test_a_layer_that_is_not_frozen_any_more_is_as_before(name):
    row = ROWS[name]
    layer, trained = built(row), built(row)
    layer.freeze()
    passed(layer, row)
    layer.unfreeze()
    assert layer.trainable
    flags = [[one.trainable for one in each.parameters()] for each in (layer, trained)]
    assert flags[0] == flags[1]
    for one, other in zip(passed(layer, row), passed(trained, row), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(layer.parameters(), trained.parameters(), strict=True):
        np.testing.assert_array_equal(one.grad, other.grad)


@pytest.mark.parametrize("name", LEARNING)
def test_a_layer_that_is_frozen_before_it_is_built_stays_so(name):
    row, layer = ROWS[name], ROWS[name].make()
    layer.trainable = False
    assert not layer.trainable
    for each in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        each.build(row.shape[1:], 0)
        assert not each.trainable and each.parameters()
        assert not any(parameter.trainable for parameter in each.parameters())
    layer.trainable = True
    layer.build(row.shape[1:], 0)
    assert layer.trainable


@pytest.mark.parametrize("name", LEARNING)
def test_a_frozen_layer_is_not_changed_by_training(name):
    row = ROWS[name]

    def fit(freeze):
        model = Sequential([row.make(), Flatten(), Dense(2)], dtype="float64")
        if freeze:
            model.layers[0].freeze()
        t = Trainer(model, "softmax_cross_entropy", AdamW(0.1, weight_decay=0.1), rng=0,
                    clip_norm=0.5, clip_value=0.1)
        x = np.concatenate([draw(row.shape, 1)] * 2)
        y = (np.arange(len(x)) < 1).astype(int)
        t._build(x)
        before = bits(model)
        t.fit(x, y, epochs=2, batch_size=row.shape[0], progress=False)
        after = bits(model)
        return {name for name in before if before[name] != after[name]}, t

    if ROWS[name].shortens or built(row).takes_integers:
        pytest.skip("no such model")
    changed, t = fit(freeze=True)
    assert changed == {"2.dense.weight", "2.dense.bias"}
    assert all(key.startswith("2.dense") or key in ("steps", "learning_rate")
               for key in t.optimizer.state_dict())
    assert changed < fit(freeze=False)[0]


MULTIPLYING = [
    name for name in LEARNING
    if name.split("-")[0].split()[0] in (
        "Dense", "Conv2D", "SimpleRNN", "LSTM", "GRU", "MultiHeadAttention", "TransformerBlock",
        "Residual", "DropConnect", "Standout", "WeightDropout")
    and "per sample" not in name
]


@pytest.mark.parametrize("name", MULTIPLYING)
def test_products_for_gradients_that_nobody_needs_are_not_computed(name, products):
    row, counts = ROWS[name], []
    for freeze in (False, True):
        layer = built(row)
        layer.trainable = not freeze
        y, backward = layer.forward(draw(row.shape, 1), training())
        products.clear()
        backward(draw(y.shape, 2))
        counts.append(len(products))
    assert counts[1] < counts[0]


# ------------------------------------------------------------ parts of a model


@pytest.mark.parametrize("workspace", [False, True])
@pytest.mark.parametrize("layers", [
    lambda: [Dense(8), ReLU(), Residual(Dense(8)), Dense(8), Dense(2)],
    lambda: [Dense(8), ReLU(), Dense(8), Dense(8), Dense(2)],
    lambda: [Dense(8), BatchwiseDropout(0.5), Dense(8), Dense(8), BatchwiseDropout(0.5), Dense(2)],
])
def test_backward_ends_where_nothing_below_is_trained(layers, workspace, products):
    model = Sequential(layers())
    model.build((4,), 0)
    model.freeze()
    model.layers[3].unfreeze()
    ctx = Context(True, MaskStream(0), input_gradient=False,
                  workspace=Workspace() if workspace else None)
    y, backward = model.forward(np.ones((3, 4), "f4"), ctx)
    products.clear()
    assert backward(np.ones_like(y)).size == 0
    assert len(products) == 2  # the input's of the last layer, and the weight's of the trained one
    model.layers[3].freeze()
    y, backward = model.forward(np.ones((3, 4), "f4"), ctx)
    products.clear()
    assert backward(np.ones_like(y)).size == 0 and not products
    whole = model.forward(np.ones((3, 4), "f4"), training())[1](np.ones_like(y))
    assert whole.shape == (3, 4) and len(products) > 0


@pytest.mark.parametrize("frozen", [(), (0,), (3,), (5,), (0, 3), (0, 3, 5)])
@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("workspace", [True, False])
@pytest.mark.parametrize("noise", [Dropout, BatchwiseDropout])
def test_what_is_frozen_does_not_touch_the_others(noise, workspace, fuse, frozen):
    x = draw((6, 5), 3)

    def gradients(frozen):
        layers = [Dense(8), ReLU(), noise(0.5), Dense(7, activation="tanh"), noise(0.3), Dense(2)]
        model = Sequential(layers, dtype="float64", fuse=fuse)
        model.build((5,), 0)
        for place in frozen:
            layers[place].freeze()
        room = Workspace() if workspace else None
        y, backward = model.forward(x, replace(training(), workspace=room))
        backward(np.ones_like(y))
        return [(one.trainable, one.grad) for one in model.parameters()]

    for (trainable, grad), (_, expected) in zip(gradients(frozen), gradients(()), strict=True):
        np.testing.assert_array_equal(grad, expected if trainable else np.zeros_like(grad))


def test_one_layer_of_a_frozen_model_is_trained():
    model = Sequential([Dense(4), Dense(4), Dense(2)])
    model.freeze()
    model.layers[-1].unfreeze()
    x, y = draw((16, 3), 0, "float32"), np.arange(16) % 2
    t = Trainer(model, "softmax_cross_entropy", "adam", rng=0)
    t._build(x)
    before = bits(model)
    t.fit(x, y, epochs=1, progress=False)
    changed = {name for name, value in bits(model).items() if value != before[name]}
    assert changed == {"2.dense.weight", "2.dense.bias"}
    assert model.trainable and not model.layers[0].trainable


def test_a_layer_is_frozen_in_all_models_it_stands_in():
    layer = Dense(4)
    one, two = Sequential([layer, Dense(4)]), Sequential([Residual(layer)])
    for model in (one, two):
        model.build((4,), 0)
    two.freeze()
    assert [p.trainable for p in one.parameters()] == [False, False, True, True]


class Late(Layer):
    """A container that makes its layers when it is built."""

    def build(self, input_shape, rng=None, dtype=None):
        if not self.children():
            self.g = Parameter(np.ones(3), "g")
            self.mean = Parameter(np.ones(3), "mean", trainable=False)
            self.inner = [Dense(2)]
            self.inner[0].build(input_shape, rng, dtype)


def test_layers_that_are_made_later_are_frozen_too():
    late = Late()
    late.freeze()
    late.build((3,), 0)
    assert not any(parameter.trainable for parameter in late.parameters())
    late.inner[0].unfreeze()
    late.build((3,), 0)
    trained = {name for name, one in late.named_parameters() if one.trainable}
    assert trained == {"inner.0.weight", "inner.0.bias"}
    late.unfreeze()
    assert {name for name, one in late.named_parameters() if not one.trainable} == {"mean"}


def test_what_is_no_flag_is_refused():
    with pytest.raises(TypeError, match="trainable"):
        Dense(2).trainable = "no"
    layer = ReLU()
    layer.freeze()
    assert not layer.trainable and ReLU().trainable
