"""Windows over maps, pooled or unfolded: against plain NumPy."""

import numpy as np
import pytest

from cydropout import MaskStream, functional
from cydropout.functional import Windows
from cydropout.layers import (
    AveragePool2D,
    BatchNorm,
    Context,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    MaxPool2D,
    ReLU,
    Sequential,
    SpatialDropout2D,
)
from cydropout.layers.conv import BLOCK
from cydropout.training.monte_carlo import predict_mc
from cydropout.training.optimizers import Adam
from cydropout.training.trainer import Trainer

# maps, size, strides, before, counts
CASES = [
    Windows((5, 6), (3, 3), (1, 1), (0, 0), (3, 4)),
    Windows((7, 4), (3, 2), (2, 1), (1, 1), (4, 5)),
    Windows((4, 5), (2, 2), (2, 2), (0, 0), (2, 3)),
    Windows((6, 3), (1, 3), (3, 1), (0, 2), (2, 5)),
    Windows((1, 1), (1, 1), (1, 1), (0, 0), (1, 1)),
]


def elements(windows):
    """Yield window (i, j), its element (k, l), and that element's place in the map."""
    for i, j in np.ndindex(windows.counts):
        for k, l in np.ndindex(windows.size):  # noqa: E741
            row = i * windows.strides[0] - windows.before[0] + k
            column = j * windows.strides[1] - windows.before[1] + l
            if 0 <= row < windows.maps[0] and 0 <= column < windows.maps[1]:
                yield i, j, k, l, row, column


def unfolded(x, windows):
    y = np.zeros((len(x), *windows.counts, *windows.size, x.shape[3]), x.dtype)
    for i, j, k, l, row, column in elements(windows):  # noqa: E741
        y[:, i, j, k, l] = x[:, row, column]
    return y


def maps(windows, samples, channels, dtype, seed=0):
    shape = (samples, *windows.maps, channels)
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("channels", [1, 3, 16, 37])
@pytest.mark.parametrize("windows", CASES)
def test_windows(build, windows, channels, dtype):
    x = maps(windows, 5, channels, dtype)
    truth = unfolded(x, windows)
    inside = unfolded(np.ones_like(x), windows)
    dy = maps(windows, 5, channels, dtype, 1)[:, :1, :1] + truth.max(axis=(3, 4))
    largest = np.where(inside > 0, truth, -np.inf).reshape(*dy.shape[:3], -1, channels)
    count = inside.sum(axis=(3, 4))
    dx_max, dx_mean = np.zeros_like(x, "float64"), np.zeros_like(x, "float64")
    for i, j, k, l, row, column in elements(windows):  # noqa: E741
        chosen = largest[:, i, j].argmax(axis=1) == k * windows.size[1] + l
        dx_max[:, row, column] += np.where(chosen, dy[:, i, j], 0)
        dx_mean[:, row, column] += dy[:, i, j] / count[:, i, j]
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-12}
    for threads in (1, 2, 5):
        out = np.full_like(truth, np.nan)
        functional.unfold(x, windows, out, num_threads=threads)
        np.testing.assert_array_equal(out, truth)
        y, at = functional.max_pool(x, windows, num_threads=threads)
        np.testing.assert_array_equal(y, largest.max(axis=3))
        np.testing.assert_array_equal(at, largest.argmax(axis=3))
        back = functional.max_pool_backward(dy, at, windows, num_threads=threads)
        np.testing.assert_allclose(back, dx_max, **tolerance)
        mean = functional.mean_pool(x, windows, num_threads=threads)
        np.testing.assert_allclose(mean, truth.sum(axis=(3, 4)) / count, **tolerance)
        back = functional.mean_pool_backward(dy, windows, num_threads=threads)
        np.testing.assert_allclose(back, dx_mean, **tolerance)


@pytest.mark.parametrize("windows", CASES)
@pytest.mark.parametrize("channels", [slice(None), slice(2, 5), slice(0, 0)])
def test_folding_is_the_adjoint_of_unfolding(build, windows, channels):
    x, dx = maps(windows, 3, 6, "float64"), maps(windows, 3, 6, "float64", 1)
    truth = unfolded(x[..., channels], windows)
    out = functional.unfold(x, windows, np.empty_like(truth), channels=channels)
    np.testing.assert_array_equal(out, truth)
    slopes = np.random.default_rng(2).standard_normal(truth.shape)
    rest = dx.copy()
    functional.fold(slopes, windows, dx, channels=channels)
    np.testing.assert_allclose((truth * slopes).sum(), (x * dx)[..., channels].sum(), rtol=1e-12)
    outside = np.setdiff1d(np.arange(6), np.arange(6)[channels])
    np.testing.assert_array_equal(dx[..., outside], rest[..., outside])
    again = functional.fold(slopes, windows, rest, channels=channels, num_threads=3)
    np.testing.assert_array_equal(dx, again)


