"""Whether a result is what the operation says, before its time counts."""

import numpy as np

from suite import pipeline, steps, variants
from suite.expect import WrongResult, expect

__all__ = ["WrongResult", "check", "differ", "inputs"]

SIGMAS = 6
SAMPLE = 2**22
TOLERANCE = {"float16": 1e-2, "bfloat16": 2e-2, "float32": 1e-5, "float64": 1e-6}


def inputs(case):
    """Return the arrays that the operation gets."""
    if case.operation == "torch_step":
        return ()
    if case.operation in ("variant", "monte_carlo"):
        return variants.inputs(case)
    if case.operation in steps.OPERATIONS:
        return steps.inputs(case)
    if case.operation == "after_product":
        return pipeline.inputs(case)
    x = case.array(0)
    if case.operation == "mask":
        return ()
    if case.operation == "forward_backward":
        return x, case.array(1)
    if case.operation in ("fused", "separate"):
        return x, case.array(1)[0]
    return (x,)


def check(case, arrays, result):
    """Raise WrongResult unless the result of the operation on the arrays is right."""
    if case.operation in ("variant", "monte_carlo"):
        return variants.check(case, arrays, result)
    if case.operation in steps.OPERATIONS:
        return steps.check(case, result)
    if case.operation == "after_product":
        return _check_after_product(case, arrays, result)
    if case.operation == "copy":
        return _check_copy(case, *arrays, result)
    if case.operation == "mask":
        return _check_rate(case, np.asarray(result) == 0)
    if case.operation == "forward_backward":
        y, dx = result
        _check_scale(case, arrays[0], y)
        _check_scale(case, arrays[1], dx)
        return expect(_same(y == 0, dx == 0), "the gradient has another mask than the result")
    if case.operation in ("fused", "separate"):
        active = np.maximum(arrays[0] + arrays[1], 0)
        _check_kept(case, active, result)
        expect((np.asarray(result)[active == 0] == 0).all(), "an inactive unit is not 0")
        return _check_share(case, np.asarray(result)[active > 0] == 0)
    return _check_scale(case, arrays[0], result)


def _check_after_product(case, arrays, y):
    """The product, where nothing stands behind it, or its dropout; libraries round differently."""
    product = arrays[0] @ arrays[1]
    if np.allclose(y, product, atol=1e-3):
        return
    expect((np.isclose(y, product / (1 - case.rate), atol=1e-3) | (y == 0)).all(),
           "a kept element is not x / (1 - rate)")
    _check_share(case, np.asarray(y) == 0)


def _check_copy(case, x, y):
    x, y = _sample(x), _sample(y)
    expect(y[0] != x[0], "it copies, but does not scale")
    expect(np.allclose(y, x * (y[0] / x[0]), rtol=TOLERANCE[case.dtype]), "it is no scale copy")


def _check_scale(case, x, y):
    expect(np.shape(y) == case.shape, f"its shape is {np.shape(y)}")
    _check_kept(case, x, y)
    _check_rate(case, np.asarray(y) == 0)


def _check_kept(case, x, y):
    """Kept elements are x / (1 - rate)."""
    scaled = np.broadcast_to(1 / (1 - np.asarray(case.rates)), case.shape)
    x, y, scaled = _sample(x), _sample(y), _sample(scaled)
    right = np.isclose(y, x * scaled, rtol=TOLERANCE[case.dtype]) | (y == 0)
    expect(right.all(), "a kept element is not x / (1 - rate)")


def _check_rate(case, dropped):
    if case.shared_axes:
        every = dropped.all(axis=case.shared_axes)
        expect(_same(every, dropped.any(axis=case.shared_axes)), "the axes do not share a mask")
        dropped = every
    _check_share(case, dropped)


def _check_share(case, dropped):
    """The realised rate is within six standard deviations of the one asked for."""
    rates = np.asarray(case.rates)
    bound = SIGMAS * np.sqrt(np.mean(rates * (1 - rates)) / dropped.size)
    share = np.mean(dropped)
    expect(abs(share - rates.mean()) <= bound, f"it drops {share:.4f} of the elements")
    if case.per_neuron:
        deviation = np.sqrt(rates * (1 - rates) / dropped.shape[0])
        worst = np.max(np.abs(dropped.mean(axis=0) - rates) / deviation)
        expect(worst <= SIGMAS, "a neuron is not dropped at its rate")


def differ(case, first, second):
    """Raise WrongResult if two runs that draw dropped the same elements of a large input."""
    if case.operation in ("copy", "ready_mask", *steps.OPERATIONS) or case.size < 1024:
        return
    first, second = (r[0] if isinstance(r, tuple) else r for r in (first, second))
    if case.operation == "after_product" and not (first == 0).any():
        return
    if case.operation in ("variant", "monte_carlo"):
        quiet = case.variant in ("LayerDrop", "RDropLoss")  # one decision for all, or none
        return expect(quiet or not _same(first, second), "two runs have the same noise")
    expect(not _same(np.asarray(first) == 0, np.asarray(second) == 0), "two runs drop the same")


def _same(a, b):
    return np.array_equal(a, b)


def _sample(array):
    """Return at most some million elements, float64, from all over the array."""
    flat = np.asarray(array).reshape(-1)
    return flat[:: max(1, flat.size // SAMPLE) | 1].astype("f8")
