"""L1 and L2 of parameters: the formula, the gradient, and what training makes of them."""

from functools import partial

import numpy as np
import pytest
from layer_cases import ROWS
from layer_cases import built as built_row
from training_cases import CLASSES, assert_same_bits

from cydropout import MaskStream, Trainer, layers
from cydropout.layers import (
    ConcreteDropout,
    Context,
    Dense,
    DropConnect,
    Parameter,
    Sequential,
    Standout,
    WeightDropout,
    _penalties,
)
from cydropout.training.optimizers import SGD, AdamW, RMSprop


def built(**settings):
    layer = Dense(3, **settings)
    layer.build((4,), rng=0, dtype="float64")
    layer._parameters["weight"].value[0, 0] = 0.0
    layer._parameters["bias"].value[:] = [0.5, -1.5, 0.0]
    for parameter in layer.parameters():
        parameter.zero_grad()
    return layer


@pytest.mark.parametrize(
    ("l1", "l2", "strengths"),
    [
        (0.0, 0.0, {}),
        (0.1, 0.0, {"weight": (0.1, 0)}),
        (0.0, 0.2, {"weight": (0, 0.2)}),
        (0.1, {"bias": 0.3}, {"weight": (0.1, 0), "bias": (0, 0.3)}),
        ({"weight": 0.1, "bias": 0.2}, 0.5, {"weight": (0.1, 0.5), "bias": (0.2, 0)}),
    ],
)
def test_formula_and_gradient(l1, l2, strengths):
    layer = built(l1=l1, l2=l2)
    total = layer.penalty()
    expected = 0.0
    for name, parameter in layer.named_parameters():
        a, b = strengths.get(name, (0, 0))
        w = parameter.value
        expected += a * np.abs(w).sum() + b * (w**2).sum()
        np.testing.assert_allclose(parameter.grad, a * np.sign(w) + 2 * b * w, rtol=1e-14)
    assert total == pytest.approx(expected, rel=1e-14)


def test_the_gradient_is_added_to_that_of_the_loss():
    layer = built(l2=0.2)
    layer._parameters["weight"].grad = np.ones((4, 3))
    layer.penalty()
    np.testing.assert_allclose(
        layer._parameters["weight"].grad, 1 + 0.4 * layer._parameters["weight"].value
    )


@pytest.mark.parametrize(
    "wrap",
    [
        lambda layer: layer,
        lambda layer: Sequential([Sequential([layer], name="inner")]),
        lambda layer: WeightDropout(layer, 0.5),
    ],
)
def test_a_layer_inside_others_is_penalised_once(wrap):
    layer = Dense(3, l2=0.5)
    outer = wrap(layer)
    outer.build((4,), rng=0)
    w = layer._parameters["weight"].value.astype(float)
    assert outer.penalty() == pytest.approx(0.5 * (w**2).sum())


def test_it_adds_to_a_learned_rates_penalty():
    plain, penalised = (ConcreteDropout(Dense(3, l2=l2)) for l2 in (0, 0.5))
    for layer in (plain, penalised):
        layer.build((4,), rng=0)
    w = plain.layer._parameters["weight"].value.astype(float)
    assert penalised.penalty() - plain.penalty() == pytest.approx(0.5 * (w**2).sum(), rel=1e-6)


def fit(data, epochs=30, optimizer=None, **settings):
    model = Sequential([Dense(CLASSES, **settings)])
    t = Trainer(model, "softmax_cross_entropy", optimizer or SGD(0.1), rng=0)
    history = t.fit(*data, epochs=epochs, progress=False)
    return model.layers[0]._parameters["weight"].value, history


def test_training_steps_follow_the_penalised_gradient(data):
    """Against the same steps by hand."""
    l1, l2, lr = 0.01, 0.02, 0.1
    found, history = fit(data, epochs=1, l1=l1, l2=l2, optimizer=SGD(lr))
    model = Sequential([Dense(CLASSES)])
    t = Trainer(model, "softmax_cross_entropy", SGD(lr), rng=0)
    t.evaluate(*data)  # builds the model
    weight, bias = model.parameters()
    key = MaskStream(0).key
    order = np.random.default_rng(np.random.SeedSequence(key, spawn_key=(1, 1)))
    rows = order.permutation(len(data[0]))
    for start in range(0, len(rows), 32):
        part = rows[start : start + 32]
        for parameter in (weight, bias):
            parameter.zero_grad()
        y, backward = model.forward(data[0][part], Context())
        backward(t.loss(y, data[1][part])[1])
        w = weight.value.copy()
        weight.value -= lr * (weight.grad + l1 * np.sign(w) + 2 * l2 * w)
        bias.value -= lr * bias.grad
    np.testing.assert_allclose(found, weight.value, rtol=1e-5, atol=1e-7)
    assert history["loss"][0] > t.evaluate(*data)["loss"]


