"""Convolutions where the maps lie: products with unfolded windows, and all builds alike."""

import numpy as np
import pytest

from cydropout import functional
from cydropout.functional import Windows, convolve
from cydropout.layers import Context, Conv2D

#: Samples, height, width, channels; kernel; strides; padding; panels of filters.
CASES = [
    ((9, 7, 8, 5), (3, 3), (1, 1), (0, 0), 1),
    ((8, 6, 5, 3), (3, 2), (2, 1), (1, 1), 2),
    ((13, 5, 5, 32), (3, 3), (1, 1), (1, 1), 1),
    ((10, 4, 4, 64), (5, 5), (1, 1), (2, 2), 1),
    ((8, 3, 3, 1), (1, 1), (2, 2), (0, 0), 1),
    ((11, 9, 9, 2), (4, 4), (3, 3), (3, 3), 1),
    ((70, 2, 40, 2), (2, 3), (1, 1), (0, 0), 1),
    ((1, 2, 2, 3), (2, 2), (1, 1), (5, 5), 1),
    ((3, 40, 20, 1), (3, 3), (1, 1), (1, 1), 1),
]
cases = pytest.mark.parametrize("case", CASES, ids=str)
both = pytest.mark.parametrize("dtype", ["float32", "float64"])


def arrays_of(case, dtype):
    """Return maps, filters, the gradient of the result, and the windows."""
    shape, size, strides, padding, panels = case
    counts = tuple(
        (n + 2 * p - k) // s + 1
        for n, p, k, s in zip(shape[1:3], padding, size, strides, strict=True))
    windows = Windows(shape[1:3], size, strides, padding, counts)
    rng, filters = np.random.default_rng(0), panels * 128 // np.dtype(dtype).itemsize
    shapes = (shape, (*size, shape[3], filters), (shape[0], *counts, filters))
    return [*(rng.standard_normal(s).astype(dtype) for s in shapes), windows]