def test_nan_is_the_largest(build):
    x = np.ones((1, 2, 2, 20), "float32")
    x[0, 1, 0, ::2], x[0, 1, 1, ::2] = np.nan, 7
    windows = Windows((2, 2), (2, 2), (2, 2), (0, 0), (1, 1))
    y, at = functional.max_pool(x, windows)
    assert np.isnan(y[..., ::2]).all() and (y[..., 1::2] == 1).all()
    assert (at[..., ::2] == 2).all() and (at[..., 1::2] == 0).all()


def test_windows_that_do_not_fit():
    x = np.zeros((2, 5, 6, 3))
    windows = CASES[0]
    for wrong in (x.astype("float16"), x[:, :4], np.zeros((2, 3, 5, 6)).transpose(0, 2, 3, 1)):
        with pytest.raises((ValueError, TypeError)):
            functional.max_pool(wrong, windows)
    with pytest.raises(ValueError, match="256"):
        functional.max_pool(x, windows._replace(size=(17, 16)))
    for beyond in ({"before": (3, 0)}, {"counts": (9, 4)}):
        for pool in (functional.max_pool, functional.mean_pool):
            with pytest.raises(ValueError, match="part of the map"):
                pool(x, windows._replace(**beyond))
    with pytest.raises(ValueError, match="at"):
        functional.max_pool_backward(np.zeros((2, 3, 4, 3)), np.zeros((2, 3, 4, 3)), windows)
    with pytest.raises(ValueError, match="out"):
        functional.unfold(x, windows, np.zeros((2, 3, 4, 3, 3, 2)))
    with pytest.raises(ValueError, match="dy"):
        functional.mean_pool_backward(x, windows)


@pytest.mark.parametrize("make", [
    lambda: Conv2D(0, 3), lambda: Conv2D(4, 0), lambda: Conv2D(4, 3, groups=3),
    lambda: Conv2D(4, 3, padding="full"), lambda: Conv2D(4, 3, padding=-1),
    lambda: Conv2D(4, 3, activation="swish"), lambda: Conv2D(4, (3, 3, 3)),
    lambda: Conv2D(4, 3, data_format="first"), lambda: MaxPool2D(2, padding=2),
    lambda: BatchNorm(1.5), lambda: BatchNorm(epsilon=0.0),
])
def test_bad_settings(make):
    with pytest.raises(ValueError):
        make()


@pytest.mark.parametrize("layer", [Conv2D(4, 3), MaxPool2D(3), AveragePool2D(3)])
@pytest.mark.parametrize("shape", [(3, 2, 8), (3, 8), (3,)])
def test_bad_shapes(layer, shape):
    with pytest.raises(ValueError):
        layer.build(shape, 0)


def test_other_channels_than_were_built():
    for layer in (Conv2D(4, 3), BatchNorm()):
        layer.build((3, 5, 5), 0)
        with pytest.raises(ValueError, match="channels"):
            layer.forward(np.zeros((2, 4, 5, 5), "float32"), Context())
    with pytest.raises(ValueError, match="one row"):
        layer.forward(np.zeros((1, 3, 1, 1), "float32"), Context(True, MaskStream(0)))


@pytest.mark.parametrize("pair", [
    lambda kind: Conv2D(4, 3, padding=1, activation="relu", data_format=kind),
    lambda kind: MaxPool2D(2, data_format=kind),
    lambda kind: AveragePool2D(3, strides=2, data_format=kind),
    lambda kind: GlobalAveragePool2D(data_format=kind),
    lambda kind: BatchNorm(axis=1 if kind == "channels_first" else -1),
])
def test_both_layouts_are_one_layer(pair):
    first, last = pair("channels_first"), pair("channels_last")
    x = np.random.default_rng(0).standard_normal((5, 3, 8, 7))
    first.build(x.shape[1:], 0, "float64")
    last.build((8, 7, 3), 0, "float64")
    y, back = first.forward(x, Context(True, MaskStream(0)))
    z, back_last = last.forward(x.transpose(0, 2, 3, 1), Context(True, MaskStream(0)))
    turn = (lambda v: v.transpose(0, 2, 3, 1)) if y.ndim == 4 else (lambda v: v)
    np.testing.assert_array_equal(turn(y), z)
    assert y.shape == (5, *first.output_shape(x.shape[1:]))
    np.testing.assert_array_equal(back(y).transpose(0, 2, 3, 1), back_last(z))


