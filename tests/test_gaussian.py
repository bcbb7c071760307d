"""Gaussian noise: the quantile of its words, the same everywhere, and the moments it promises."""

import pickle

import numpy as np
import pytest
import reference

from cydropout import MaskStream
from cydropout.masks import GaussianMask

KEY, DRAW = 0x299F31D0A4093822, 0x370734413198A2E
DTYPES = ["float16", "bfloat16", "float32", "float64"]
RATES = np.array([0.0, 0.1, 0.5, 0.9, 1.0])


def gaussian(shape, rate=0.5, **options):
    return MaskStream.from_state(KEY, DRAW).make(GaussianMask, shape, rate, **options)


def sigma(rate):
    return np.sqrt(rate / (1 - rate))


@pytest.mark.parametrize("offset", [0, 1, 63, 64, 130, 2**31 + 5, 2**39 - 77])
@pytest.mark.parametrize("size", [1, 63, 64, 65, 2048, 5003])
def test_factors_are_quantiles_of_the_words(build, offset, size):
    values = gaussian(size, 0.3, offset=offset).values
    expected = 1 + sigma(0.3) * reference.normals(KEY, DRAW, offset, size)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected, rtol=2e-6, atol=2e-6)


def test_the_quantile_far_out(build):
    size = 2**18
    found = gaussian(size, None, sigma=1.0).variates
    expected = reference.normals(KEY, DRAW, 0, size)
    assert np.count_nonzero(np.abs(expected) > 2.9) > 800
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-7)


def test_builds_agree_to_the_bit(each_build):
    found = set()
    for _ in each_build:
        found.add(gaussian(300_007, 0.4).values.tobytes())
    assert len(found) == 1


def test_moments_and_independence():
    a = gaussian(2**20, None, sigma=1.0).values.astype("f8") - 1
    b = MaskStream.from_state(KEY, DRAW + 1).make(GaussianMask, 2**20, sigma=1.0).values - 1.0
    bound = 5 / np.sqrt(a.size)
    assert abs(a.mean()) < bound and abs((a**2).mean() - 1) < 2 * bound
    assert abs((a**3).mean()) < 4 * bound and abs((a**4).mean() - 3) < 10 * bound
    assert abs((a * b).mean()) < bound and abs((a[1:] * a[:-1]).mean()) < bound
    assert 4.5 < np.abs(a).max() < 6.5


@pytest.mark.parametrize("num_threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_apply_multiplies(build, dtype, num_threads):
    dtype = reference.dtype_named(dtype)
    x = np.random.default_rng(0).standard_normal((70, 101)).astype(dtype)
    x.flat[::50] = np.nan
    mask = gaussian(x.shape, 0.25, offset=11)
    wide = np.float64 if dtype == np.float64 else np.float32
    factors = 1 + wide(mask.sigma) * mask.variates.astype(wide)
    expected = (x.astype(wide) * factors).astype(dtype)
    assert mask.apply(x, num_threads=num_threads).tobytes() == expected.tobytes()
    for other in (np.asfortranarray(x), x[::-1].copy()[::-1], x.astype(x.dtype.newbyteorder())):
        np.testing.assert_array_equal(mask.apply(other).astype(wide), expected.astype(wide))
    assert mask.apply(x, out=x) is x and x.tobytes() == expected.tobytes()


def test_rates_of_neurons():
    mask = gaussian((41, 5), RATES, offset=3)
    n = reference.normals(KEY, DRAW, 3, 205).reshape(41, 5)
    np.testing.assert_allclose(
        mask.values[:, :4], 1 + sigma(RATES[:4]) * n[:, :4], rtol=1e-5, atol=1e-5)
    y = mask.apply(np.full((41, 5), np.nan))
    assert np.isnan(y[:, :4]).all() and (y[:, 4] == 0).all()


def test_rate_0_and_1():
    stream, x = MaskStream(0), np.array([1.0, np.nan, -np.inf])
    none = stream.make(GaussianMask, 3, 0.0)
    y = none.apply(x)
    np.testing.assert_array_equal(y, x)
    assert y is not x and not np.shares_memory(x, y) and stream.next_draw == 0
    assert (stream.make(GaussianMask, 3, 1.0).apply(x) == 0).all()


def test_slices_and_pickles_are_the_same_noise():
    whole = gaussian(5000)
    np.testing.assert_array_equal(gaussian(1000, offset=1234).values, whole.values[1234:2234])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(whole)).values, whole.values)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"rate": 1.5}, ValueError, "1.5"),
        ({"rate": np.nan}, ValueError, "nan"),
        ({"rate": "high"}, TypeError, "high"),
        ({"rate": [0.1, 0.2]}, ValueError, r"\(2,\)"),
        ({"sigma": -1.0}, ValueError, "-1.0"),
        ({"sigma": np.inf}, ValueError, "inf"),
        ({"rate": 0.1, "sigma": 1.0}, ValueError, "either"),
        ({}, ValueError, "either"),
        ({"rate": 0.5, "offset": -1}, ValueError, "-1"),
    ],
)
def test_bad_arguments_take_no_draw(arguments, error, message):
    stream = MaskStream(0)
    with pytest.raises(error, match=message):
        stream.make(GaussianMask, (4, 3), **arguments)
    assert stream.next_draw == 0


def test_bad_arrays_are_refused():
    mask = gaussian(3)
    with pytest.raises(TypeError, match="int64"):
        mask.apply(np.arange(3))
    with pytest.raises(ValueError, match=r"\(4,\)"):
        mask.apply(np.ones(4))
    with pytest.raises(ValueError, match="overlaps"):
        x = np.ones(4)
        mask.apply(x[1:], out=x[:-1])
