"""Layers that learn their noise: penalties by autograd and in training, and what comes out."""

import numpy as np
import pytest
import reference_noise
from training_cases import assert_same_bits

from cydropout import MaskStream, Trainer
from cydropout.layers import (
    ConcreteDropout,
    Context,
    Dense,
    Flatten,
    GaussianDropout,
    Sequential,
    VariationalGaussianDropout,
)
from cydropout.masks import FactorMask, GaussianMask
from cydropout.training.optimizers import SGD, Adam


def built(layer, inputs=5, dtype="float64"):
    layer.build((inputs,), 0, dtype)
    for parameter in layer.parameters():
        parameter.value += 0.3 * np.random.default_rng(1).standard_normal(parameter.value.shape)
    return layer


def concrete(per_unit=False, layer=True, **settings):
    settings = {"weight_regularizer": 0.02, "dropout_regularizer": 0.3} | settings
    inside = Dense(4, activation="tanh") if layer else None
    return ConcreteDropout(inside, 0.3, per_unit=per_unit, **settings)


LAYERS = {
    "concrete": lambda: concrete(),
    "concrete-units": lambda: concrete(True),
    "concrete-alone": lambda: concrete(layer=False),
    "concrete-alone-units": lambda: concrete(True, False),
    "molchanov": lambda: VariationalGaussianDropout(0.3, kl_weight=0.2),
    "molchanov-units": lambda: VariationalGaussianDropout(0.3, per_unit=True, kl_weight=0.2),
    "kingma": lambda: VariationalGaussianDropout(0.3, kl="kingma", kl_weight=0.2),
    "kingma-units": lambda: VariationalGaussianDropout(
        0.3, per_unit=True, kl="kingma", kl_weight=0.2),
}


def published(layer, values, torch):
    """The penalty as the papers write it, over tensors."""
    if isinstance(layer, ConcreteDropout):
        p = torch.sigmoid(values["logit"])
        rows = (values["weight"] ** 2).sum(dim=1) if "weight" in values else torch.zeros(5)
        entropy = p * torch.log(p) + (1 - p) * torch.log(1 - p)
        return (0.02 * rows / (1 - p) + 0.3 * entropy).sum()
    alpha = torch.exp(values["log_alpha"])
    if layer.kl == "molchanov":
        gain = 0.63576 * torch.sigmoid(1.87320 + 1.48695 * torch.log(alpha))
        minus = gain - 0.5 * torch.log(1 + 1 / alpha) - 0.63576
    else:
        a = torch.clamp(alpha, max=1)
        minus = 0.5 * torch.log(a) + 1.16145124 * a - 1.50204118 * a**2 + 0.58629921 * a**3
    return -0.2 * (minus * torch.ones(5)).sum()


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_autograd_of_the_penalty_agrees(name, dtype):
    torch = pytest.importorskip("torch")
    layer = built(LAYERS[name](), dtype=dtype)
    values = {
        key: torch.tensor(value.astype("f8"), requires_grad=True)
        for key, value in layer.state_dict().items()
    }
    expected = published(layer, values, torch)
    expected.backward()
    for _ in range(2):  # added up
        assert layer.penalty() == pytest.approx(expected.item(), rel=1e-6)
    for key, parameter in layer.named_parameters():
        slope = values[key].grad
        np.testing.assert_allclose(
            parameter.grad, 0 if slope is None else 2 * slope, rtol=1e-6, atol=1e-9)


def test_the_divergence_stays_at_its_value_beyond_alpha_1():
    layer = VariationalGaussianDropout(0.5, kl="kingma", kl_weight=1.0)
    layer.build((3,), 0, "float64")
    at_1 = layer.penalty()
    layer.rate = 0.9
    layer.parameter.zero_grad()
    assert layer.penalty() == pytest.approx(at_1, abs=1e-12) and layer.parameter.grad == 0
    assert layer.alpha == pytest.approx(9)


