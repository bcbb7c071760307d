"""Softmax with dropout: against plain NumPy and PyTorch, and the same bits everywhere."""

import numpy as np
import pytest
import reference_attention as reference

from cydropout import MaskStream
from cydropout.functional import AttentionMask, softmax_dropout, softmax_dropout_backward
from cydropout.layers import Context, SoftmaxDropout
from cydropout.masks import FactorMask, KeepMask

SHAPES = [(4, 5, 1), (3, 3), (2, 31, 17), (3, 64, 64), (2, 33, 197), (9, 1024), (3, 5000)]
EPS = {"float32": 2.0**-23, "float64": 2.0**-52}


def arrays(shape, dtype="float32", spread=3.0):
    rng = np.random.default_rng(0)
    scores, dy = rng.standard_normal(shape) * spread, rng.standard_normal(shape)
    return scores.astype(dtype), dy.astype(dtype)


def some(shape):
    """An attention mask in which the last query sees nothing."""
    allowed = np.random.default_rng(1).random(shape) < 0.7
    allowed[..., -1, :] = False
    return allowed


def both(scores, dy, mask, **options):
    y, statistics = softmax_dropout(scores, mask, **options)
    return y, statistics, softmax_dropout_backward(dy, scores, statistics, mask, **options)


@pytest.mark.parametrize("kind", ["plain", "masked", "causal", "causal-masked"])
@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_formula(build, shape, dtype, kind):
    scores, dy = arrays(shape, dtype)
    options = {"causal": kind.startswith("causal"), "scale": 0.7}
    if kind.endswith("masked"):
        options["attention_mask"] = some(shape)
    allowed = reference.seen(shape, options.get("attention_mask"), options["causal"])
    mask, eps = MaskStream(2).draw(shape, 0.3), EPS[dtype]
    y, statistics, dx = both(scores, dy, mask, num_threads=1, **options)
    assert y.dtype == dx.dtype == dtype and statistics.shape == (*shape[:-1], 2)
    want = reference.softmax_dropout(scores, mask.keep, mask.scale, allowed, 0.7)
    np.testing.assert_allclose(y, want, rtol=8 * eps, atol=1e-300)
    assert (y[~(allowed & mask.keep)] == 0).all()
    slope, size = reference.softmax_dropout_backward(
        dy, scores, mask.keep, mask.scale, allowed, 0.7)
    assert (abs(dx - slope) <= 16 * eps * size).all() and (dx[~allowed] == 0).all()
    for threads in (2, 5):
        for one, other in zip(
            both(scores, dy, mask, num_threads=threads, **options), (y, statistics, dx), strict=True
        ):
            assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("shape", SHAPES)
def test_builds_agree_to_the_bit(each_build, shape, dtype, causal):
    scores, dy = arrays(shape, dtype, 30.0)
    found = set()
    for _ in each_build:
        mask = MaskStream(2).draw(shape, 0.1)
        found.add(b"".join(a.tobytes() for a in both(scores, dy, mask, causal=causal)))
        lower = np.tri(shape[-2], shape[-1], dtype=bool)
        masked = both(scores, dy, mask, attention_mask=lower if causal else None)
        found.add(b"".join(a.tobytes() for a in masked))
    assert len(found) == 1


