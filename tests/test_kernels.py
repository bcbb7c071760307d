"""Every build draws and applies the masks of tests/reference.py, to the bit."""

from pathlib import Path

import numpy as np
import pytest
import reference

from cydropout import MaskStream
from cydropout._kernels import api, caches

DATA = Path(__file__).parent / "data"
SIZES = [0, 1, 127, 128, 129, 2047, 2049, 100_003]
RATES = [0.0, 1e-9, 0.1, 0.25, 0.5, 0.9, 1.0]
OFFSETS = [0, 1, 31, 77, 2048, 2**31 + 12_345, 2**39 - 1_003]
THREADS = [1, 2, 3, 7]
DTYPES = ["float16", "bfloat16", "float32", "float64"]
KEY, DRAW = 0x299F31D0A4093822, 0x370734413198A2E


@pytest.fixture(scope="module")
def uniforms():
    return {n: reference.uniforms(KEY, DRAW, n, max(SIZES)) for n in OFFSETS}


def mask_of(size, rate, **options):
    return MaskStream.from_state(KEY, DRAW).draw(size, rate, **options)


def rates_of(period):
    """Rates per element, the extremes among them."""
    rates = np.random.default_rng(period).random(period)
    rates[::5] = 0.5
    rates[::7] = 0
    rates[::11] = 1
    rates[-1] = 1e-9
    return rates


def values(size, dtype, seed=0):
    x = np.random.default_rng(seed).standard_normal(size) * 100
    x[::17] = np.nan
    x[5::19] = np.inf
    x[3::23] *= 1e-6
    with np.errstate(over="ignore"):
        return x.astype(dtype)