def test_l1_makes_weights_small_and_l2_shrinks_the_norm(data):
    plain, _ = fit(data)
    lasso, _ = fit(data, l1=0.05)
    ridge, _ = fit(data, l2=0.05)
    decayed, _ = fit(data, optimizer=AdamW(0.1, weight_decay=0.5))
    adam, _ = fit(data, optimizer=AdamW(0.1, weight_decay=0.0))
    assert np.linalg.norm(ridge) < 0.6 * np.linalg.norm(plain)
    assert np.linalg.norm(decayed) < 0.6 * np.linalg.norm(adam)
    small = [(np.abs(w) < 0.02).mean() for w in (plain, lasso, ridge)]
    assert small[1] > 2 * max(small[0], small[2], 0.05)


def test_the_loss_of_a_training_step_has_the_penalty_and_an_evaluation_has_not(data):
    model = Sequential([Dense(CLASSES, l2=10.0)])
    t = Trainer(model, "softmax_cross_entropy", SGD(0.0), rng=0)
    history = t.fit(*data, epochs=1, progress=False)
    w = model.parameters()[0].value.astype(float)
    assert history["loss"][0] - t.evaluate(*data)["loss"] == pytest.approx(
        10 * (w**2).sum(), rel=1e-5
    )


def test_no_strength_changes_no_bit(data):
    a, b = fit(data)[0], fit(data, l1=0.0, l2={"bias": 0.0})[0]
    assert_same_bits({"w": a}, {"w": b})


#: How each layer with parameters is made, and the shape of a sample.
KINDS = {
    "Dense": (partial(Dense, 3), (4,)),
    "Standout": (partial(Standout, 3), (4,)),
    "Standout-untied": (partial(Standout, 3, tied=False), (4,)),
    "DropConnect": (partial(DropConnect, 3, 0.5), (4,)),
    "Conv2D": (partial(layers.Conv2D, 4, 3, groups=2), (2, 5, 5)),
    "Embedding": (partial(layers.Embedding, 7, 3), (4,)),
    "PositionalEmbedding": (partial(layers.PositionalEmbedding, 6), (5, 4)),
    "SimpleRNN": (partial(layers.SimpleRNN, 3), (5, 4)),
    "LSTM": (partial(layers.LSTM, 3), (5, 4)),
    "GRU": (partial(layers.GRU, 3, bias=True), (5, 4)),
    "GRU-no-bias": (partial(layers.GRU, 3, bias=False), (5, 4)),
    "MultiHeadAttention": (partial(layers.MultiHeadAttention, 2), (5, 4)),
    "LayerNorm": (layers.LayerNorm, (4,)),
    "BatchNorm": (layers.BatchNorm, (4,)),
}
#: Settings that are parameters, and no weights.
NO_WEIGHTS = (layers.ConcreteDropout, layers.VariationalGaussianDropout)


def made(name, **settings):
    make, shape = KINDS[name]
    layer = make(**settings)
    layer.build(shape, rng=0, dtype="float64")
    for parameter in layer.parameters():
        parameter.value += np.linspace(-0.6, 0.5, parameter.value.size).reshape(
            parameter.value.shape)
        parameter.zero_grad()
    return layer


def test_every_layer_with_parameters_has_a_row():
    found = {layer for row in ROWS.values() for layer in built_row(row).walk()
             if layer._parameters and not isinstance(layer, NO_WEIGHTS)}
    assert {type(layer).__name__ for layer in found} <= {name.split("-")[0] for name in KINDS}


@pytest.mark.parametrize("name", KINDS)
def test_every_layer_takes_penalties_and_keeps_them(name):
    layer = made(name, l1=0.1, l2=0.2)
    config = layer.get_config()
    assert type(layer)(**config).get_config() == config
    total = 0.0
    value = layer.penalty()
    for own, parameter in layer.named_parameters():
        w = parameter.value
        counts = own.endswith("weight") and own != "rate_weight"
        total += counts * (0.1 * np.abs(w).sum() + 0.2 * (w**2).sum())
        np.testing.assert_allclose(
            parameter.grad, counts * (0.1 * np.sign(w) + 0.4 * w), rtol=1e-14)
    assert value == pytest.approx(total, rel=1e-12) and value > 0