@pytest.mark.parametrize("kind", ["plain", "causal", "masked"])
@pytest.mark.parametrize("shape", [(2, 3, 40, 40), (4, 2, 19, 197)])
def test_against_pytorch(shape, kind):
    torch = pytest.importorskip("torch")
    scores, dy = arrays(shape)
    mask = MaskStream(3).draw(shape, 0.1)
    allowed = np.random.default_rng(1).random((shape[0], 1, 1, shape[-1])) < 0.7
    options = {"plain": {}, "causal": {"causal": True}, "masked": {"attention_mask": allowed}}[kind]
    y, _, dx = both(scores, dy, mask, scale=0.25, **options)
    x = torch.from_numpy(scores).requires_grad_(True)
    seen = reference.seen(shape, options.get("attention_mask"), kind == "causal")
    weights = torch.softmax((x * 0.25).masked_fill(torch.from_numpy(~seen), -torch.inf), -1)
    dropped = weights * torch.from_numpy(mask.keep.astype("f4")) * np.float32(mask.scale)
    dropped.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(y, dropped.detach().numpy(), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(dx, x.grad.numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bits_are_computed_in_float32(dtype):
    kind = np.dtype("f2") if dtype == "float16" else pytest.importorskip("ml_dtypes").bfloat16
    scores, dy = (array.astype(kind) for array in arrays((5, 70)))
    mask = MaskStream(0).draw((5, 70), 0.3)
    y, statistics, dx = both(scores, dy, mask)
    wide_y, wide, wide_dx = both(scores.astype("f4"), dy.astype("f4"), mask)
    assert y.dtype == dx.dtype == kind and statistics.tobytes() == wide.tobytes()
    assert y.tobytes() == wide_y.astype(kind).tobytes()
    assert dx.tobytes() == wide_dx.astype(kind).tobytes()


@pytest.mark.parametrize("dtype", EPS)
def test_large_scores_are_stable(build, dtype):
    scores = np.array([[1e4, 1e4 - 1, -1e4], [-1e4, -1e4, -3e4], [3e38, -3e38, 0]], dtype)
    y, _ = softmax_dropout(scores)
    half = 1 / (1 + np.exp(-1))
    np.testing.assert_allclose(y, [[half, 1 - half, 0], [0.5, 0.5, 0], [1, 0, 0]], rtol=1e-6)
    assert (y[0, 2], y[1, 2], y[2, 1]) == (0, 0, 0)


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("keys", [5, 40])
def test_nan_and_infinity(build, dtype, keys):
    scores, dy = arrays((6, keys), dtype)
    scores[0, 3], scores[1, 3], scores[2, 3], scores[3], scores[4, 3] = (
        np.nan, np.inf, -np.inf, -np.inf, np.nan)
    keep = np.random.default_rng(3).random((6, keys)) < 0.6
    allowed = np.ones((6, keys), bool)
    allowed[4, 3] = False
    mask = KeepMask((6, keys), keep, 1.5)
    y, _, dx = both(scores, dy, mask, attention_mask=allowed)
    want = reference.softmax_dropout(scores, keep, 1.5, allowed)
    np.testing.assert_allclose(y, want, rtol=1e-6, atol=1e-30)
    assert np.isnan(y[:2][keep[:2]]).all() and (y[~keep] == 0).all()
    assert (y[3] == 0).all() and (dx[3] == 0).all()
    assert np.isfinite(dx[2:]).all() and np.isfinite(y[2:]).all()


@pytest.mark.parametrize(
    "bits", ["7fc00001", "7f800001", "ffffffff", "7ff00000000007a2", "fff8000000000001"]
)
def test_a_nan_of_any_payload_stays_one(build, bits):
    x = np.zeros((2, 20), f"f{len(bits) // 2}")
    x.view(f"u{len(bits) // 2}")[0, 3] = int(bits, 16)
    y, _, dx = both(x, np.ones_like(x), None)
    assert np.isnan(y[0]).all() and np.isnan(dx[0]).all()
    assert (y[1] == x.dtype.type(0.05)).all()


def test_what_is_not_seen_has_no_say():
    scores, dy = arrays((4, 37))
    allowed = some((4, 37))
    want = both(scores, dy, None, attention_mask=allowed)
    scores[~allowed], dy[~allowed] = np.nan, np.inf
    for one, other in zip(both(scores, dy, None, attention_mask=allowed), want, strict=True):
        assert one.tobytes() == other.tobytes()
    assert not want[0][-1].any() and not want[1][-1].any() and not want[2][-1].any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_nan_that_is_seen_does_not_reach_what_is_not(build, value):
    scores, dy = arrays((40, 40))
    scores[:, 7] = value
    lower = np.tri(40, dtype=bool)
    masked = both(scores, dy, None, attention_mask=lower)
    for one, other in zip(masked, both(scores, dy, None, causal=True), strict=True):
        assert one.tobytes() == other.tobytes()
    y, _, dx = masked
    assert np.isnan(y[7:][lower[7:]]).all() and np.isfinite(y[:7]).all()
    assert (y[~lower] == 0).all() and (dx[~lower] == 0).all()


def test_one_row_alone():
    scores, dy = arrays((2, 37))
    for one, two in zip(both(scores[0], dy[0], None), both(scores, dy, None), strict=True):
        assert one.tobytes() == two[0].tobytes()


@pytest.mark.parametrize("mask_shape", [(35,), (4, 1, 1, 35), (20, 1), (3, 20, 35), (1,), ()])
def test_attention_masks_broadcast(mask_shape):
    shape = (4, 3, 20, 35)
    scores, dy = arrays(shape)
    allowed = np.random.default_rng(1).random(mask_shape) < 0.7
    want = both(scores, dy, None, attention_mask=np.broadcast_to(allowed, shape).copy())
    for mask in (allowed, AttentionMask(allowed, shape)):
        for one, other in zip(both(scores, dy, None, attention_mask=mask), want, strict=True):
            assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize(
    "mask",
    [
        MaskStream(0).draw((4, 6, 9), 0.4, shared_axes=(1,)),
        MaskStream(0).draw((4, 6, 9), np.linspace(0, 1, 9)),
        KeepMask((4, 6, 9), np.arange(9) % 3 > 0, [1.0, 2.0, 0.5, 0.0]),
        MaskStream(0).draw((4, 6, 9), 0.4, storage="seed"),
        MaskStream(0).draw((4, 6, 9), 0.4, offset=77),
        MaskStream(0).draw((4, 6, 9), 0.0),
    ],
    ids=["shared", "rates", "scales", "seed", "offset", "rate-0"],
)
def test_any_mask_will_do(mask):
    scores, dy = arrays((4, 6, 9), "float64")
    y, _, dx = both(scores, dy, mask)
    scale = mask.scale.reshape(-1, 1, 1) if isinstance(mask, KeepMask) else mask.scale
    allowed = reference.seen(scores.shape)
    want = reference.softmax_dropout(scores, mask.keep, scale, allowed)
    np.testing.assert_allclose(y, want, rtol=1e-14)
    slope, _ = reference.softmax_dropout_backward(dy, scores, mask.keep, scale, allowed)
    np.testing.assert_allclose(dx, slope, rtol=1e-12, atol=1e-15)


def test_a_mask_of_factors_has_a_pass_of_its_own():
    scores, dy = arrays((4, 9), "float64")
    mask = FactorMask((4, 9), np.linspace(-1, 2, 9))
    y, _, dx = both(scores, dy, mask)
    everything = reference.seen(scores.shape)
    want = reference.softmax_dropout(scores, True, mask.values, everything)
    np.testing.assert_allclose(y, want, rtol=1e-14)
    slope, _ = reference.softmax_dropout_backward(dy, scores, True, mask.values, everything)
    np.testing.assert_allclose(dx, slope, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float16", "float32", ">f8"])
def test_out(dtype):
    scores = arrays((6, 40))[0].astype(dtype)
    mask = MaskStream(0).draw((6, 40), 0.3)
    want, _ = softmax_dropout(scores, mask)
    for place in (np.empty_like(scores), np.empty((40, 6), dtype).T, scores.copy()):
        y, _ = softmax_dropout(scores, mask, out=place)
        assert y is place
        np.testing.assert_array_equal(place, want)
    softmax_dropout(scores, mask, out=scores)
    np.testing.assert_array_equal(scores, want)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 4), (0, 0)])
