"""What runs as one pass is what nobody changed: a subclass with its own forward runs its own."""

import numpy as np
import pytest

from cydropout import MaskStream, predict_mc
from cydropout.layers import (
    BatchNorm,
    BatchwiseDropout,
    Context,
    Conv2D,
    Dense,
    Dropout,
    ReLU,
    Residual,
    Sequential,
    Tanh,
)
from cydropout.training.monte_carlo import predict_pass


def tripled(kind):
    class Tripled(kind):
        def forward(self, x, ctx):
            y, back = super().forward(x, ctx)
            return 3 * y, lambda dy: back(3 * dy)

    return Tripled


FLAT, MAPS = (6, 5), (3, 4, 6, 5)
PATTERNS = {
    "Dense": (lambda kind: [kind(Dense)(5), ReLU(), Dropout(0.5)], FLAT),
    "ReLU": (lambda kind: [Dense(5), kind(ReLU)(), Dropout(0.5)], FLAT),
    "Tanh": (lambda kind: [Dense(5), kind(Tanh)()], FLAT),
    "Dropout": (lambda kind: [Dense(5), ReLU(), kind(Dropout)(0.5)], FLAT),
    "Conv2D": (
        lambda kind: [kind(Conv2D)(5, 1, data_format="channels_last"), ReLU(), Dropout(0.5)], MAPS
    ),
    "Conv2D-ReLU": (lambda kind: [Conv2D(4, 1), kind(ReLU)()], MAPS),
    "BatchNorm": (lambda kind: [kind(BatchNorm)(), ReLU()], FLAT),
    "BatchNorm-ReLU": (lambda kind: [BatchNorm(), kind(ReLU)()], FLAT),
    "Batchwise-Dense": (lambda kind: [BatchwiseDropout(0.5), kind(Dense)(5), ReLU()], FLAT),
    "Batchwise": (lambda kind: [kind(BatchwiseDropout)(0.5), Dense(5), ReLU()], FLAT),
    "Batchwise-ReLU": (lambda kind: [BatchwiseDropout(0.5), Dense(5), kind(ReLU)()], FLAT),
}


@pytest.fixture(params=PATTERNS, name="pattern")
def _pattern(request):
    return PATTERNS[request.param]


def passes(layers, shape, train, fuse, inside=False):
    """Return the output, the gradients and the layers of each pass."""
    model = Sequential(layers, dtype="float64", fuse=fuse)
    if inside:
        model = Sequential([Residual(*model.layers)], dtype="float64", fuse=fuse)
    model.build(shape[1:], rng=1)
    x = np.random.default_rng(0).standard_normal(shape)
    y, back = model.forward(x, Context(train, MaskStream(5)))
    return model, [y, back(np.ones_like(y)), *(p.grad for p in model.parameters())]


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("train", [True, False])
def test_a_subclass_runs_its_own_forward(pattern, train, inside):
    make, shape = pattern
    _, fused = passes(make(tripled), shape, train, True, inside)
    plain, expected = passes(make(tripled), shape, train, False)
    if inside:
        x = np.random.default_rng(0).standard_normal(shape)
        expected = [expected[0] + x, expected[1] + 1, *expected[2:]]
    for one, other in zip(fused, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
    _, without = passes(make(lambda kind: kind), shape, train, True)
    assert not np.allclose(without[0], plain.forward(x, Context())[0] if inside else expected[0])


def test_the_same_layers_unchanged_run_as_one(pattern):
    make, shape = pattern
    model, fused = passes(make(lambda kind: kind), shape, True, True)
    assert [len(step.layers) for step in model.steps] == [len(model.layers)]
    _, plain = passes(make(lambda kind: kind), shape, True, False)
    for one, other in zip(fused, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
    changed, _ = passes(make(tripled), shape, True, True)
    assert len(changed.steps) > 1


def test_monte_carlo_describes_the_model_that_predicts(pattern):
    make, shape = pattern
    model, _ = passes(make(tripled), shape, False, True)
    x = np.random.default_rng(0).standard_normal(shape)
    found = predict_mc(model, x, 3, rng=0)
    for key in found.keys:
        ctx = Context(True, MaskStream.from_state(key, 0), batch_statistics=False)
        y, _ = model.forward(x, ctx)
        np.testing.assert_allclose(predict_pass(model, x, key), y, rtol=1e-12, atol=1e-14)


def test_a_forward_set_on_one_layer_is_run():
    unit = ReLU()
    unit.forward = lambda x, ctx: (x - 7, lambda dy: dy)
    model, (y, *_) = passes([Dense(5), unit], FLAT, False, True)
    np.testing.assert_array_equal(y, model.layers[0].forward(
        np.random.default_rng(0).standard_normal(FLAT), Context())[0] - 7)


@pytest.mark.parametrize("first", [lambda: Dense(5), lambda: Conv2D(4, 1)])
def test_an_activation_set_later_comes_before_the_unit(first):
    shape, found = FLAT if isinstance(first(), Dense) else MAPS, []
    for fuse in (True, False):
        model, _ = passes([first(), Tanh()], shape, False, fuse)
        model.layers[0].activation = "relu"
        found.append(model.forward(np.ones(shape), Context())[0])
    np.testing.assert_array_equal(*found)