def found(case, dtype, num_threads=None):
    x, weight, dz, windows = arrays_of(case, dtype)
    results = [convolve.convolve(x, weight, windows, np.full_like(dz, np.nan),
                                 num_threads=num_threads),
               convolve.convolve_weight(x, dz, windows, np.full_like(weight, np.nan),
                                        num_threads=num_threads)]
    if convolve._across(windows) and x.shape[3] % (128 // x.itemsize) == 0:
        results.append(convolve.convolve_input(dz, weight, windows, np.full_like(x, np.nan),
                                               num_threads=num_threads))
    return results


@both
@cases
def test_it_is_a_product_with_unfolded_windows(build, case, dtype):
    x, weight, dz, windows = arrays_of(case, dtype)
    table = functional.unfold(
        x, windows, np.empty((*dz.shape[:3], *windows.size, x.shape[3]), dtype))
    rows, matrix, slopes = (a.reshape(-1, n) for a, n in (
        (table, weight[..., 0].size), (weight, weight.shape[3]), (dz, weight.shape[3])))
    back = (slopes @ matrix.T).reshape(table.shape)
    expected = [rows @ matrix, rows.T @ slopes, functional.fold(back, windows, np.empty_like(x))]
    tolerance = 2e-4 if dtype == "float32" else 1e-12
    for one, other in zip(found(case, dtype), expected, strict=False):
        np.testing.assert_allclose(one.reshape(other.shape), other, rtol=0, atol=tolerance)


def test_all_three_are_covered():
    assert sum(len(found(case, "float32")) == 3 for case in CASES) >= 2


@both
@cases
def test_builds_and_threads_agree_to_the_bit(each_build, case, dtype):
    results = set()
    for _ in each_build:
        for threads in (1, 2, 3, 9):
            results.add(b"".join(a.tobytes() for a in found(case, dtype, threads)))
    assert len(results) == 1


def test_a_sample_is_the_same_in_any_batch():
    case = CASES[2]
    x, weight, dz, windows = arrays_of(case, "float32")
    whole = convolve.convolve(x, weight, windows, np.empty_like(dz))
    for begin, end in ((0, 1), (1, 6), (6, 13)):
        part = convolve.convolve(
            x[begin:end], weight, windows, np.empty((end - begin, *dz.shape[1:]), "f4"))
        np.testing.assert_array_equal(part, whole[begin:end])


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("padding", ["valid", "same", 1])
@pytest.mark.parametrize("strides", [1, 2])
def test_a_layer_gives_the_same_by_either_way(monkeypatch, strides, padding, layout):
    x = np.random.default_rng(0).standard_normal((9, 32, 17, 19))
    x = x if layout == "channels_first" else np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    results, used = [], []

    def recorded(name):
        own = getattr(convolve, name)
        return lambda *a, **o: (used.append(name), own(*a, **o))[1]

    for name in ("convolve", "convolve_weight", "convolve_input"):
        monkeypatch.setattr(convolve, name, recorded(name))
    for way in ("own", "BLAS"):
        if way == "BLAS":
            for name in ("suits", "suits_weight"):
                monkeypatch.setattr(convolve, name, lambda *sizes: False)
        layer = Conv2D(32, 3, strides=strides, padding=padding, data_format=layout)
        layer.build(x.shape[1:], 0, "float64")
        y, backward = layer.forward(x, Context(training=True))
        dx = backward(np.ones_like(y))
        results.append([y, dx, *(p.grad for p in layer.parameters())])
    for own, other in zip(*results, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-10, atol=1e-10)
    assert sorted(used) == ["convolve", *(["convolve_input"] if strides == 1 else []),
                            "convolve_weight"]


def test_which_sizes_it_is_for():
    windows, single = Windows((9, 9), (3, 3), (1, 1), (0, 0), (7, 7)), np.dtype("f4")
    large = windows._replace(maps=(10, 10), counts=(8, 8))
    assert convolve.suits_weight(8, large, 1, 32, single)
    assert not convolve.suits_weight(8, windows, 1, 32, single)
    assert not convolve.suits_weight(8, large, 114, 32, single)
    assert convolve.suits(8, windows, 32, 32, single)
    assert convolve.suits(8, windows, 32, 16, np.dtype("f8"))
    assert convolve.suits(8, windows, 1, 32, single)
    assert convolve.suits(8, windows, 2, 64, single)
    for samples, channels, filters in ((7, 32, 32), (8, 32, 31), (8, 1, 64), (8, 114, 32)):
        assert not convolve.suits(samples, windows, channels, filters, single)
    assert not convolve.suits(8, windows._replace(size=(2, 2)), 2, 32, single)
    assert not convolve.suits_input(8, windows._replace(strides=(2, 2)), 32, 32, single)
    assert not convolve.suits_input(8, windows._replace(before=(3, 3)), 32, 32, single)


REFUSED = {
    "convolve": (0, 1, 2),
    "convolve_input": (2, 1, 0),
    "convolve_weight": (0, 2, 1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name):
    *arrays, windows = arrays_of(CASES[2], "float32")
    good = [arrays[i] for i in REFUSED[name]]

    def run(place=0, array=good[0], lay=windows):
        given = [*good[:place], array, *good[place + 1:]]
        return getattr(convolve, name)(*given[:2], lay, given[2])

    run()
    for place, array in enumerate(good):
        turned = array[:, ::-1] if array is not arrays[1] else array[0]  # filters may lie anyhow
        for bad in (array[:-1], array[..., :-1], array[0], array.tolist(), array.astype("f8"),
                    array.astype("i4"), array.astype("U40"), turned):
            with pytest.raises((TypeError, ValueError)):
                run(place, bad)
    with pytest.raises((TypeError, ValueError), match="windows|shape"):
        run(lay=windows._replace(maps=(6, 5)))
    fixed = good[2].copy()
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        run(2, fixed)


def test_filters_that_fill_no_panel_are_refused():
    *_, windows = arrays_of(CASES[0], "float32")
    x, weight, y = np.ones((9, 7, 8, 5)), np.ones((3, 3, 5, 17)), np.ones((9, 5, 6, 17))
    for call in (lambda: convolve.convolve(x, weight, windows, y),
                 lambda: convolve.convolve_weight(x, y, windows, weight)):
        with pytest.raises(ValueError, match="multiple of 16 for float64, not 17"):
            call()
    with pytest.raises(ValueError, match="multiple of 16 for float64, not 5"):
        convolve.convolve_input(y, weight, windows, x)
    wide, weight = np.ones((9, 7, 8, 16)), np.ones((3, 3, 16, 17))
    with pytest.raises(ValueError, match="strides"):
        convolve.convolve_input(y, weight, windows._replace(before=(3, 3)), wide)