@pytest.mark.parametrize("causal", [False, True])
def test_empty(shape, causal):
    x = np.empty(shape, "f4")
    allowed = np.ones(shape, bool)
    y, statistics, dx = both(x, x, None, causal=causal, attention_mask=allowed)
    assert y.shape == dx.shape == shape and not statistics.any()


def test_the_bits_are_those_of_the_tape_in_every_dtype():
    x = np.zeros((3, 7, 101))
    for dtype in ("float16", "float32", "float64"):
        y, _ = softmax_dropout(x.astype(dtype), MaskStream(4).draw(x.shape, 0.25))
        np.testing.assert_array_equal(y != 0, MaskStream(4).draw(x.shape, 0.25).keep)


def test_the_rate_and_the_mean_come_out():
    """Equal scores have equal weights: the kept ones are counted, and sum to 1 on average."""
    rows, keys, rate = 4096, 96, 0.1
    layer = SoftmaxDropout(rate)
    ctx = Context(training=True, stream=MaskStream(11))
    y, _ = layer.forward(np.zeros((rows, keys), "f4"), ctx)
    error = 5 * np.sqrt(rate * (1 - rate) / (rows * keys))
    assert abs((y == 0).mean() - rate) < error
    assert abs(y.sum(axis=1, dtype="f8").mean() - 1) < error / (1 - rate)


