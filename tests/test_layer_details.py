"""What is particular to one layer: formulas, limits, settings, initial weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cydropout import MaskStream
from cydropout.layers import (
    GELU,
    SELU,
    Context,
    Dense,
    Dropout,
    Flatten,
    Layer,
    ReLU,
    Sigmoid,
    Softplus,
    Tanh,
)
from cydropout.layers._layer import Parameter


def normal(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def training() -> Context:
    return Context(training=True, stream=MaskStream(7))


@pytest.mark.parametrize(
    ("make", "shape", "words"),
    [
        (lambda: Dense(3), (4, 6), ["5", "6"]),
        (lambda: Dense(3), (5,), [r"\(5,\)"]),
        (lambda: Flatten(5), (2, 3, 4), [r"\(5,\)", r"\(3, 4\)"]),
        (lambda: Dropout([0.1, 0.2]), (4, 3), ["2", "3"]),
    ],
)
def test_wrong_shape(make: Callable[[], Layer], shape: tuple[int, ...], words: list[str]) -> None:
    layer = make()
    layer.build((5,), np.random.default_rng(0), "float64")
    for word in words:
        with pytest.raises(ValueError, match=word):
            layer.forward(np.ones(shape), training())


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Dense(0), "0"),
        (lambda: Dense(2.5), "2.5"),  # type: ignore[arg-type]
        (lambda: Dense(True), "True"),
        (lambda: Dense(3, activation="rleu"), "rleu"),
        (lambda: Dense(3, init="xavier"), "xavier"),
        (lambda: Dropout(1.5), "1.5"),
        (lambda: Dense(3, name="a.b"), "a.b"),
        (lambda: Dropout(-0.1), "-0.1"),
        (lambda: Dropout(float("nan")), "nan"),
        (lambda: Dropout([0.5, 2.0]), "2.0"),
        (lambda: Dropout(0.5, scaling="none"), "none"),
        (lambda: Dropout(0.5, storage="disk"), "disk"),
        (lambda: Flatten(-1), "-1"),
        (lambda: Softplus(a=0.0), "0.0"),
        (lambda: Softplus(a=float("nan")), "nan"),
        (lambda: Dense(3).build((4,), np.random.default_rng(0), "float16"), "float16"),
        (lambda: Dense(3).build((), np.random.default_rng(0)), "feature axis"),
    ],
)
def test_wrong_setting(make: Callable[[], object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        make()


def test_rate_that_is_no_number() -> None:
    with pytest.raises(TypeError, match="half"):
        Dropout("half")


def test_unbuilt() -> None:
    with pytest.raises(RuntimeError, match="build"):
        Dense(3).forward(np.ones((2, 2)), Context())


def test_training_needs_a_stream() -> None:
    with pytest.raises(ValueError, match="stream"):
        Dropout(0.5).forward(np.ones((2, 2)), Context(training=True))


def test_dropout_at_inference() -> None:
    x = normal((3, 4), 0)
    assert Dropout(0.5).forward(x, Context())[0] is x
    for rate in (0.25, [0.0, 0.25, 0.5, 1.0]):
        keep = 1 - np.asarray(rate)
        np.testing.assert_allclose(
            Dropout(rate, scaling="classic").forward(x, Context())[0], x * keep
        )
        np.testing.assert_allclose(
            Dropout(rate, scaling="sqrt").forward(x, Context())[0], x * np.sqrt(keep)
        )


def test_dropout_layer_is_the_stream_mask() -> None:
    x = normal((64, 33), 0)
    y = Dropout(0.3).forward(x, training())[0]
    np.testing.assert_array_equal(y, training().stream.draw(x.shape, 0.3).apply(x))


@pytest.mark.parametrize(
    ("layer", "formula"),
    [
        (ReLU(), lambda x: max(x, 0)),
        (Sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
        (Tanh(), np.tanh),
        (Softplus(), lambda x: np.log1p(np.exp(x))),
        (Softplus(a=3.0), lambda x: np.log1p(np.exp(3 * x)) / 3),
        (SELU(), lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * np.expm1(x))),
    ],
)
def test_activation_formula(layer: Layer, formula: Callable[[float], float]) -> None:
    x = np.linspace(-4, 4, 33)
    expected = [formula(value) for value in x]
    np.testing.assert_allclose(layer.forward(x, Context())[0], expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("layer", [ReLU(), Sigmoid(), Tanh(), Softplus(2.0), SELU(), GELU()])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activation_far_out(layer: Layer, dtype: str) -> None:
    """Neither value nor derivative overflows, and both reach their limits."""
    x = np.array([-1e4, 1e4], dtype)
    y, backward = layer.forward(x, Context())
    derivative = backward(np.ones_like(y))
    assert np.isfinite(y).all() and np.isfinite(derivative).all()
    assert abs(derivative[0]) < 1e-30
    if not isinstance(layer, (Sigmoid, Tanh)):
        scale = 1.0507009873554805 if isinstance(layer, SELU) else 1
        np.testing.assert_allclose([y[1] / 1e4, derivative[1]], scale, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("init", "variance"),
    [
        ("glorot", 2 / 500),
        ("glorot_normal", 2 / 500),
        ("he", 2 / 300),
        ("he_uniform", 2 / 300),
        ("lecun", 1 / 300),
    ],
)
def test_initial_weights(init: str, variance: float, dtype: str) -> None:
    layer = Dense(200, init=init)
    layer.build((300,), np.random.default_rng(0), dtype)
    weight, bias = (parameter.value for parameter in layer.parameters())
    assert weight.shape == (300, 200) and weight.dtype == dtype
    assert abs(weight.mean()) < 4 * (variance / weight.size) ** 0.5
    assert weight.var() == pytest.approx(variance, rel=0.03)
    uniform = init in ("glorot", "he_uniform")
    assert (abs(weight).max() <= (3 * variance) ** 0.5 * (1 + 1e-6)) == uniform
    assert not bias.any()


def test_parameter_gradient() -> None:
    parameter = Parameter(np.ones((2, 3), "float32"), "w")
    assert not parameter.grad.any()
    parameter.zero_grad()
    a, b = np.ones((2, 4), "float32"), np.ones((4, 3), "float32")
    parameter.accumulate_product(a, b)
    np.testing.assert_array_equal(parameter.grad, np.full((2, 3), 4))
    parameter.accumulate_product(a, b)
    parameter.accumulate(np.ones((2, 3), "float32"))
    np.testing.assert_array_equal(parameter.grad, np.full((2, 3), 9))
    parameter.grad *= 0.5
    np.testing.assert_array_equal(parameter.grad, np.full((2, 3), 4.5))
    parameter.zero_grad()
    parameter.accumulate(np.ones((2, 3), "float32"))
    np.testing.assert_array_equal(parameter.grad, np.ones((2, 3)))
    parameter.zero_grad()
    assert not parameter.grad.any()
    with pytest.raises(ValueError, match=r"\(3,\)"):
        parameter.accumulate(np.ones(3, "float32"))
