"""The edge cases of the design hold for every variant of dropout: one row each."""

import numpy as np
import pytest
import reference

from cydropout import MaskStream, layers
from cydropout.layers import (
    AlphaDropout,
    Context,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
    StochasticDepth,
    depth_rates,
)
from cydropout.layers.dropout import _variants


class Variant:
    """A layer by its rate, and what the table says of it."""

    def __init__(self, name, case):
        self.name, self.case = name, case
        self.scaling = "classic" if case.classic else "inverted"

    def __getattr__(self, name):
        return getattr(self.case, name)

    def make(self, rate):
        layer = _variants.make(layers, self.name, self.case, rate)
        if self.learned:
            layer.build(self.shape[1:], 0)
        return layer


VARIANTS = {name: Variant(*row) for name, row in _variants.cases("edges").items()}


@pytest.fixture(params=VARIANTS, name="variant")
def _variant(request):
    return VARIANTS[request.param]


def values(variant, dtype="float64"):
    x = np.random.default_rng(0).standard_normal(variant.shape)
    x.flat[::7], x.flat[3::11], x.flat[5::13] = np.nan, np.inf, -0.0
    return x.astype(dtype)


def training(stream=None):
    return Context(training=True, stream=stream or MaskStream(5))


def test_a_learned_rate_is_neither_0_nor_1(variant):
    for rate in (0.0, 1.0) if variant.learned else (-0.5, 1.5):
        with pytest.raises(ValueError, match=str(rate)):
            variant.make(rate)


def test_rate_0_changes_nothing_and_draws_nothing(variant):
    if variant.learned:
        pytest.skip("no such rate")
    stream, x = MaskStream(5), values(variant)
    y, backward = variant.make(0.0).forward(x, training(stream))
    assert y.tobytes() == x.tobytes() and backward(x).tobytes() == x.tobytes()
    assert not np.shares_memory(x, y) and stream.next_draw == 0


def test_rate_1_leaves_zeros(variant):
    if variant.learned:
        pytest.skip("no such rate")
    x = values(variant)
    y, backward = variant.make(1.0).forward(x, training())
    assert (y == 0).all() and (backward(x) == 0).all()


def test_inference_returns_the_input(variant):
    stream, x = MaskStream(5), values(variant)
    y, backward = variant.make(0.5).forward(x, Context(training=False, stream=stream))
    if variant.scaling == "inverted":
        assert y is x and backward(x) is x
    else:
        assert y.tobytes() == (0.5 * x).tobytes() == backward(x).tobytes()
    assert stream.next_draw == 0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_mask_is_the_formula_of_its_bits(variant, dtype):
    if not variant.drops:
        pytest.skip("not a plain mask")
    dtype = reference.dtype_named(dtype)
    x = values(variant, dtype)
    y, backward = variant.make(0.3).forward(x, training())
    kept = reference.keep(MaskStream(5).key, 0, x.shape, 0.3, 0, variant.shared)
    expected = reference.dropout(x, kept, reference.scale(0.3, variant.scaling))
    assert y.dtype == x.dtype and y.tobytes() == expected.tobytes()
    assert backward(x).tobytes() == expected.tobytes()


def test_the_same_seed_gives_the_same_in_every_dtype(variant):
    x = np.random.default_rng(1).integers(-8, 9, variant.shape).astype("f8")
    wide = variant.make(0.5).forward(x, training())[0]
    for dtype in ("float16", "float32"):
        y = variant.make(0.5).forward(x.astype(dtype), training())[0]
        np.testing.assert_allclose(y.astype("f8"), wide, rtol=2e-3, atol=2e-3)


def test_the_mask_of_a_pass_can_be_recorded_and_supplied(variant):
    layer, x, masks = variant.make(0.4), values(variant), {}
    y, backward = layer.forward(x, Context(training=True, stream=MaskStream(5), masks=masks))
    dx, other, moved_on = backward(x), variant.make(0.4), MaskStream(6)
    assert list(masks) == [layer]
    for ctx, options in (
        (Context(training=True, stream=moved_on, masks=masks), {}),  # replayed
        (training(moved_on), {"mask": masks[layer]}),  # supplied
    ):
        again, back = (other if options else layer).forward(x, ctx, **options)
        assert again.tobytes() == y.tobytes() and back(x).tobytes() == dx.tobytes()
    assert moved_on.next_draw == 0
    masks.clear()
    layer.forward(x, Context(training=True, stream=moved_on, masks=masks))
    assert moved_on.next_draw == 1 and list(masks) == [layer]