@pytest.mark.parametrize("name", KINDS)
def test_a_mapping_names_any_parameter_of_a_layer_that_is_trained(name):
    layer = made(name)
    names = [own for own, parameter in layer.named_parameters() if parameter.trainable]
    assert names
    for own in names:
        one = made(name, l2={own: 0.5})
        w = dict(one.named_parameters())[own].value
        assert one.penalty() == pytest.approx(0.5 * (w**2).sum(), rel=1e-12)
        assert type(one)(**one.get_config()).get_config() == one.get_config()
    with pytest.raises(ValueError, match=r"l1 names the parameters \['other'\]; there are"):
        KINDS[name][0](l1={"other": 1.0})


@pytest.mark.parametrize("name", KINDS)
def test_every_layer_with_matrices_has_bounds(name):
    if name.endswith("Norm"):
        with pytest.raises(TypeError, match="max_norm"):
            KINDS[name][0](max_norm=1.0)
        return
    bound = 0.75
    layer, later = made(name, max_norm=bound), made(name)
    later.max_norm = bound
    assert type(layer)(**layer.get_config()).get_config() == layer.get_config()
    for one in (layer, later):
        for parameter in one.parameters():
            parameter.accumulate(np.ones_like(parameter.value))
        SGD(0.5).step(dict(one.named_parameters()))
    free = made(name)
    for (own, parameter), other, plain in zip(
            layer.named_parameters(), later.parameters(), free.parameters(), strict=True):
        wanted = plain.value - 0.5
        if own.endswith("weight") and own != "rate_weight":
            rows = name in ("Embedding", "PositionalEmbedding")
            axes = -1 if rows else tuple(range(wanted.ndim - 1))
            norms = np.sqrt((wanted**2).sum(axis=axes, keepdims=True))
            assert (norms > bound).any()
            wanted = wanted * np.minimum(1, bound / norms)
        np.testing.assert_allclose(parameter.value, wanted, rtol=1e-14, atol=1e-15)
        assert_same_bits({"w": parameter.value}, {"w": other.value})


def test_a_transformer_block_has_them_for_all_its_matrices():
    settings = {"max_norm": 2.0, "l1": 0.1, "l2": 0.2}
    block = layers.TransformerBlock(4, 2, 6, **settings)
    assert layers.TransformerBlock(**block.get_config()).get_config() == block.get_config()
    block.build((3, 4), rng=0, dtype="float64")
    total = 0.0
    for name, parameter in block.named_parameters():
        matrix = parameter.value.ndim == 2
        assert parameter.max_norm == (2.0 if matrix else None), name
        w = parameter.value.astype(float)
        total += matrix * (0.1 * np.abs(w).sum() + 0.2 * (w**2).sum())
    assert block.penalty() == pytest.approx(total, rel=1e-6)


def test_rows_that_are_not_finite_stay():
    w = np.array([[3.0, 4.0], [np.nan, 9.0], [np.inf, 9.0], [0.1, 0.1]])
    p = Parameter(w.copy(), "w", 1.0, by_row=True)
    p.accumulate(np.zeros_like(w))
    RMSprop(0.0).step([p])
    np.testing.assert_allclose(p.value, [[0.6, 0.8], *w[1:]])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"l1": -0.1}, "l1.*-0.1"),
        ({"l2": float("nan")}, "l2.*nan"),
        ({"l2": [0.1, 0.2]}, "l2"),
        ({"l1": {"weight": -1}}, "l1 of 'weight'.*-1"),
        ({"l1": {"wieght": 1}}, "l1 names.*wieght.*weight.*bias"),
        ({"l2": {"bias": 1}, "bias": False}, "l2 names.*bias"),
    ],
)
def test_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        Dense(3, **settings)


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 5000])
@pytest.mark.parametrize(("dtype", "scale"), [
    ("float64", 1.0), ("float64", 1e100), ("float32", 1.0), ("float32", 1e25), ("float16", 300.0)])
def test_the_sum_of_squares_is_exact_enough_and_has_the_range_of_float64(size, dtype, scale):
    w = (np.random.default_rng(0).uniform(-1, 1, (size, 2)) * scale).astype(dtype)
    for array in (w, w[::-1, ::-1], np.asfortranarray(w)):
        one = Parameter(array, "w")
        expected = float(np.square(array.astype("f8")).sum())
        assert _penalties.penalty(one, 0.0, 0.5) == pytest.approx(0.5 * expected, rel=1e-12)
        np.testing.assert_array_equal(one.grad, array)
    assert np.isnan(_penalties.penalty(Parameter(np.full(3, np.nan, dtype), "w"), 0.0, 1.0))
