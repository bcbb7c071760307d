"""The cells of SimpleRNN, LSTM and GRU: the formula, its derivatives, and all builds alike."""

import importlib

import numpy as np
import pytest
import reference_cells

from cydropout import MaskStream
from cydropout.functional import recurrence, recurrence_backward
from cydropout.masks import InferenceMask, KeepMask

GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}
SIZES = [(1, 1, 1), (2, 3, 5), (3, 2, 16), (4, 3, 33), (5, 2, 71), (31, 2, 9)]


@pytest.fixture(params=["own", "BLAS"])
def products(request, monkeypatch):
    """Both ways to make the products, whatever the size."""
    module = importlib.import_module("cydropout.functional.recurrence")
    if request.param == "BLAS":
        monkeypatch.setattr(module, "_LARGEST", 0)
    return request.param


def masks_of(shape):
    """Nothing, what is shared along the steps, what each step draws, what was given, and means."""
    stream, rng = MaskStream(1), np.random.default_rng(2)
    yield {}
    yield {"hidden": stream.draw(shape, 0.4, shared_axes=(1,))}
    yield {"hidden": stream.draw(shape, 0.4), "update": stream.draw(shape, 0.3)}
    yield {
        "update": KeepMask(shape, rng.random((1, 1, shape[2])) < 0.5, 2.0),
        "zoneout_h": stream.draw(shape, 0.3, scaling="classic"),
        "zoneout_c": stream.draw(shape, 0.5, scaling="classic", shared_axes=(1,)),
    }
    yield {"zoneout_h": InferenceMask(shape, 0.3), "zoneout_c": InferenceMask(shape, 0.5)}
    yield {"zoneout_h": InferenceMask(shape, 1.0), "zoneout_c": InferenceMask(shape, 0.0)}


def as_reference(masks):
    found = []
    for name in ("hidden", "update", "zoneout_h", "zoneout_c"):
        mask = masks.get(name)
        if mask is None:
            found.append(None)
        elif name.startswith("zoneout"):
            mean = type(mask).__name__ == "InferenceMask"
            share = round((1 - mask.rate) * 2**32) / 2**32 if mean else None
            found.append((None, share) if mean else (mask.keep, None))
        else:
            found.append((mask.keep, mask.scale))
    return found


def inputs_of(cell, size, dtype):
    n, steps, units = size
    rng = np.random.default_rng(0)
    gates = GATES[cell]
    shapes = [(n, steps, gates * units), (units, gates * units), (gates * units,), (units,),
              (n, units), (n, units)]
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def run(cell, arrays, masks, num_threads=None):
    z, weight, bias, inner_bias, h0, c0 = arrays
    return recurrence(cell, z.copy(), weight, bias, inner_bias, h0=h0, c0=c0, **masks,
                      num_threads=num_threads)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", GATES)