def test_blocks_change_nothing():
    """A batch of several blocks of windows gives what its samples give alone."""
    layer = Conv2D(3, 5, data_format="channels_last")
    layer.build((20, 20, 8), 0, "float64")
    x = np.random.default_rng(0).standard_normal((12, 20, 20, 8))
    assert 16 * 16 * 25 * x.itemsize * 8 * len(x) > 2 * BLOCK
    y, back = layer.forward(x, Context(num_threads=2))
    dx = back(y)
    grad = layer.parameters()[0].grad.copy()
    layer.parameters()[0].zero_grad()
    for n in range(len(x)):
        alone, back = layer.forward(x[n : n + 1], Context())
        np.testing.assert_allclose(alone, y[n : n + 1], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(back(alone), dx[n : n + 1], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(layer.parameters()[0].grad, grad, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kind", ["channels_first", "channels_last"])
def test_layers_taken_in_change_no_bit(kind):
    axis = 1 if kind == "channels_first" else -1

    def model(fuse):
        layers = [
            Conv2D(6, 3, data_format=kind), ReLU(), Dropout(0.3), BatchNorm(axis=axis), ReLU(),
            SpatialDropout2D(0.5, data_format=kind), Conv2D(4, 2, data_format=kind), Dropout(0.2),
            MaxPool2D(2, data_format=kind), Flatten(), Dense(5),
        ]
        built = Sequential(layers, fuse=fuse)
        built.build((2, 9, 9) if axis == 1 else (9, 9, 2), 0)
        return built

    x = np.random.default_rng(0).standard_normal((4, *model(True).input_shape)).astype("float32")
    one, other = model(True), model(False)
    assert len(one.steps) < len(other.steps)
    for training in (True, False):
        y, back = one.forward(x, Context(training, MaskStream(3)))
        z, back_other = other.forward(x, Context(training, MaskStream(3)))
        np.testing.assert_array_equal(y, z)
        np.testing.assert_array_equal(back(y), back_other(z))
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(p.grad, q.grad)
        np.testing.assert_array_equal(p.value, q.value)


def network():
    return Sequential([
        Conv2D(4, 3), BatchNorm(), ReLU(), MaxPool2D(2), SpatialDropout2D(0.2), Flatten(),
        Dropout(0.3), Dense(3),
    ])


def task():
    x = np.random.default_rng(0).standard_normal((48, 1, 8, 8)).astype("float32")
    return x, (x.mean(axis=(1, 2, 3)) > 0).astype("int64")


def trainer(seed=1):
    return Trainer(network(), "softmax_cross_entropy", Adam(0.01), rng=seed)


def test_a_network_resumes_to_the_same_bit(tmp_path):
    x, y = task()
    whole = trainer()
    whole.fit(x, y, epochs=4, batch_size=16, progress=False)
    for epochs in (2, 4):
        part = trainer()
        part.fit(x, y, epochs=epochs, batch_size=16, progress=False,
                 checkpoint=tmp_path / "cnn", resume=epochs > 2)
    for name, value in whole.model.state_dict().items():
        np.testing.assert_array_equal(part.model.state_dict()[name], value)
    assert not np.array_equal(whole.model.state_dict()["1.batchnorm.running_mean"], np.zeros(4))


def test_monte_carlo_passes_use_the_running_averages_and_leave_them_alone():
    x, y = task()
    run = trainer()
    run.fit(x, y, epochs=2, batch_size=16, progress=False)
    before = run.model.state_dict()
    noisy = predict_mc(run.model, x[:4], 3, rng=0)
    assert noisy.std.all()
    assert all(np.array_equal(v, before[k]) for k, v in run.model.state_dict().items())
    for layer in run.model.layers:
        if isinstance(layer, (Dropout, SpatialDropout2D)):
            layer.rate = 0.0
    quiet = predict_mc(run.model, x[:4], 2, rng=0, batch_size=4)
    np.testing.assert_allclose(quiet.mean, run.model(x[:4]), rtol=1e-5, atol=1e-6)
