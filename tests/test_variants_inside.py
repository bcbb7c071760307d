"""The edge cases of the design, for the variants that drop within what they compute."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import reference

from cydropout import MaskStream
from cydropout.layers import (
    LSTM,
    Context,
    Dense,
    DropConnect,
    Embedding,
    Layer,
    LayerDrop,
    MultiHeadAttention,
    PatchDropout,
    Residual,
    SoftmaxDropout,
    Standout,
    WeightDropout,
)


@dataclass(frozen=True)
class Variant:
    """A layer by its rate, an input's shape, and what it is at the ends of the rate.

    ``plain`` is the layer that has its numbers at rate 0; ``full`` makes those of rate 1 of the
    input. ``decisions`` says how many a pass takes.
    """

    make: Callable[[float], Layer]
    shape: tuple[int, ...]
    plain: Callable[[], Layer]
    full: Callable[[np.ndarray], np.ndarray]
    decisions: int
    takes_nan: bool = True  # at rate 1 what is dropped may be NaN
    shared_axes: tuple[int, ...] = ()  # of the mask

    def built(self, rate: float) -> Layer:
        layer = self.make(rate)
        layer.build(self.shape[1:], 0, "float64")
        return layer

    def inputs(self) -> np.ndarray:
        return np.random.default_rng(0).standard_normal(self.shape)


def zeros(*shape):
    return lambda x: np.zeros(shape)


VARIANTS = {
    "DropConnect": Variant(
        lambda rate: DropConnect(30, rate), (4, 7), lambda: Dense(30), zeros(4, 30), 210,
    ),
    "DropConnect-sample": Variant(
        lambda rate: DropConnect(30, rate, per="sample"), (4, 7), lambda: Dense(30), zeros(4, 30),
        840,
    ),
    "WeightDropout": Variant(
        lambda rate: WeightDropout(Dense(30), rate), (4, 7), lambda: Dense(30), zeros(4, 30), 210,
        takes_nan=False,
    ),
    "WeightDropout-recurrent": Variant(
        lambda rate: WeightDropout(LSTM(6, bias=False), rate, ["weight", "recurrent_weight"]),
        (4, 5, 7), lambda: LSTM(6, bias=False), zeros(4, 5, 6), 24 * 13, takes_nan=False,
    ),
    "LSTM": Variant(
        lambda rate: LSTM(6, bias=False, dropout=rate), (4, 5, 7), lambda: LSTM(6, bias=False),
        zeros(4, 5, 6), 28, shared_axes=(1,),
    ),
    "PatchDropout": Variant(
        PatchDropout, (4, 50, 3), lambda: PatchDropout(0.0), zeros(4, 0, 3), 200
    ),
    "LayerDrop": Variant(
        lambda rate: LayerDrop(Dense(7), rate), (4, 7), lambda: Dense(7), lambda x: x, 1
    ),
    "Residual": Variant(
        lambda rate: Residual(Dense(7), rate=rate), (40, 7), lambda: Residual(Dense(7)),
        lambda x: x, 40, takes_nan=False, shared_axes=(1,),
    ),
    "SoftmaxDropout": Variant(
        SoftmaxDropout, (4, 9, 25), lambda: SoftmaxDropout(0.0), zeros(4, 9, 25), 900
    ),
    "MultiHeadAttention": Variant(
        lambda rate: MultiHeadAttention(2, rate=rate, bias=False), (4, 9, 6),
        lambda: MultiHeadAttention(2, bias=False), zeros(4, 9, 6), 648, takes_nan=False,
    ),
}


@pytest.fixture(params=VARIANTS, name="variant")
def _variant(request):
    return VARIANTS[request.param]


def training(stream=None, masks=None):
    return Context(training=True, stream=stream or MaskStream(5), masks=masks)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def noise(masks):
    """Return what drew, and its mask; the layers inside draw nothing."""
    ((holder, mask),) = [(layer, mask) for layer, mask in masks.items() if layer.rate]
    return holder, mask


def kept(mask, shared_axes=()):
    """Return the decisions of a mask, of a dict of masks, or of tokens."""
    if isinstance(mask, dict):
        return np.concatenate([kept(one) for one in mask.values()])
    if hasattr(mask, "indices"):
        chosen = np.zeros(VARIANTS["PatchDropout"].shape[:2], bool)
        np.put_along_axis(chosen, mask.indices, True, axis=1)
        return chosen.ravel()
    first = tuple(slice(0, 1) if axis in shared_axes else slice(None)
                  for axis in range(mask.keep.ndim))
    return mask.keep[first].ravel()


def test_rate_0_is_the_plain_layer_and_draws_nothing(variant):
    stream, x, plain = MaskStream(5), variant.inputs(), variant.plain()
    plain.build(variant.shape[1:], 0, "float64")
    expected, back = plain.forward(x, Context())
    y, backward = variant.built(0.0).forward(x, training(stream))
    close(y, expected)
    close(backward(np.ones_like(y)), back(np.ones_like(y)))
    assert stream.next_draw == 0


def test_rate_1_drops_everything(variant):
    x = variant.inputs()
    y, backward = variant.built(1.0).forward(x, training())
    np.testing.assert_array_equal(y, variant.full(x))
    dx = backward(np.ones_like(y))
    shortcut = 1.0 if variant.full(x) is x else 0.0
    np.testing.assert_array_equal(dx, np.full_like(x, shortcut))


def test_rate_1_drops_nan_and_infinity_too(variant):
    if not variant.takes_nan:
        pytest.skip("0 times NaN, in a product of the layer inside, is NaN")
    x = variant.inputs()
    x.flat[0], x.flat[-1] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        y, _ = variant.built(1.0).forward(x, training())
    np.testing.assert_array_equal(y, variant.full(x))


def test_inference_is_the_plain_layer_and_draws_nothing(variant):
    stream, x, plain = MaskStream(5), variant.inputs(), variant.plain()
    plain.build(variant.shape[1:], 0, "float64")
    y, _ = variant.built(0.4).forward(x, Context(stream=stream))
    close(y, plain.forward(x, Context())[0])
    assert stream.next_draw == 0


def test_the_masks_are_those_of_the_tape_and_can_be_had_and_held(variant):
    layer, x, masks, stream = variant.built(0.4), variant.inputs(), {}, MaskStream(5)
    y, backward = layer.forward(x, training(stream, masks))
    dx, used = backward(np.ones_like(y)), dict(masks)
    assert stream.next_draw >= 1
    other = MaskStream(6)
    again, back = layer.forward(x, training(other, masks))
    assert again.tobytes() == y.tobytes() and back(np.ones_like(y)).tobytes() == dx.tobytes()
    assert other.next_draw == 0 and masks == used
    _, mask = noise(masks)
    single = next(iter(mask.values())) if isinstance(mask, dict) else mask
    if not hasattr(single, "indices"):
        close(single.keep, reference.keep(MaskStream(5).key, 0, single.shape, 0.4, 0,
                                          variant.shared_axes))


def test_the_mask_can_be_brought(variant):
    layer, x, masks = variant.built(0.4), variant.inputs(), {}
    y, _ = layer.forward(x, training(masks=masks))
    mask = noise(masks)[1]
    stream = MaskStream(6)
    brought = {"dropout": mask} if isinstance(layer, LSTM) else mask
    again, _ = variant.built(0.4).forward(x, training(stream), mask=brought)
    assert again.tobytes() == y.tobytes() and stream.next_draw == 0
    if isinstance(mask, dict):
        with pytest.raises(ValueError, match="other"):
            layer.forward(x, training(), mask={**mask, "other": mask})


@pytest.mark.parametrize("name", ["SoftmaxDropout", "LSTM"])
def test_a_mask_that_is_brought_comes_before_one_that_is_held(name):
    variant, masks = VARIANTS[name], {}
    layer, x = variant.built(0.4), variant.inputs()
    layer.forward(x, training(masks=masks))
    mask = noise(masks)[1]
    y, _ = layer.forward(x, training(masks=masks))
    keep = ~mask.keep
    brought = {"dropout": keep} if name == "LSTM" else keep
    other, _ = layer.forward(x, training(masks=masks), mask=brought)
    assert other.tobytes() != y.tobytes()
    np.testing.assert_array_equal(noise(masks)[1].keep, keep)
    wrong = {"dropout": keep[:, :, :3]} if name == "LSTM" else keep[:1, :3]
    with pytest.raises(ValueError, match="shape"):
        layer.forward(x, training(masks=masks), mask=wrong)
    np.testing.assert_array_equal(noise(masks)[1].keep, keep)


@pytest.mark.parametrize("make", [lambda: Residual(Dense(7)), lambda: Embedding(9, 7)])
def test_a_mask_comes_with_the_context_also_at_rate_0(make):
    layer, x = make(), np.arange(21).reshape(3, 7) % 9
    layer.build((7,), 0, "float64")
    x = x if isinstance(layer, Embedding) else x.astype("f8")
    shape = (9, 1) if isinstance(layer, Embedding) else (3, 1)
    ctx = training().supplying({layer.dropout: np.zeros(shape, bool)})
    y, _ = layer.forward(x, ctx)
    np.testing.assert_array_equal(y, np.zeros((3, 7, 7)) if isinstance(layer, Embedding) else x)


@pytest.mark.parametrize("rate", [-0.1, 1.5, math.nan])
def test_bad_rates_are_named(variant, rate):
    with pytest.raises(ValueError, match=str(rate)):
        variant.make(rate)


def test_the_mask_is_the_same_in_every_dtype(variant):
    layer, found = variant.built(0.4), []
    for dtype in ("float64", "float32", "float16"):
        masks = {}
        layer.forward(variant.inputs().astype(dtype), training(masks=masks))
        found.append(kept(noise(masks)[1]))
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_the_realised_rate(variant):
    stream, x, total = MaskStream(7), variant.inputs(), 0
    layer, draws = variant.built(0.3), 200
    for _ in range(draws):
        masks = {}
        layer.forward(x, training(stream, masks))
        found = kept(noise(masks)[1], variant.shared_axes)
        assert found.size == variant.decisions
        total += (~found).sum()
    count = draws * variant.decisions
    assert abs(total / count - 0.3) < 5 * math.sqrt(0.21 / count)


def test_the_plain_softmax_is_the_formula():
    x = VARIANTS["SoftmaxDropout"].inputs()
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    close(SoftmaxDropout(0.0).forward(x, Context())[0], e / e.sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("keep", [0.2, 0.9])
def test_standout_keeps_as_often_as_it_says(keep):
    layer = Standout(50, alpha=0.0, beta=math.log(keep / (1 - keep)))
    layer.build((7,), 0, "float64")
    stream, x, total = MaskStream(7), np.random.default_rng(0).standard_normal((40, 7)), 0
    for _ in range(20):
        masks = {}
        layer.forward(x, training(stream, masks))
        total += masks[layer].keep.sum()
    assert abs(total / 40_000 - keep) < 5 * math.sqrt(keep * (1 - keep) / 40_000)


@pytest.mark.parametrize("beta", [-math.inf, math.inf])
def test_standout_refuses_a_rate_that_is_certain(beta):
    with pytest.raises(ValueError, match=str(beta)):
        Standout(5, beta=beta)