def test_the_cell_is_its_formula(build, products, cell, dtype, size):
    arrays = inputs_of(cell, size, dtype)
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    for masks in masks_of(size):
        done = run(cell, arrays, masks)
        h, c = reference_cells.run(cell, *arrays, *as_reference(masks))
        np.testing.assert_allclose(done.h, h, rtol=tolerance, atol=tolerance)
        assert done.h.dtype == dtype
        if cell == "lstm":
            np.testing.assert_allclose(done.c, c, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("each", [True, False])
@pytest.mark.parametrize("cell", GATES)
def test_slopes_are_those_of_differences(products, cell, each):
    size = (2, 3, 5)
    arrays = inputs_of(cell, size, "float64")
    rng = np.random.default_rng(5)
    dy = rng.standard_normal(size if each else (2, 5))
    for masks in masks_of(size):
        reference = as_reference(masks)

        def loss(shifted, reference=reference):
            h, _ = reference_cells.run(cell, *shifted, *reference)
            return ((h if each else h[:, -1]) * dy).sum()

        done = run(cell, arrays, masks)
        back = recurrence_backward(dy, done)
        flat = back.ds.reshape(6, -1)
        slopes = [
            back.dz, back.before.reshape(6, -1).T @ flat, back.dz.sum(axis=(0, 1)),
            flat[:, -5:].sum(axis=0) if cell == "gru" else np.zeros(5), back.dh0,
            back.dc0 if cell == "lstm" else np.zeros((2, 5)),
        ]
        for place, slope in enumerate(slopes):
            step = 1e-6 * rng.standard_normal(slope.shape)
            above, below = list(arrays), list(arrays)
            above[place], below[place] = arrays[place] + step, arrays[place] - step
            np.testing.assert_allclose(
                (slope * step).sum(), (loss(above) - loss(below)) / 2, rtol=1e-6, atol=1e-13)
        again = recurrence_backward(dy, done)
        np.testing.assert_array_equal(again.dz, back.dz)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", GATES)
def test_builds_and_threads_agree_to_the_bit(each_build, products, cell, dtype):
    size = (31, 4, 45)
    arrays, found = inputs_of(cell, size, dtype), set()
    dy = np.random.default_rng(5).standard_normal(size).astype(dtype)
    for _ in each_build:
        for threads in (1, 2, 3, 9):
            result = b""
            for masks in masks_of(size):
                done = run(cell, arrays, masks, threads)
                back = recurrence_backward(dy, done, num_threads=threads)
                result += b"".join(a.tobytes() for a in (done.h, *back) if a is not None)
            found.add(result)
    assert len(found) == 1


@pytest.mark.parametrize("cell", GATES)
def test_a_row_is_the_same_in_any_batch(cell):
    arrays = inputs_of(cell, (31, 4, 45), "float32")
    dy = np.random.default_rng(5).standard_normal((31, 4, 45)).astype("float32")

    def rows(begin, end):
        z, weight, bias, inner_bias, h0, c0 = arrays
        part = (z[begin:end], weight, bias, inner_bias, h0[begin:end], c0[begin:end])
        done = run(cell, part, {})
        return done.h, recurrence_backward(dy[begin:end], done).dz

    whole = rows(0, 31)
    for begin, end in ((0, 1), (1, 6), (6, 31)):
        for of_all, of_part in zip(whole, rows(begin, end), strict=True):
            np.testing.assert_array_equal(of_part, of_all[begin:end])


def test_the_way_of_the_products_is_by_size(monkeypatch):
    module = importlib.import_module("cydropout.functional.recurrence")
    panels = module._panels(np.arange(12.0).reshape(3, 4), 2)
    assert panels.shape == (1, 3, 16) and not panels[..., 4:].any()
    weight = np.zeros((256, 1024), "f4")
    assert module._panels(weight, 32) is not None and module._panels(weight, 33) is None
    assert module._panels(np.zeros((257, 1028), "f4"), 1) is None


@pytest.mark.parametrize("cell", GATES)
def test_what_is_dropped_never_enters(cell):
    """A unit that is not finite and is dropped on its way into the product leaves no trace."""
    z, weight, bias, inner_bias, h0, c0 = inputs_of(cell, (2, 1, 5), "float64")
    keep = np.ones((2, 1, 5), bool)
    keep[:, :, 2] = False
    h0[:, 2] = 0
    arrays, masks = (z, weight, bias, inner_bias, h0, c0), {"hidden": KeepMask((2, 1, 5), keep)}
    expected = run(cell, arrays, masks)
    h0[:, 2] = np.nan
    found = run(cell, arrays, masks)
    others = [0, 1, 3, 4]
    np.testing.assert_array_equal(found.h[..., others], expected.h[..., others])


@pytest.mark.parametrize("each", [True, False])
@pytest.mark.parametrize("cell", GATES)
def test_a_state_stays_behind_the_end_of_its_row(build, products, cell, each):
    size, lengths = (3, 5, 19), [5, 1, 3]
    arrays = inputs_of(cell, size, "float64")
    dy = np.random.default_rng(5).standard_normal(size if each else (3, 19))
    for masks in masks_of(size):
        done = recurrence(cell, arrays[0].copy(), *arrays[1:4], h0=arrays[4], c0=arrays[5],
                          **masks, lengths=lengths)
        back, whole = recurrence_backward(dy, done), run(cell, arrays, masks)
        for row, end in enumerate(lengths):
            np.testing.assert_array_equal(done.h[row, :end], whole.h[row, :end])
            for states in (done.h, done.c) if cell == "lstm" else (done.h,):
                np.testing.assert_array_equal(
                    states[row, end:], np.broadcast_to(states[row, end - 1], (5 - end, 19)))
            assert not back.dz[row, end:].any() and not back.ds[row, end:].any()
            assert not back.before[row, end:].any()
        late = np.array([range(5)] * 3) >= np.array(lengths)[:, None]
        folded = np.zeros(size)
        if each:
            folded = np.where(late[..., None], 0, dy)
        folded[range(3), np.array(lengths) - 1] += (
            np.where(late[..., None], dy, 0).sum(axis=1) if each else dy)
        expected = recurrence_backward(folded, whole)
        for name in ("dz", "ds", "dh0", "dc0"):
            if getattr(back, name) is not None:
                np.testing.assert_allclose(
                    getattr(back, name), getattr(expected, name), rtol=1e-10, atol=1e-13)


def test_lengths_of_a_recurrence_are_checked():
    for lengths in ([3], [0, 1], [4, 1], [1.0, 1.0]):
        with pytest.raises((TypeError, ValueError), match="lengths"):
            recurrence("tanh", np.ones((2, 3, 1)), np.ones((1, 1)), lengths=lengths)
