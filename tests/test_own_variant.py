"""A variant of dropout that is written outside of the package, as docs/own_variant.md says."""

import json

import numpy as np
import pytest

from cydropout import MaskStream, Trainer, load_model, predict_mc
from cydropout.layers import Context, Dense, Layer, MaskedLayer, Sequential, register
from cydropout.masks import FactorMask
from cydropout.training.callbacks import RateSchedule
from cydropout.training.schedules import Constant


@register("tests.stepdropout")
class StepDropout(MaskedLayer):
    """Drop whole rows."""

    def mask(self, shape, ctx):
        return ctx.draw(shape, self.rate, shared_axes=(len(shape) - 1,))


class UniformMask(FactorMask):
    """y = f x, with f uniform between 1 - a and 1 + a."""

    def __init__(self, key, draw, shape, a):
        rng = np.random.default_rng([key, draw])
        super().__init__(shape, rng.uniform(1 - a, 1 + a, shape))
        self.key, self.draw = key, draw


@register("tests.uniformnoise")
class UniformNoise(MaskedLayer):
    """Noise that NumPy draws."""

    def mask(self, shape, ctx):
        return ctx.draw_as(UniformMask, shape, self.rate)


@register("tests.axisdropout")
class AxisDropout(MaskedLayer):
    """One more setting."""

    def __init__(self, rate, axis=1, **options):
        super().__init__(rate, **options)
        self.axis = axis

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}

    def mask(self, shape, ctx):
        return ctx.draw(shape, self.rate, shared_axes=(self.axis,))


@register("tests.around")
class Around(Layer):
    """A container of somebody's own."""

    def __init__(self, rate=0.5):
        super().__init__()
        self.inner = StepDropout(rate)

    def get_config(self):
        return {"rate": self.inner.rate}

    def forward(self, x, ctx):
        return self.inner.forward(x, ctx)


KINDS = pytest.mark.parametrize("kind", [StepDropout, UniformNoise, AxisDropout])
MODELS = pytest.mark.parametrize("kind", [StepDropout, UniformNoise, AxisDropout, Around])
X = np.random.default_rng(0).standard_normal((12, 6)).astype("f4")
Y = np.arange(12) % 3


def noisy(model):
    """Return the one layer of a model that draws."""
    (found,) = [layer for layer in model.walk() if isinstance(layer, MaskedLayer)]
    return found


@KINDS
def test_repr_and_config_have_the_rate(kind):
    layer = kind(0.25, name="mine")
    assert repr(layer).startswith(f"{kind.__name__}(rate=0.25")
    again = kind.from_config(json.loads(json.dumps(layer.get_config())))
    assert again.get_config() == layer.get_config() and again.rate == 0.25
    with pytest.raises(ValueError, match="rate must be between 0 and 1, not 1.5"):
        layer.rate = 1.5


@KINDS
def test_passes_are_repeated_replayed_and_linear(kind):
    layer, masks = kind(0.5), {}
    ctx = Context(True, MaskStream(3), masks=masks)
    y, backward = layer.forward(X, ctx)
    assert masks[layer].shape == X.shape and (y != X).any()
    np.testing.assert_array_equal(layer.forward(X, ctx)[0], y)
    np.testing.assert_array_equal(layer.forward(X, Context(True, MaskStream(3)))[0], y)
    assert (layer.forward(X, Context(True, MaskStream(4)))[0] != y).any()
    np.testing.assert_allclose(backward(Y[:, None] * X), Y[:, None] * y, rtol=1e-6)
    np.testing.assert_array_equal(layer.forward(X, Context())[0], X)


@KINDS
def test_every_draw_is_one_of_the_stream(kind):
    stream = MaskStream(3)
    for draw in range(3):
        mask = kind(0.5).mask(X.shape, Context(True, stream))
        assert (mask.key, mask.draw, stream.next_draw) == (stream.key, draw, draw + 1)


@MODELS
def test_it_is_scheduled_trained_saved_and_sampled(kind, tmp_path):
    model = Sequential([Dense(6, activation="tanh"), kind(0.5), Dense(3)])
    trainer = Trainer(model, "softmax_cross_entropy", "adam", rng=1)
    trainer.fit(X, Y, epochs=2, batch_size=4, progress=False,
                callbacks=[RateSchedule(Constant(0.25))])
    assert noisy(model).rate == 0.25
    assert trainer.stream.next_draw == 6
    model.save(tmp_path / "model.safetensors")
    assert noisy(load_model(tmp_path / "model.safetensors")).rate == 0.25
    found = predict_mc(model, X, 8, rng=0)
    assert found.std.max() > 0