def test_inference_mode_switches_dropout_off():
    scores, dy = arrays((4, 8, 8))
    layer, stream = SoftmaxDropout(0.9, causal=True, scale=0.5), MaskStream(0)
    y, backward = layer.forward(scores, Context(training=False, stream=stream))
    want, _, dx = both(scores, dy, None, causal=True, scale=0.5)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(backward(dy), dx)
    np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-6)
    assert stream.next_draw == 0


def test_rate_0_is_the_softmax_and_rate_1_is_0():
    scores, dy = arrays((4, 8))
    stream = MaskStream(0)
    ctx = Context(training=True, stream=stream)
    y, backward = SoftmaxDropout(0.0).forward(scores, ctx)
    want, _, dx = both(scores, dy, None)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(backward(dy), dx)
    assert stream.next_draw == 0
    scores[0, 0], scores[1, 1] = np.nan, np.inf
    y, backward = SoftmaxDropout(1.0).forward(scores, ctx)
    assert (y == 0).all() and (backward(dy) == 0).all()


def test_the_layer_takes_masks():
    scores, dy = arrays((2, 5, 9))
    layer, masks, stream = SoftmaxDropout(0.4), {}, MaskStream(5)
    allowed = np.arange(9) < 7
    ctx = Context(training=True, stream=stream, masks=masks)
    y, backward = layer.forward(scores, ctx, attention_mask=allowed)
    assert list(masks) == [layer] and stream.next_draw == 1 and not y[..., 7:].any()
    keep = masks[layer].keep
    for options in ({}, {"mask": keep}, {"mask": masks[layer]}):
        again, back = layer.forward(scores, ctx, attention_mask=allowed, **options)
        assert again.tobytes() == y.tobytes() and back(dy).tobytes() == backward(dy).tobytes()
    assert stream.next_draw == 1


def test_what_does_not_fit_is_named():
    scores, dy = arrays((4, 5))
    statistics, stream = softmax_dropout(scores)[1], MaskStream(0)
    ctx = Context(training=True, stream=stream)
    layer = SoftmaxDropout(0.5, causal=True)
    with pytest.raises(TypeError, match="int64"):
        layer.forward(scores, ctx, attention_mask=np.ones((4, 5), int))
    with pytest.raises(ValueError, match=r"\(3, 5\)"):
        layer.forward(scores, ctx, attention_mask=np.ones((3, 5), bool))
    with pytest.raises(ValueError, match=r"2 axes.*\(5,\)"):
        layer.forward(scores[0], ctx)
    with pytest.raises(TypeError, match="one rate"):
        SoftmaxDropout([0.1, 0.2])
    with pytest.raises(ValueError, match="inf"):
        SoftmaxDropout(0.1, scale=np.inf)
    assert stream.next_draw == 0
    with pytest.raises(ValueError, match="nan"):
        softmax_dropout(scores, scale=np.nan)
    with pytest.raises(ValueError, match=r"\(\)"):
        softmax_dropout(np.float32(1))
    with pytest.raises(TypeError, match="int64"):
        softmax_dropout(np.ones((4, 5), int))
    with pytest.raises(ValueError, match=r"\(5, 4\)"):
        softmax_dropout(scores, stream.draw((5, 4), 0.5))
    with pytest.raises(ValueError, match=r"\(4, 6\)"):
        softmax_dropout(scores, attention_mask=AttentionMask(True, (4, 6)))
    with pytest.raises(ValueError, match=r"\(4, 6\)"):
        softmax_dropout_backward(np.ones((4, 6)), scores, statistics)
    with pytest.raises(ValueError, match="float64"):
        softmax_dropout_backward(dy, scores, statistics.astype("f8"))
    with pytest.raises(ValueError, match="overlaps scores"):
        softmax_dropout(scores[:2], out=scores.ravel()[5:15].reshape(2, 5)[:2])