@pytest.mark.parametrize("name", LAYERS)
def test_training_takes_the_penalty_in(name):
    """One step of plain gradient descent is that of the loss and the penalty."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 5)), rng.standard_normal((30, 4))
    model = Sequential([LAYERS[name](), Dense(4)], dtype="float64")
    model.build((5,), 0)
    twin = Sequential([LAYERS[name](), Dense(4)], dtype="float64")
    twin.build((5,), 0)
    trainer = Trainer(model, "mean_squared_error", SGD(0.1, momentum=0.0), rng=3)
    history = trainer.fit(x, y, epochs=1, batch_size=30, shuffle=False, progress=False)

    prediction, backward = twin.forward(x, Context(training=True, stream=MaskStream(3)))
    value, gradient = trainer.loss(prediction, y)
    backward(gradient)
    alone = {key: p.grad.copy() for key, p in twin.named_parameters()}
    penalty = twin.penalty()
    assert history.records[0]["loss"] == pytest.approx(value + penalty, rel=1e-12)
    before, after = twin.state_dict(), model.state_dict()
    for key, parameter in twin.named_parameters():
        np.testing.assert_allclose(after[key], before[key] - 0.1 * parameter.grad, rtol=1e-9)
    learned = f"{twin.layers[0].path}.{twin.layers[0].parameter_name}"
    assert np.all(np.abs(after[learned] - (before[learned] - 0.1 * alone[learned])) > 1e-6)


@pytest.mark.parametrize("name", ["concrete-units", "molchanov"])
def test_a_run_that_is_resumed_is_the_same_run(name, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 5)).astype("f4"), rng.standard_normal((50, 4)).astype("f4")

    def trainer():
        return Trainer(Sequential([LAYERS[name](), Dense(4)]), "mean_squared_error", Adam(), rng=7)

    whole, first, second = trainer(), trainer(), trainer()
    options = {"batch_size": 16, "progress": False}
    whole.fit(x, y, epochs=4, **options)
    first.fit(x, y, epochs=2, checkpoint=tmp_path / "run", **options)
    second.fit(x, y, epochs=4, checkpoint=tmp_path / "run", resume=True, **options)
    assert_same_bits(whole.model.state_dict(), second.model.state_dict())
    assert first.model.state_dict().keys() == whole.model.state_dict().keys()


def test_much_data_wants_a_low_rate_and_little_a_high_one():
    """The regularisers fall as 1 / N, as the paper says, and with them the rate that is found."""
    def rates(samples):
        rng = np.random.default_rng(0)
        x, direction = rng.normal(size=(samples, 8)).astype("f4"), rng.normal(size=8)
        y = 2 * np.sin(x @ direction)[:, None] + rng.normal(size=(samples, 1))
        settings = {
            "weight_regularizer": 1e-4 / samples,
            "dropout_regularizer": 2 / samples,
        }
        layers = [
            ConcreteDropout(Dense(64, activation="relu"), 0.3, **settings),
            ConcreteDropout(Dense(1), 0.3, **settings),
        ]
        batch = min(samples, 128)
        trainer = Trainer(Sequential(layers), "mean_squared_error", Adam(0.01), rng=0)
        trainer.fit(x, y.astype("f4"), epochs=1500 * batch // samples, batch_size=batch,
                    progress=False)
        return [layer.rate for layer in layers]

    little, much = rates(20), rates(5000)
    assert little[0] > 0.05 > 0.02 > much[0]
    assert little[1] > 0.3 > 0.02 > much[1]


@pytest.mark.parametrize("per_unit", [False, True])
def test_the_noise_of_variational_dropout_has_mean_1_and_variance_alpha(per_unit):
    layer = built(VariationalGaussianDropout(0.4, per_unit=per_unit), 4)
    count = 2**18
    y, _ = layer.forward(np.ones((count, 4)), Context(training=True, stream=MaskStream(1)))
    alpha = np.broadcast_to(layer.alpha, 4)
    assert (np.abs(y.mean(axis=0) - 1) < 5 * np.sqrt(alpha / count)).all()
    assert (np.abs(y.var(axis=0) - alpha) < 5 * alpha * np.sqrt(2 / count)).all()
    np.testing.assert_allclose(layer.rate, layer.alpha / (1 + layer.alpha))


def test_a_wrapped_layer_runs_on_noisy_input():
    layer = built(concrete(True))
    x, masks = np.random.default_rng(0).standard_normal((7, 5)), {}
    y, _ = layer.forward(x, Context(training=True, stream=MaskStream(2), masks=masks))
    assert layer in masks
    weight, bias = (parameter.value for parameter in layer.layer.parameters())
    f, _ = reference_noise.concrete(
        masks[layer].variates.astype("f8"), layer.parameter.value, layer.temperature)
    np.testing.assert_allclose(y, np.tanh((x * f) @ weight + bias), rtol=1e-11)
    plain, _ = layer.forward(x, Context())
    np.testing.assert_array_equal(plain, layer.layer.forward(x, Context())[0])
    assert [key for key, _ in layer.named_parameters()] == ["logit", "weight", "bias"]
    assert list(layer.walk()) == [layer, layer.layer]
    assert layer.output_shape((5,)) == (4,)


def test_the_input_gradient_that_nobody_needs_is_still_the_logits():
    model = Sequential([concrete()], dtype="float64")
    model.build((5,), 0)
    x = np.random.default_rng(0).standard_normal((7, 5))
    found = []
    for wanted in (True, False):
        ctx = Context(training=True, stream=MaskStream(2), input_gradient=wanted)
        y, backward = model.forward(x, ctx)
        model.parameters()[0].zero_grad()
        dx = backward(np.ones_like(y))
        assert dx.size == (x.size if wanted else 0)
        found.append(float(model.parameters()[0].grad))
    assert found[0] == found[1] != 0


@pytest.mark.parametrize("make", [lambda: concrete(layer=False), VariationalGaussianDropout])
def test_a_mask_keeps_the_strength_it_was_drawn_with(make):
    layer, masks = built(make()), {}
    x = np.random.default_rng(0).standard_normal((7, 5))
    y, _ = layer.forward(x, Context(training=True, stream=MaskStream(2), masks=masks))
    layer.rate = 0.9
    assert layer.rate == pytest.approx(0.9)
    held = Context(training=True, stream=MaskStream(3), masks=masks)
    np.testing.assert_array_equal(layer.forward(x, held)[0], y)
    moved = layer.forward(x, Context(training=True, stream=MaskStream(2)))[0]
    assert not np.allclose(moved, y)


@pytest.mark.parametrize("make", [lambda: concrete(layer=False), VariationalGaussianDropout])
def test_factors_that_are_brought_teach_nothing(make):
    layer, factors = built(make()), np.arange(5.0)
    x = np.random.default_rng(0).standard_normal((7, 5))
    for mask in (factors, FactorMask((7, 5), factors)):
        y, backward = layer.forward(x, Context(training=True, stream=MaskStream(2)), mask=mask)
        np.testing.assert_array_equal(y, x * factors)
        np.testing.assert_array_equal(backward(x), x * factors)
    assert layer.parameter.grad == 0
    foreign = MaskStream(0).make(GaussianMask, (4, 5), 0.5)
    with pytest.raises(ValueError, match=r"\(4, 5\)"):
        layer.forward(x, Context(training=True, stream=MaskStream(2)), mask=foreign)


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: concrete(temperature=0.0), ValueError, "0.0"),
        (lambda: concrete(weight_regularizer=-1.0), ValueError, "-1.0"),
        (lambda: concrete(dropout_regularizer=np.nan), ValueError, "nan"),
        (lambda: ConcreteDropout(None, [0.1, 0.2]), TypeError, "0.2"),
        (lambda: ConcreteDropout("dense"), TypeError, "dense"),
        (lambda: built(ConcreteDropout(Flatten())), ValueError, "Flatten"),
        (lambda: concrete(layer=False).build(()), ValueError, r"\(\)"),
        (lambda: concrete(layer=False).forward(np.ones((2, 5)), Context()), RuntimeError, "build"),
        (lambda: VariationalGaussianDropout(kl="exact"), ValueError, "exact"),
        (lambda: VariationalGaussianDropout(kl_weight=-2.0), ValueError, "-2.0"),
    ],
)
def test_bad_settings_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_rate_far_out_is_still_a_rate():
    layer = concrete(True)
    layer.build((2,), 0, "float64")
    layer.parameter.value[...] = [-1000.0, 30.0]
    np.testing.assert_allclose(layer.rate, [0.0, 1.0], atol=1e-12)
    assert np.isfinite(layer.penalty()) and np.isfinite(layer.parameter.grad).all()


def test_settings_before_and_after_build():
    layer = VariationalGaussianDropout(0.25, per_unit=True)
    assert layer.rate == 0.25 and layer.alpha == pytest.approx(1 / 3) and layer.units == 0
    layer.rate = 0.5
    layer.build((3,))
    np.testing.assert_allclose(layer.rate, [0.5] * 3)
    np.testing.assert_allclose(layer.alpha, [1.0] * 3)
    assert layer.units == 3 and layer.parameter.value.dtype == np.float32
    assert concrete(layer=False).get_config()["layer"] is None
    assert concrete().get_config()["layer"]["kind"] == "dense"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", [
    lambda **settings: GaussianDropout(0.4, **settings),
    lambda **settings: ConcreteDropout(None, 0.3, per_unit=True, **settings),
    lambda **settings: VariationalGaussianDropout(0.3, **settings),
])
def test_layers_hold_their_noise_for_the_way_back(make, dtype):
    x, dy = np.random.default_rng(0).standard_normal((2, 50, 40)).astype(dtype)
    found = set()
    for settings, backward, holds in [
        ({}, True, True), ({}, False, False), ({"storage": "seed"}, True, False),
    ]:
        layer = make(**settings)
        assert layer.get_config()["storage"] == settings.get("storage", "values")
        layer.build(x.shape[-1:], dtype=dtype)
        masks = {}
        y, back = layer.forward(x, Context(True, MaskStream(3), masks=masks, backward=backward))
        assert (masks[layer].nbytes > 0) is holds
        results = [y, back(dy), *(p.grad for p in layer.parameters())]
        assert (masks[layer].nbytes > 0) is holds
        found.add(b"".join(a.tobytes() for a in results))
    assert len(found) == 1
    with pytest.raises(ValueError, match="'bits'"):
        make(storage="bits")