def same_bits(a, b):
    assert a.dtype == b.dtype and a.shape == b.shape
    assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize(
    "line", [line for line in (DATA / "philox4x32_10.txt").read_text().splitlines()
             if not line.startswith("#")]
)
def test_philox_known_answers(build, line):
    words = [int(w, 16) for w in line.split()]
    counter, key, output = words[:4], words[4:6], words[6:]
    assert reference.philox(counter, key).tolist() == output
    block = (counter[1] // 32 << 32) + counter[0]
    digit = api.philox_digit(
        key[0] + (key[1] << 32), counter[2] + (counter[3] << 32), block // 16, counter[1] % 32
    )
    assert digit[4 * (block % 16) :][:4].tolist() == output


@pytest.mark.parametrize("num_threads", THREADS)
@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("size", SIZES)
def test_bits_of_a_scalar_rate(build, uniforms, size, offset, num_threads):
    for rate in RATES:
        expected = uniforms[offset][:size] < reference.threshold(rate)
        mask = mask_of(size, rate, offset=offset)
        words = mask._plan.bits(num_threads)
        same_bits(words, reference.packed(expected))
        np.testing.assert_array_equal(mask.keep, expected)


@pytest.mark.parametrize("num_threads", THREADS)
@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("period", [1, 3, 32, 129, 2048, 2500])
def test_bits_of_a_rate_per_element(build, uniforms, period, offset, num_threads):
    rows = max(1, 10_007 // period)
    rates = rates_of(period)
    u = uniforms[offset][: rows * period].reshape(rows, period)
    mask = mask_of((rows, period), rates, offset=offset)
    same_bits(mask._plan.bits(num_threads), reference.packed(u < reference.threshold(rates)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_threads", THREADS)
@pytest.mark.parametrize("size", SIZES)
def test_apply(build, uniforms, size, num_threads, dtype):
    x = values(size, reference.dtype_named(dtype))
    for rate in RATES:
        for offset in (0, 77):
            kept = uniforms[offset][:size] < reference.threshold(rate)
            expected = reference.dropout(x, kept, reference.scale(rate))
            for storage in ("bits", "seed"):
                mask = mask_of(size, rate, offset=offset, storage=storage)
                for _ in range(2):  # drawn on the way, then (with bits) ready
                    same_bits(mask.apply(x, num_threads=num_threads), expected)
                y = x.copy()
                assert mask.apply(y, out=y, num_threads=num_threads) is y
                same_bits(y, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.parametrize("period", [3, 129, 2500])
def test_apply_a_rate_per_element(build, uniforms, period, num_threads, dtype):
    rows, rates = max(1, 10_007 // period), rates_of(period)
    x = values(rows * period, reference.dtype_named(dtype)).reshape(rows, period)
    for offset in (0, 77):
        kept = uniforms[offset][: x.size].reshape(x.shape) < reference.threshold(rates)
        expected = reference.dropout(x, kept, reference.scale(rates))
        mask = mask_of(x.shape, rates, offset=offset)
        for _ in range(2):
            same_bits(mask.apply(x, num_threads=num_threads), expected)


SHARED = [
    ((5, 7), (0,), 0.5),
    ((5, 70), (1,), 0.5),
    ((4, 33, 9), (1,), 0.1),
    ((4, 33, 9), (0, 2), 0.1),
    ((3, 8, 6, 40), (1, 3), 0.25),
    ((2, 3, 50, 50), (2, 3), 0.5),
    ((2, 50, 50, 3), (1, 2), 0.5),
    ((3, 1, 20_000), (0,), 0.9),
    ((4, 5), (0, 1), 0.5),
    ((4, 6, 50), (0,), rates_of(50)),
    ((4, 6, 50), (1,), rates_of(50)),
    ((4, 6, 50), (2,), rates_of(6).reshape(6, 1)),
    ((9, 40, 49), (0, 2), 0.5),
    *(((20_000 // n, n), (1,), 0.5) for n in (1, 2, 4, 7, 8, 16, 31, 32, 33, 49, 63, 255, 256)),
    ((5003, 2, 2), (1, 2), 0.3),
    ((7, 33, 4, 4), (2, 3), 0.1),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, axes, rate", SHARED)
def test_shared_axes(build, shape, axes, rate, dtype):
    x = values(int(np.prod(shape)), reference.dtype_named(dtype)).reshape(shape)
    for offset in (0, 77):
        kept = reference.keep(KEY, DRAW, shape, rate, offset, axes)
        expected = reference.dropout(x, kept, reference.scale(rate))
        for storage in ("bits", "seed"):
            mask = mask_of(shape, rate, offset=offset, shared_axes=axes, storage=storage)
            for num_threads in THREADS:
                same_bits(mask.apply(x, num_threads=num_threads), expected)
            np.testing.assert_array_equal(mask.keep, kept)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_16_bit_float(build, dtype):
    kind = reference.dtype_named(dtype)
    x = np.arange(65536, dtype=np.uint16).view(kind)
    for rate in (0.1, 0.5, 0.9, 0.999999):
        mask = mask_of(x.size, rate)
        expected = reference.dropout(x, mask.keep, reference.scale(rate))
        y = mask.apply(x)
        nan = np.isnan(expected.astype("f4"))
        assert (np.isnan(y.astype("f4")) == nan).all()
        same_bits(y[~nan], expected[~nan])


def test_frozen_vectors(build):
    """Stream version 1: these words may never change."""
    frozen = np.load(DATA / "stream_v1.npz")
    for name in frozen.files:
        key, draw, offset, size, rate = name.split("-")
        stream = MaskStream.from_state(int(key), int(draw))
        mask = stream.draw(int(size), float(rate), offset=int(offset))
        same_bits(mask.bits, frozen[name])


def test_builds_agree_on_the_fused_passes(each_build):
    """Activations are not specified to the bit, but all builds give the same."""
    from cydropout.functional import bias_activation_dropout as forward
    from cydropout.functional import bias_activation_dropout_backward as backward

    results = []
    for _ in each_build:
        found = []
        for dtype in ("float32", "float64"):
            z = np.random.default_rng(0).standard_normal((70, 101)).astype(dtype) * 8
            bias = z[0].copy()
            for kind in ("relu", "sigmoid", "tanh", "softplus", "selu", "gelu"):
                for num_threads in (1, 3):
                    mask = mask_of(z.shape, 0.3)
                    found.append(forward(z, bias, kind, mask, a=2.0, num_threads=num_threads))
                    found += backward(z, z, bias, kind, mask, a=2.0, num_threads=num_threads)
        results.append([array.tobytes() for array in found])
    assert all(result == results[0] for result in results)


@pytest.fixture
def streaming():
    before = api.set_stream_from(0)
    yield lambda: api.set_stream_from(before)
    api.set_stream_from(before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("per_element", [False, True])
@pytest.mark.parametrize("storage", ["seed", "bits"])
def test_results_stored_past_the_caches_are_the_same(
    build, streaming, dtype, per_element, storage
):
    dtype = reference.dtype_named(dtype)
    for size in (0, 1, 5, 31, 33, 2047, 2048, 2080, 4097, 14_001):
        x = values(size + 33, dtype)
        for start in (0, 1, 2, 3, 7, 8, 16, 31):
            masks = [mask_of(size, rates_of(size) if per_element and size else 0.3,
                             storage=storage, offset=start * 700) for _ in range(3)]
            results = []
            for mask, num_threads in zip(masks, (1, 3, 1), strict=True):
                y = np.full(size + 64, 7, dtype)
                mask.apply(x[33:], out=y[start : start + size], num_threads=num_threads)
                assert (y[:start] == 7).all() and (y[start + size :] == 7).all()
                results.append(y)
                if num_threads == 3:
                    streaming()  # the last one goes through the caches
            api.set_stream_from(0)
            same_bits(results[0], results[2])
            same_bits(results[1], results[2])


def test_the_size_of_the_last_cache_is_read(tmp_path):
    assert caches.last_level(tmp_path / "none") == caches.USUAL
    for index, level, size in ((0, "1", "48K"), (1, "1", "32K"), (2, "2", "1024K"), (3, "3", "8M")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "level").write_text(level + "\n")
        (tmp_path / f"index{index}" / "size").write_text(size + "\n")
    (tmp_path / "index4").mkdir()
    assert caches.last_level(tmp_path) == 2**23
    assert api.set_stream_from(before := api.set_stream_from(7)) == 7
    assert before == caches.last_level()
