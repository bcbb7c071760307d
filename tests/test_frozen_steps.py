"""What is frozen in clipping, penalties, optimizers, batch normalisation and training."""


import numpy as np
import pytest
from test_freezing import OPTIMIZERS, bits
from test_layers import draw, training

from cydropout import MaskStream, Trainer
from cydropout.layers import (
    BatchNorm,
    ConcreteDropout,
    Context,
    Conv2D,
    Dense,
    DropConnect,
    Embedding,
    Flatten,
    Parameter,
    ReLU,
    Residual,
    Sequential,
    Standout,
    VariationalGaussianDropout,
)
from cydropout.training.clipping import clip_gradients, gradient_norm
from cydropout.training.optimizers import SGD, AdamW

# ------------------------------------------------------------ clipping, penalties, steps


def two():
    frozen, trained = Parameter(np.zeros(1), "frozen"), Parameter(np.zeros(1), "trained")
    frozen.accumulate(np.array([3.0]))
    trained.accumulate(np.array([4.0]))
    frozen.trainable = False
    return frozen, trained


def test_clipping_counts_what_is_trained():
    frozen, trained = two()
    assert gradient_norm([frozen, trained]) == 4
    clip_gradients([frozen, trained], norm=1.0)
    assert trained.grad == 1.0 and frozen.grad == 3.0
    frozen, trained = two()
    clip_gradients([frozen, trained], value=0.5)
    assert trained.grad == 0.5 and frozen.grad == 3.0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_step_touches_what_is_frozen(name):
    optimizer, (frozen, trained) = OPTIMIZERS[name](), two()
    weight = Parameter(np.full((3, 2), 5.0), "weight", max_norm=1.0)
    weight.trainable = False
    optimizer.step([frozen, weight, trained])
    assert frozen.value == 0 and (weight.value == 5).all() and trained.value != 0
    assert not [key for key in optimizer.state_dict() if key.startswith(("frozen", "weight"))]


def test_moments_rest_while_a_parameter_is_frozen():
    optimizer, (_, w), (_, alone) = AdamW(0.1), two(), two()
    other = AdamW(0.1)
    for step in range(6):
        w.trainable = step not in (2, 3)
        optimizer.step([w])
        if w.trainable:
            other.step([alone])
    assert w.value == alone.value


PENALISED = {
    "Dense": lambda: Dense(4, l1=0.1, l2=0.2),
    "DropConnect": lambda: DropConnect(4, 0.5, l1=0.1, l2={"bias": 0.3}),
    "Standout": lambda: Standout(4, l2=0.2),
    "ConcreteDropout": lambda: ConcreteDropout(Dense(4, l2=0.1), 0.2),
    "VariationalGaussianDropout": lambda: VariationalGaussianDropout(0.2),
    "Residual": lambda: Residual(Dense(4, l2=0.1)),
}


@pytest.mark.parametrize("name", PENALISED)
def test_what_is_frozen_has_no_penalty(name):
    layer = PENALISED[name]()
    layer.build((4,), 0, "float64")
    assert layer.penalty() != 0
    for parameter in layer.parameters():
        parameter.zero_grad()
    layer.freeze()
    assert layer.penalty() == 0
    assert all((parameter.grad == 0).all() for parameter in layer.parameters())


def test_terms_of_what_is_still_trained_stay():
    def layer():
        found = ConcreteDropout(Dense(3), 0.2, weight_regularizer=0.1, dropout_regularizer=0.1)
        found.build((4,), 0, "float64")
        return found

    whole, weights, rate = layer(), layer(), layer()
    weights.parameter.trainable = False
    rate.layer.freeze()
    entropy = 0.1 * 4 * (0.2 * np.log(0.2) + 0.8 * np.log(0.8))
    total = whole.penalty()
    assert rate.penalty() == pytest.approx(total)
    assert weights.penalty() == pytest.approx(total - entropy)
    np.testing.assert_array_equal(weights.parameters()[1].grad, whole.parameters()[1].grad)
    assert rate.parameter.grad == whole.parameter.grad and weights.parameter.grad == 0
    # The gradient of the input is asked for where the rate is learned, and else not.
    ctx = Context(True, MaskStream(0), input_gradient=False)
    for one, size in ((weights, 0), (whole, 8)):
        y, backward = one.forward(draw((2, 4), 0), ctx)
        assert backward(np.ones_like(y)).size == size


# ------------------------------------------------------------ batch normalisation


def norm(fused=True, axis=-1):
    model = Sequential([BatchNorm(axis=axis), ReLU()], fuse=fused, dtype="float64")
    model.build((3,), 0)
    for parameter in model.parameters():
        parameter.value += 0.25
    return model, model.layers[0]


@pytest.mark.parametrize("fused", [True, False])
def test_a_frozen_batch_norm_takes_and_leaves_the_running_averages(fused):
    model, layer = norm(fused)
    for parameter in layer.parameters():
        parameter.trainable = False
    before, x = bits(model), draw((8, 3), 0)
    y, backward = model.forward(x, training())
    backward(np.ones_like(y))
    np.testing.assert_array_equal(y, model(x))
    assert bits(model) == before
    one, _ = model.forward(x[:1], training())
    np.testing.assert_array_equal(one, y[:1])


@pytest.mark.parametrize("frozen", [0, 1])
def test_a_batch_norm_with_one_frozen_parameter_keeps_that_alone(frozen):
    model, layer = norm()
    whole, _ = norm()
    layer.parameters()[frozen].trainable = False
    x = draw((8, 3), 0)
    for each in (model, whole):
        y, backward = each.forward(x, training())
        backward(np.ones_like(y))
    assert bits(model) == bits(whole)
    grads = [one.parameters()[frozen].grad.any() for one in (model, whole)]
    assert grads == [False, True]
    np.testing.assert_array_equal(
        model.parameters()[1 - frozen].grad, whole.parameters()[1 - frozen].grad)


def test_words_and_maps_may_be_frozen():
    words = Sequential([Embedding(5, 4), Flatten(), Dense(2)])
    maps = Sequential([Conv2D(2, 3), BatchNorm(), Flatten(), Dense(2)])
    for model, x in ((words, np.arange(8).reshape(4, 2) % 5),
                     (maps, draw((4, 1, 5, 5), 0, "float32"))):
        t = Trainer(model, "softmax_cross_entropy", SGD(0.1, momentum=0.9), rng=0)
        t._build(x)
        model.layers[0].freeze()
        model.layers[1].freeze()
        before = bits(model)
        t.fit(x, np.arange(4) % 2, epochs=2, progress=False)
        changed = {name for name, value in bits(model).items() if value != before[name]}
        last = len(model.layers) - 1
        assert changed == {f"{last}.dense.weight", f"{last}.dense.bias"}
