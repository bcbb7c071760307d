"""Layers that drop steps, tokens, columns or a batch's units: what of each is particular."""

import numpy as np
import pytest
import reference
import reference_sequence

from cydropout import MaskStream
from cydropout.layers import (
    BatchwiseDropout,
    Context,
    FeatureDropout,
    LockedDropout,
    PatchDropout,
    SpatialDropout2D,
    StochasticDepth,
)

DTYPES = ["float16", "bfloat16", "float32", "float64"]


def training(seed=0, masks=None):
    return Context(training=True, stream=MaskStream(seed), masks=masks)


def test_parts_of_a_sequence_share_their_mask_until_it_is_cleared():
    layer, masks = LockedDropout(0.5), {}
    ctx = training(0, masks)
    parts = [layer.forward(np.ones((3, steps, 40)), ctx)[0] for steps in (35, 12, 1, 60)]
    whole = np.concatenate(parts, axis=1)
    kept = reference.keep(MaskStream(0).key, 0, (3, 1, 40), 0.5)
    np.testing.assert_array_equal(whole, np.broadcast_to(2.0 * kept, whole.shape))
    assert ctx.stream.next_draw == 1
    masks.clear()
    other = layer.forward(np.ones((3, 5, 40)), ctx)[0]
    assert ctx.stream.next_draw == 2 and not np.array_equal(other[:, 0], whole[:, 0])
    with pytest.raises(ValueError, match="39"):
        layer.forward(np.ones((3, 5, 39)), ctx)


def test_the_gradient_of_a_part_takes_its_mask():
    layer, masks = LockedDropout(0.5), {}
    backwards = [
        layer.forward(np.ones((3, steps, 40)), training(0, masks))[1] for steps in (4, 9)]
    dx = [back(np.ones((3, steps, 40))) for back, steps in zip(backwards, (4, 9), strict=True)]
    np.testing.assert_array_equal(dx[0][:, :1].repeat(9, axis=1), dx[1])


def test_the_steps_may_lie_on_any_axis():
    x = np.ones((9, 3, 40))
    for axis in (0, -3):
        y = LockedDropout(0.5, axis=axis).forward(x, training())[0]
        assert (y == y[:1]).all() and len(np.unique(y[0])) == 2
    with pytest.raises(ValueError, match="axis 3"):
        LockedDropout(0.5, axis=3).forward(x, Context())
    with pytest.raises(TypeError, match="float"):
        LockedDropout(0.5, axis=1.0)


def test_batchwise_is_one_mask_for_all_samples():
    y = BatchwiseDropout([0.0, 0.5, 0.5, 1.0]).forward(np.ones((30, 4)), training())[0]
    assert (y == y[:1]).all() and (y[:, 0] == 1).all() and (y[:, 3] == 0).all()
    with pytest.raises(ValueError, match="batch axis"):
        BatchwiseDropout(0.5).forward(np.ones(()), Context())


def test_one_switch_for_a_whole_batch_is_stochastic_depth():
    stream, x = MaskStream(0), np.ones((6, 5))
    layer, draws = StochasticDepth(0.3, per="batch"), 400
    on = 0
    for _ in range(draws):
        y = layer.forward(x, Context(training=True, stream=stream))[0]
        assert (y == y[0, 0]).all()
        on += y[0, 0] != 0
    assert abs(on / draws - 0.7) < 5 * np.sqrt(0.21 / draws)


@pytest.mark.parametrize("prefix", [0, 1, 3])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.99, 1.0])
def test_a_sample_keeps_so_many_tokens(rate, prefix):
    x = np.random.default_rng(0).standard_normal((5, 17, 4))
    layer, stream = PatchDropout(rate, prefix=prefix), MaskStream(0)
    y, backward = layer.forward(x, Context(training=True, stream=stream))
    free = 17 - prefix
    kept = 0 if rate == 1 else max(1, round((1 - rate) * free))
    chosen = reference_sequence.subset(MaskStream(0).key, 0, 5, free, kept) + prefix
    indices = np.concatenate([np.tile(np.arange(prefix), (5, 1)), chosen], axis=1)
    np.testing.assert_array_equal(y, np.take_along_axis(x, indices[..., None], axis=1))
    assert stream.next_draw == (0 < kept < free) and not np.shares_memory(x, y)
    dx = np.zeros_like(x)
    np.put_along_axis(dx, indices[..., None], y, axis=1)
    np.testing.assert_array_equal(backward(y), dx)