def test_a_mask_of_another_shape_is_refused(variant):
    layer, x = variant.make(0.4), values(variant)
    mask = layer.mask((*variant.shape[:-1], variant.shape[-1] + 1), training())
    longer = variant.shape[-1] + 1
    if len(variant.shape) - 1 in variant.shared:
        assert layer.forward(x, training(), mask=mask)[0].shape == x.shape
    else:
        with pytest.raises(ValueError, match=str(longer)):
            layer.forward(x, training(), mask=mask)


def test_what_is_kept_can_be_supplied_as_bools(variant):
    layer, x = variant.make(0.4), values(variant)
    if not variant.takes_bools:
        pytest.skip("its mask is not made of bools")
    masks = {}
    y, backward = layer.forward(x, Context(training=True, stream=MaskStream(5), masks=masks))
    bits = masks[layer].keep
    again, back = variant.make(0.4).forward(x, training(MaskStream(6)), mask=bits)
    assert again.tobytes() == y.tobytes() and back(x).tobytes() == backward(x).tobytes()
    with pytest.raises(TypeError, match="int64"):
        layer.forward(x, training(), mask=bits.astype("int64"))


@pytest.mark.parametrize("rate", [-0.1, 1.5, np.nan])
def test_bad_rates_are_named(variant, rate):
    with pytest.raises(ValueError, match=str(rate)):
        variant.make(rate)
    layer = variant.make(0.25)
    with pytest.raises(ValueError, match=str(rate)):
        layer.rate = rate
    assert layer.rate == pytest.approx(0.25, rel=1e-6)
    if not variant.learned:
        layer.rate = 1
        assert (layer.forward(values(variant), training())[0] == 0).all()


def test_the_realised_rate(variant):
    sizes = [1 if a in variant.shared else n for a, n in enumerate(variant.shape)]
    if not variant.drops or np.prod(sizes) == 1:
        pytest.skip("nothing to count")
    stream, dropped, draws = MaskStream(7), 0, 60
    for _ in range(draws):
        y = variant.make(0.3).forward(np.ones(variant.shape), training(stream))[0]
        first = tuple(slice(0, 1) if a in variant.shared else slice(None)
                      for a in range(y.ndim))
        dropped += (y[first] == 0).sum()
    count = draws * int(np.prod(sizes))
    assert abs(dropped / count - 0.3) < 5 * np.sqrt(0.21 / count)


@pytest.mark.parametrize(
    "make, shape",
    [(SpatialDropout1D, (3, 4)), (SpatialDropout2D, (3, 4, 5)), (SpatialDropout3D, (3, 4, 5, 6))],
)
def test_maps_need_their_axes(make, shape):
    with pytest.raises(ValueError, match=f"{len(shape) + 1} axes"):
        make(0.5).forward(np.ones(shape), Context())


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: SpatialDropout2D(0.5, data_format="NCHW"), "'NCHW'"),
        (lambda: StochasticDepth(0.5, per="row"), "'row'"),
        (lambda: depth_rates(0, 0.5), "not 0"),
        (lambda: depth_rates(3, 2.0), "2.0"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("make", [SpatialDropout2D, StochasticDepth, AlphaDropout])
def test_one_rate_only(make):
    with pytest.raises(TypeError, match="one rate"):
        make([0.1, 0.2])


def test_depth_rates_rise_linearly():
    np.testing.assert_allclose(depth_rates(4, 0.2), [0.05, 0.1, 0.15, 0.2])


def test_every_dropout_has_a_row():
    """A layer that drops is exported by `layers.dropout`, or has Drop in its name."""
    public = {name for name in layers.__all__ if "Drop" in name}
    public |= {name for name in layers.dropout.__all__ if isinstance(getattr(layers, name), type)}
    assert len(public) > 25
    rows = {name.split()[0] for name, row in _variants.VARIANTS.items() if row.kind != "training"}
    assert rows == public


@pytest.mark.parametrize("what", ["contract", "edges"])
def test_a_plain_row_is_that_of_an_elementwise_layer(what, monkeypatch):
    row = _variants.Variant("element", "y = m x", "nobody", (8, 8))
    monkeypatch.setitem(_variants.VARIANTS, "Dropout", row)
    variant, case = _variants.cases(what)["Dropout"]
    assert case.linear if what == "contract" else case.drops
    layer = _variants.make(layers, variant, case, 0.25)
    assert isinstance(layer, layers.Dropout) and layer.rate == 0.25
