"""Normalised channels, with a pool behind them or without: against plain NumPy."""

import numpy as np
import pytest

from cydropout import MaskStream, functional
from cydropout.functional import Windows
from cydropout.layers import BatchNorm, Context, MaxPool2D, ReLU, Sequential


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(2, 1), (1000, 3), (77, 64), (5000, 33)])
def test_moments(build, shape, dtype):
    x = (np.random.default_rng(0).standard_normal(shape) * 0.1 + 1000).astype(dtype)
    mean, variance = functional.moments(x, num_threads=1)
    wide = x.astype("float64")
    np.testing.assert_allclose(mean, wide.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(variance, wide.var(axis=0), rtol=1e-8, atol=1e-12)
    for threads in (2, 3, 7):
        again = functional.moments(x, num_threads=threads)
        assert all(np.array_equal(a, b) for a, b in zip(again, (mean, variance), strict=True))


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("of_batch", [False, True])
@pytest.mark.parametrize("shape", [(6, 5), (3000, 33)])
def test_normalise(build, shape, of_batch, relu):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal(shape), rng.standard_normal(shape)
    gamma, beta = rng.standard_normal(shape[1]), rng.standard_normal(shape[1])
    mean, variance = functional.moments(x)
    y, done = functional.normalise(
        x, mean, variance, gamma, beta, epsilon=1e-3, relu=relu, of_batch=of_batch
    )
    inverse = (variance + 1e-3) ** -0.5
    hat = (x - mean) * inverse
    z = hat * gamma + beta
    np.testing.assert_allclose(y, np.maximum(z, 0) if relu else z, rtol=1e-10, atol=1e-12)
    g = np.where(z > 0, dy, 0) if relu else dy
    dx, dgamma, dbeta = functional.normalise_backward(dy, done)
    np.testing.assert_allclose(dgamma, (g * hat).sum(axis=0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(dbeta, g.sum(axis=0), rtol=1e-9, atol=1e-9)
    wanted = g
    if of_batch:
        wanted = g - g.mean(axis=0) - hat * (g * hat).mean(axis=0)
    np.testing.assert_allclose(dx, wanted * inverse * gamma, rtol=1e-8, atol=1e-10)
    for threads in (2, 5):
        again = functional.normalise_backward(dy, done, num_threads=threads)
        assert all(map(np.array_equal, again, (dx, dgamma, dbeta)))


#: Maps (n, height, width, channels), and the size of their windows.
POOLED = [((3, 4, 6, 5), (2, 2)), ((2, 7, 5, 33), (2, 2)), ((70, 9, 9, 16), (3, 2)),
          ((2, 5, 5, 70), (1, 4)), ((1, 40, 40, 130), (2, 3)), ((0, 4, 4, 3), (2, 2)),
          ((2, 16, 16, 4096), (16, 16))]


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "size"), POOLED)
def test_a_pool_in_the_pass_is_one_behind_it(build, shape, size, dtype, relu):
    rng = np.random.default_rng(0)
    counts = tuple(n // s for n, s in zip(shape[1:3], size, strict=True))
    windows = Windows(shape[1:3], size, size, (0, 0), counts)
    x = rng.standard_normal(shape).astype(dtype).round(1)  # so that some are alike
    rows, channels = x.reshape(-1, shape[3]), shape[3]
    with np.errstate(invalid="ignore"):
        given = (rows, *functional.moments(rows), rng.standard_normal(channels),
                 rng.standard_normal(channels))
        if x.size:
            x[0, 1, 1, 0] = np.nan
        dy = rng.standard_normal((shape[0] * counts[0] * counts[1], channels)).astype(dtype)
        y, whole = functional.normalise(*given, epsilon=0.1, relu=relu)
        pooled, at = functional.max_pool(y.reshape(shape), windows)
        dz = functional.max_pool_backward(dy.reshape(pooled.shape), at, windows)
        expected = functional.normalise_backward(dz.reshape(rows.shape), whole)
    for threads in (1, 3):
        found, done = functional.normalise(
            *given, epsilon=0.1, relu=relu, pool=windows, num_threads=threads)
        np.testing.assert_array_equal(found, pooled.reshape(-1, channels))
        np.testing.assert_array_equal(done.at.reshape(at.shape), at)
        gradients = functional.normalise_backward(dy, done, num_threads=threads)
        for one, other in zip(gradients, expected, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("changed", "words"), [
    ({"strides": (1, 1)}, "side by side"), ({"before": (1, 0)}, "side by side"),
    ({"counts": (3, 2)}, "side by side"), ({"counts": (0, 2)}, "side by side"),
    ({"maps": (4, 5), "counts": (2, 2)}, r"32 rows, which are no maps of \(4, 5\)"),
])
def test_windows_that_no_pass_pools_are_refused(changed, words):
    x, windows = np.ones((32, 3)), Windows((4, 4), (2, 2), (2, 2), (0, 0), (2, 2))
    given = (x, np.zeros(3), np.ones(3), np.ones(3), np.zeros(3))
    with pytest.raises(ValueError, match=words):
        functional.normalise(*given, epsilon=0.1, pool=windows._replace(**changed))
    with pytest.raises(TypeError, match=r"functional\.Windows"):
        functional.normalise(*given, epsilon=0.1, pool=(2, 2))
    _, done = functional.normalise(*given, epsilon=0.1, pool=windows)
    with pytest.raises(ValueError, match=r"but y is float64 \(8, 3\)"):
        functional.normalise_backward(np.ones((32, 3)), done)


@pytest.mark.parametrize("pool", [
    {}, {"strides": 1}, {"padding": 1}, {"padding": "same"}, {"pool_size": 3},
    {"data_format": "channels_first"}], ids=str)
@pytest.mark.parametrize("axis", [1, 3, -1])
@pytest.mark.parametrize("relu", [[], [ReLU()]], ids=["", "ReLU"])
def test_a_pool_behind_a_normalisation_is_the_same_in_one_pass(relu, axis, pool):
    x, found = np.random.default_rng(0).standard_normal((4, 5, 7, 6)).astype("f4"), []
    for fuse in (True, False):
        options = {"pool_size": 2, "data_format": "channels_last"} | pool
        model = Sequential([BatchNorm(axis=axis), *relu, MaxPool2D(**options)], fuse=fuse)
        model.build(x.shape[1:], 0)
        assert len(model.steps) == (1 if fuse else len(model.layers))
        for train in (True, False):
            y, backward = model.forward(x, Context(train, MaskStream(0)))
            found.append([y, backward(np.cos(y)), *(p.value for p in model.parameters())])
    for fused, plain in zip(found[:2], found[2:], strict=True):
        for one, other in zip(fused, plain, strict=True):
            np.testing.assert_array_equal(one, other)


def test_running_averages_move_when_the_gradient_comes_back():
    layer = BatchNorm(0.75)
    layer.build((3,), 0, "float64")
    x = np.random.default_rng(0).standard_normal((8, 3)) + 5
    before = layer.state_dict()
    y, backward = layer.forward(x, Context(True, MaskStream(0)))
    assert all(np.array_equal(v, before[k]) for k, v in layer.state_dict().items())
    backward(np.ones_like(y))
    after = layer.state_dict()
    np.testing.assert_allclose(after["running_mean"], 0.25 * x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(
        after["running_var"], 0.75 + 0.25 * x.var(axis=0, ddof=1), rtol=1e-12
    )
    at_rest = (x - after["running_mean"]) / np.sqrt(after["running_var"] + 1e-5)
    np.testing.assert_allclose(layer.forward(x, Context())[0], at_rest, rtol=1e-12)
    still = layer.forward(x, Context(True, MaskStream(0), batch_statistics=False))[0]
    np.testing.assert_array_equal(still, layer.forward(x, Context())[0])