def test_the_tokens_of_a_pass_can_be_had_and_brought_back():
    x, masks, layer = np.random.default_rng(0).standard_normal((5, 17, 4)), {}, PatchDropout(0.5)
    y = layer.forward(x, training(0, masks))[0]
    indices = masks[layer].indices
    assert indices.shape == (5, 8)
    again = PatchDropout(0.9).forward(x, training(5), mask=indices)[0]
    np.testing.assert_array_equal(again, y)
    backwards = PatchDropout(0.9).forward(x, training(5), mask=indices[:, ::-1].copy())[0]
    np.testing.assert_array_equal(backwards, y[:, ::-1])
    with pytest.raises(ValueError, match="17"):
        layer.forward(x, training(), mask=np.full((5, 1), 17))
    with pytest.raises(ValueError, match=r"\(5, 16, 4\)"):
        layer.forward(x[:, :16], training(0, masks))


def test_tokens_are_not_dropped_at_inference():
    x, stream = np.ones((5, 17, 4)), MaskStream(0)
    y, backward = PatchDropout(0.5).forward(x, Context(stream=stream))
    assert y is x and backward(x) is x and stream.next_draw == 0
    for shape, named in (((5,), r"\(5,\)"), ((5, 1, 4), "at least 2")):
        with pytest.raises(ValueError, match=named):
            PatchDropout(0.5, prefix=2).forward(np.ones(shape), training())
    with pytest.raises(ValueError, match="-1"):
        PatchDropout(0.5, prefix=-1)


@pytest.mark.parametrize("per", ["batch", "sample"])
@pytest.mark.parametrize(
    "settings, kept",
    [
        ({"rate": 0.0}, 20),
        ({"rate": 0.25}, 15),
        ({"rate": 0.999}, 1),
        ({"rate": 1.0}, 0),
        ({"features": 7}, 7),
        ({"features": 0}, 0),
        ({"features": 20}, 20),
        ({"features": "sqrt"}, 4),
        ({"features": "log2"}, 4),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_exact_number_of_columns(build, dtype, settings, kept, per):
    x = np.random.default_rng(0).standard_normal((30, 20)).astype(reference.dtype_named(dtype))
    x[::7] = np.nan
    stream = MaskStream(0)
    layer = FeatureDropout(**settings, per=per)
    y, backward = layer.forward(x, Context(training=True, stream=stream))
    rows = 30 if per == "sample" else 1
    chosen = reference_sequence.subset(MaskStream(0).key, 0, rows, 20, kept)
    keep = np.zeros((rows, 20), bool)
    np.put_along_axis(keep, chosen, True, axis=1)
    expected = reference.dropout(x, np.broadcast_to(keep, x.shape), 20 / kept if kept else 0.0)
    assert y.tobytes() == expected.tobytes() == backward(x).tobytes()
    assert stream.next_draw == (0 < kept < 20) and not np.shares_memory(x, y)
    assert layer.forward(x, Context())[0] is x


@pytest.mark.parametrize("scaling, power", [("classic", 0.0), ("sqrt", 0.5)])
def test_the_scalings_of_columns(scaling, power):
    layer, x = FeatureDropout(features=5, scaling=scaling), np.ones((3, 20))
    y = layer.forward(x, training())[0]
    np.testing.assert_allclose(y[y != 0], 4**power)
    np.testing.assert_allclose(layer.forward(x, Context())[0], 0.25 ** (1 - power))


@pytest.mark.parametrize(
    "call, named",
    [
        (lambda: FeatureDropout(), "either"),
        (lambda: FeatureDropout(0.5, features=3), "either"),
        (lambda: FeatureDropout(features=-1), "-1"),
        (lambda: FeatureDropout(features="half"), "half"),
        (lambda: FeatureDropout(features=2.5), "2.5"),
        (lambda: FeatureDropout(features=True), "True"),
        (lambda: FeatureDropout(0.5, per="row"), "'row'"),
        (lambda: FeatureDropout(0.5, scaling="none"), "'none'"),
        (lambda: FeatureDropout(features=9).forward(np.ones((2, 8)), training()), "9"),
        (lambda: FeatureDropout(0.5).forward(np.ones((2, 8, 3)), training()), "2, 8, 3"),
    ],
)
def test_bad_settings_of_columns_are_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()


def test_an_empty_table():
    for shape in ((0, 4), (3, 0)):
        y, backward = FeatureDropout(0.5).forward(np.ones(shape), training())
        assert y.shape == shape and backward(y).shape == shape


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(SpatialDropout2D(0.4), (4, 8, 5, 6)), (StochasticDepth(0.4), (9, 5)),
     (StochasticDepth(0.4, per="batch"), (9, 5))],
)
def test_the_same_mask_in_pytorch_gives_the_same(layer, shape):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal(shape)
    masks = {}
    y, backward = layer.forward(x, Context(True, MaskStream(3), masks=masks))
    dx = backward(np.ones_like(x))
    kept = torch.tensor(np.broadcast_to(masks[layer].keep, shape).copy())
    leaf = torch.tensor(x, requires_grad=True)
    expected = torch.where(kept, leaf / 0.6, 0)
    expected.sum().backward()
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-9)
    np.testing.assert_allclose(dx, leaf.grad.numpy(), rtol=1e-9)
    assert 0 < kept.numpy().mean() <= 1
