"""Submatrices: kernels against NumPy on every build, their gradients, and steps over them."""

import numpy as np
import pytest
from optimizer_reference import OPTIMIZERS
from reference_submatrix import picked, spread

from cydropout.functional import Submatrix, adam_step, gather_submatrix, scatter_submatrix, sgd_step
from cydropout.layers import Parameter

SHAPES = [(1, 1), (3, 40), (7, 2500), (130, 33), (5, 0), (0, 4), (2100,), (17,)]
KEEPS = ["all", "some", "few", "run", "runs", "none", "rows", "columns"]


def numbers(size, keep, rng):
    """Return rising numbers below ``size``."""
    if keep == "run":
        return np.arange(size // 4, size - size // 4)
    if keep == "runs":
        return np.flatnonzero(np.arange(size) % 100 < 60)
    share = {"all": 1.0, "none": 0.0, "few": 0.1}.get(keep, 0.5)
    return np.flatnonzero(rng.random(size) < share)


def submatrix_of(shape, keep, rng):
    rows = columns = None
    if keep not in ("all", "columns") and len(shape) == 2:
        rows = numbers(shape[0], keep, rng)
    if keep not in ("all", "rows"):
        columns = numbers(shape[-1], keep, rng)
    return Submatrix(shape, rows, columns)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("shape", SHAPES)
def test_gather_and_scatter(build, shape, keep, dtype):
    rng = np.random.default_rng(5)
    submatrix = submatrix_of(shape, keep, rng)
    x = rng.standard_normal(shape).astype(dtype)
    scale = np.dtype(dtype).type(1.7)
    for threads in (1, 3):
        block = gather_submatrix(x, submatrix, 1.7, num_threads=threads)
        np.testing.assert_array_equal(block, scale * picked(x, submatrix.rows, submatrix.columns))
        out = x.copy()
        assert scatter_submatrix(block, out, submatrix, 1.7, num_threads=threads) is out
        expected = x + spread(scale * block, shape, submatrix.rows, submatrix.columns)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_over_a_region_is_that_of_zeros_elsewhere(build, name, shape, keep, dtype):
    rng = np.random.default_rng(6)
    start = rng.standard_normal(shape).astype(dtype)
    parts = [Parameter(start.copy(), "w") for _ in range(3)]
    steppers = [OPTIMIZERS[name]() for _ in parts]
    for number in range(4):
        whole = rng.standard_normal(shape).astype(dtype)
        submatrix = submatrix_of(shape, "all" if number == 0 else keep, rng)
        block = picked(whole, submatrix.rows, submatrix.columns)
        for parameter in parts:
            parameter.zero_grad()
        parts[0].accumulate(spread(block, shape, submatrix.rows, submatrix.columns))
        parts[1].accumulate(block, submatrix)
        parts[2].accumulate(block, submatrix, lazy=True)
        parts[2].value[...] = kept = parts[0].value.copy()
        if number:
            steppers[2].load_state_dict(steppers[0].state_dict())
        state = {key: np.copy(array) for key, array in steppers[0].state_dict().items()}
        for parameter, stepper, threads in zip(parts, steppers, (1, 3, 2), strict=True):
            stepper.step([parameter], num_threads=threads)
        np.testing.assert_array_equal(parts[1].value, parts[0].value)
        inside = spread(np.ones_like(block), shape, submatrix.rows, submatrix.columns) > 0
        np.testing.assert_array_equal(parts[2].value, np.where(inside, parts[0].value, kept))
        full, same, lazy = (stepper.state_dict() for stepper in steppers)
        for key, array in full.items():
            np.testing.assert_array_equal(same[key], array)
            if number and np.ndim(array):
                np.testing.assert_array_equal(lazy[key], np.where(inside, array, state[key]))


@pytest.mark.parametrize("lazy", [False, True])
def test_the_gradient_of_a_region_can_be_read_and_added_to(lazy):
    rng = np.random.default_rng(7)
    submatrix = Submatrix((6, 9), [0, 2, 3], [1, 4, 8])
    block, other = rng.standard_normal((3, 3)), rng.standard_normal((6, 9))
    expected = spread(block, (6, 9), submatrix.rows, submatrix.columns)
    parameter = Parameter(np.zeros((6, 9)), "w")
    parameter.grad[...] = 7
    parameter.zero_grad()
    assert not parameter.grad.any()
    parameter.zero_grad()
    parameter.accumulate(block, submatrix, lazy=lazy)
    np.testing.assert_array_equal(parameter.gradient.array, block)
    assert parameter.gradient.lazy == lazy
    np.testing.assert_array_equal(parameter.grad, expected)
    np.testing.assert_array_equal(parameter.grad, expected)
    assert (parameter.gradient.submatrix is not None) == lazy
    if lazy:
        parameter.grad *= 2
        np.testing.assert_array_equal(parameter.gradient.array, 2 * block)
        parameter.grad /= 2
    parameter.accumulate(other)
    assert parameter.gradient.submatrix is None
    np.testing.assert_array_equal(parameter.grad, expected + other)
    parameter.accumulate(block, submatrix, lazy=lazy)
    np.testing.assert_array_equal(parameter.grad, expected + other + expected)
    parameter.zero_grad()
    parameter.accumulate_product(block, block, submatrix, lazy=lazy)
    parameter.accumulate_product(block, block, submatrix, lazy=lazy)
    np.testing.assert_array_equal(
        parameter.grad, spread(2 * (block @ block), (6, 9), submatrix.rows, submatrix.columns)
    )
    parameter.zero_grad()
    parameter.accumulate(np.empty((0, 9)), Submatrix((6, 9), np.arange(0)))
    assert not parameter.grad.any()
    with pytest.raises(ValueError, match="shape"):
        parameter.accumulate(other, submatrix)
    with pytest.raises(ValueError, match="does not fit"):
        parameter.accumulate(block, Submatrix((6, 8), [0, 2, 3], [1, 4, 7]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((3, 4), [0, 3]), "between 0 and 2"),
        (((3, 4), [-1]), "between 0 and 2"),
        (((3, 4), None, [1, 1]), "must rise"),
        (((3, 4), [2, 1]), "must rise"),
        (((3, 4), [0.5]), "integers"),
        (((3, 4), [[1]]), "integers"),
        (((4,), [1]), "vector"),
        (((2, 3, 4),), "matrix"),
    ],
)
def test_bad_regions_are_named(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Submatrix(*arguments)


def test_arrays_that_do_not_fit_are_named():
    submatrix, x = Submatrix((3, 4), [1]), np.zeros((3, 4), "float32")
    with pytest.raises(TypeError, match="int64"):
        gather_submatrix(np.zeros((3, 4), "int64"), submatrix)
    with pytest.raises(ValueError, match=r"\(4, 3\)"):
        gather_submatrix(np.zeros((4, 3)), submatrix)
    with pytest.raises(ValueError, match="contiguous"):
        gather_submatrix(np.zeros((4, 3)).T, submatrix)
    with pytest.raises(ValueError, match="float64"):
        scatter_submatrix(np.zeros((1, 4)), x, submatrix)
    x.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        scatter_submatrix(np.zeros((1, 4), "float32"), x, submatrix)
    with pytest.raises(ValueError, match="submatrix"):
        sgd_step(np.zeros(3), np.zeros(3), None, lr=0.1, lazy=True)
    with pytest.raises(ValueError, match="takes"):
        adam_step(*np.zeros((4, 3, 4)), lr=0.1, beta1=0.9, beta2=0.9, epsilon=1.0, step=1,
                  submatrix=submatrix)
