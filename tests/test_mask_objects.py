"""Masks as objects: called, multiplied, compared, read as arrays, and cut into rows."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from mask_cases import MASKS

from cydropout import Mask, MaskStream, masks
from cydropout.masks import FactorMask, KeepMask, ScaleMask, TokenMask

N = 6


def made(name, n=N, **changes):
    """Return a mask of a row of the table, over ``n`` samples."""
    case = MASKS[name]
    return case.call(**(case.make(n=n) | changes))


def numbers(mask, dtype="float64"):
    return np.random.default_rng(0).normal(size=mask.shape).astype(dtype)


every = pytest.mark.parametrize("name", MASKS)


def test_the_table_has_every_kind():
    bases = {"BaseMask", "BitMask", "NoiseMask", "RegionMask"}
    kinds = {name for name, one in vars(masks).items()
             if isinstance(one, type) and issubclass(one, masks.BaseMask)} - bases
    assert kinds == {type(made(name)).__name__ for name in MASKS}


@every
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_call_and_a_product_apply_it(name, dtype):
    mask = made(name)
    x = numbers(mask, dtype)
    expected = mask.apply(x)
    for y in (mask(x), mask * x, x * mask):
        assert y.tobytes() == expected.tobytes() and y.dtype == dtype
    with pytest.raises(ValueError, match=r"x has shape \(1,\)"):
        mask * np.ones(1)


@every
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_array_of_a_mask_is_what_a_gradient_is_multiplied_by(name, dtype):
    mask = made(name)
    factors = np.asarray(mask, dtype)
    assert factors.shape == mask.shape and factors.dtype == dtype and factors.flags.writeable
    dy = np.ones(mask.apply(numbers(mask, dtype)).shape, dtype)
    np.testing.assert_array_equal(factors, mask.backward(dy))
    if not isinstance(mask, (TokenMask, masks.AlphaMask)):
        x = numbers(mask, dtype)
        rtol = 2e-7 if dtype == "float32" else 0  # of factors in float64
        np.testing.assert_allclose(factors * x, mask * x, rtol=rtol)
    np.testing.assert_array_equal(np.asarray(mask, bool), factors != 0)
    assert np.asarray(mask).dtype == "float64"
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(mask, copy=False)


@every
@pytest.mark.parametrize(("start", "stop"), [(0, N), (0, 2), (2, 5), (5, N), (3, 3)])
def test_rows_make_the_same_of_their_part(name, start, stop):
    mask = made(name)
    x = numbers(mask)
    for part in (mask.rows(start, stop), mask[start:stop]):
        assert part.shape == (stop - start, *mask.shape[1:])
        assert part.apply(x[start:stop]).tobytes() == mask.apply(x)[start:stop].tobytes()
        np.testing.assert_array_equal(np.asarray(part), np.asarray(mask)[start:stop])
        assert part == pickle.loads(pickle.dumps(part))
    middle = mask[1:5][1:3]
    assert middle == mask[2:4] and middle.apply(x[2:4]).tobytes() == mask(x)[2:4].tobytes()


@every
def test_equal_masks_make_the_same(name):
    mask, same = made(name), made(name)
    assert mask == same and not mask != same and hash(mask) == hash(same) and mask in [same]
    assert mask != mask[1:] and mask != made(name, n=N + 1) and mask != np.asarray(mask)
    others = {"key": 5, "draw": 7, "keep": np.zeros((N, 5), bool), "factors": np.arange(5.0)}
    if "bits" in MASKS[name].make():
        others["bits"] = np.zeros_like(MASKS[name].make(n=N)["bits"])
    for argument in others.keys() & MASKS[name].make().keys():
        assert mask != made(name, **{argument: others[argument]})


@pytest.mark.parametrize("mask", [
    lambda: Mask(1, 2, (N, 4), np.linspace(0, 1, 4 * N).reshape(N, 4)),
    lambda: Mask(1, 2, (N, 4), np.linspace(0, 1, N)[:, None], offset=5),
    lambda: Mask(1, 2, (N, 4, 3), 0.5, shared_axes=(0, 2)),
    lambda: Mask(1, 2, (N, 70), 0.5, shared_axes=1, offset=3),
    lambda: Mask(1, 2, (N, 37), 0.5).with_keep(np.arange(N * 37).reshape(N, 37) % 3 == 0),
    lambda: Mask(1, 2, (N, 4), 0.0),
    lambda: Mask(1, 2, (1, 4), 0.5),
    lambda: Mask(1, 2, 40, np.linspace(0, 1, 40)),
    lambda: masks.GaussianMask(1, 2, (N, 4), np.linspace(0, 1, 4 * N).reshape(N, 4)),
    lambda: masks.ConcreteMask(1, 2, (N, 4), np.linspace(-1, 1, N)[:, None], offset=9),
    lambda: masks.BlockMask(1, 2, (N, 3, 8, 8), 0.3, 3, scaling="batch"),
    lambda: masks.BlockMask(1, 2, (N, 3, 8, 8), 0.3, 3, shared_axes=(0, 1)),
    lambda: masks.InferenceMask((N, 4), np.linspace(0, 1, 4 * N).reshape(N, 4), scaling="sqrt"),
    lambda: KeepMask((N, 5), np.arange(5) > 2, np.arange(float(N))),
    lambda: TokenMask(1, 2, (N, 5), 2),
])
@pytest.mark.parametrize("part", [slice(1, 4), slice(4, None), slice(None, 1), slice(2, 2)])
def test_rows_of_other_masks(mask, part):
    mask = mask()
    x = numbers(mask)
    assert mask[part].apply(x[part]).tobytes() == mask.apply(x)[part].tobytes()


def test_kinds_that_make_the_same_are_equal():
    mask = MaskStream(0).draw((3, 4), 0.5)
    assert mask == MaskStream(0).draw((3, 4), 0.5, storage="seed")
    assert mask == KeepMask(mask.shape, mask.keep, mask.scale)
    assert mask == FactorMask(mask.shape, np.asarray(mask))
    assert mask != MaskStream(0).draw((3, 4), 0.5, scaling="classic")
    assert MaskStream(0).draw((3, 4), 0.0) == ScaleMask((3, 4), 1.0)
    assert TokenMask.from_indices((1, 3), [[0, 2]]) != TokenMask.from_indices((1, 3), [[2, 0]])
    seed = MaskStream(0).draw((3, 4), 0.5, storage="seed")
    assert seed == mask and seed.nbytes == 0


@pytest.mark.parametrize("rows", [0, (0, 1), slice(0, 2, 2), slice(None, None, -1), ..., [0, 1]])
def test_what_is_no_part_in_a_row_is_refused(rows):
    with pytest.raises(TypeError, match=r"mask\[2:5\], not by"):
        MaskStream(0).draw((3, 4), 0.5)[rows]


def test_rows_that_are_not_there_are_refused():
    mask = MaskStream(0).draw((3, 4), 0.5)
    for start, stop, name in ((0, 4, "stop"), (-1, 2, "start"), (2, 1, "start"), (0, 2.5, "stop")):
        with pytest.raises((TypeError, ValueError), match=name):
            mask.rows(start, stop)
    with pytest.raises(ValueError, match="has no rows"):
        MaskStream(0).draw((), 0.5).rows(0, 0)
    with pytest.raises(TypeError):
        iter(mask)


def test_two_processes_hold_the_halves_of_one_mask():
    x = np.random.default_rng(0).normal(size=(7, 33))
    mask = MaskStream(0).draw(x.shape, 0.3)
    code = ("import pickle, sys; mask, x = pickle.load(sys.stdin.buffer); "
            "pickle.dump(mask * x, sys.stdout.buffer)")
    halves = [
        pickle.loads(subprocess.run(
            [sys.executable, "-c", code], input=pickle.dumps((mask[part], x[part])), check=True,
            stdout=subprocess.PIPE).stdout)
        for part in (slice(0, 3), slice(3, 7))
    ]
    np.testing.assert_array_equal(np.concatenate(halves), mask(x))


@pytest.mark.parametrize("value", [6.5e4, np.inf])
@every
def test_numbers_that_overflow_do_so_without_a_warning(name, value):
    mask = MASKS[name].call(**MASKS[name].make())
    y = mask.apply(np.full(mask.shape, value, "f2"))
    assert y.dtype == np.float16 and mask.backward(y).dtype == np.float16
