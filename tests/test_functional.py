"""The fused passes against plain NumPy formulas."""

import math

import numpy as np
import pytest

from cydropout import MaskStream
from cydropout.functional import (
    ACTIVATIONS,
    adam_step,
    bias_activation_dropout,
    bias_activation_dropout_backward,
    sgd_step,
)

A = 2.5
ERF = np.vectorize(math.erf, otypes=["f8"])
FORMULAS = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-np.abs(x))),
    "tanh": np.tanh,
    "softplus": lambda x: np.logaddexp(0, A * x) / A,
    "selu": lambda x: 1.0507009873554805
    * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x * 0.5 * (1 + ERF(x / np.sqrt(2))),
}
SHAPES = [(1, 1), (5, 7), (33, 64), (70, 1001), (3, 4, 50), (0, 5)]


def derivative(name, x):
    h = 1e-6
    return (FORMULAS[name](x + h) - FORMULAS[name](x - h)) / (2 * h)


def test_every_activation_has_a_formula():
    assert set(FORMULAS) == set(ACTIVATIONS)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-6), ("float64", 1e-14)])
@pytest.mark.parametrize("name", FORMULAS)
def test_forward(name, dtype, tolerance, shape):
    rng = np.random.default_rng(0)
    z, bias = rng.standard_normal(shape).astype(dtype) * 3, rng.standard_normal(shape[-1:])
    bias = bias.astype(dtype)
    mask = MaskStream(0).draw(shape, 0.3)
    y = bias_activation_dropout(z, bias, name, mask, a=A)
    want = np.where(mask.keep, FORMULAS[name](z.astype("f8") + bias) * mask.scale, 0)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, want, rtol=4 * tolerance, atol=4 * tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", FORMULAS)
def test_backward(name, shape):
    rng = np.random.default_rng(0)
    z, dy = rng.standard_normal(shape) * 2, rng.standard_normal(shape)
    bias, mask = rng.standard_normal(shape[-1:]), MaskStream(0).draw(shape, 0.3)
    dz, dbias = bias_activation_dropout_backward(dy, z, bias, name, mask, a=A)
    want = np.where(mask.keep, dy * mask.scale * derivative(name, z + bias), 0)
    np.testing.assert_allclose(dz, want, rtol=1e-6, atol=1e-8)
    rows = dz.reshape(-1, shape[-1])
    np.testing.assert_allclose(dbias, rows.sum(axis=0), rtol=1e-12, atol=1e-12)
    again = [
        bias_activation_dropout_backward(dy, z, bias, name, mask, a=A, num_threads=n)
        for n in (1, 2, 7)
    ]
    assert all(a.tobytes() == dz.tobytes() and b.tobytes() == dbias.tobytes() for a, b in again)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FORMULAS)
def test_extreme_inputs(name, dtype):
    z = np.array([-np.inf, -1e30, -1e4, -750, -90, -1e-30, -0.0, 0, 1e-30, 90, 750, 1e4, 1e30,
                  np.inf, np.nan], dtype)
    y = bias_activation_dropout(z, None, name, None, a=A)
    with np.errstate(invalid="ignore", over="ignore"):
        want = FORMULAS[name](z.astype("f8")).astype(dtype)
    if name == "gelu":
        want[0] = y[0]  # -inf * 0
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-30 if dtype == "float32" else 1e-200)
    derivatives, _ = bias_activation_dropout_backward(np.ones_like(z), z, None, name, None, a=A)
    inside = np.isfinite(z) & (abs(z) < 1e20)
    assert np.isfinite(derivatives[inside]).all()
    assert np.isnan(derivatives[-1]) == (name not in ("linear", "relu"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gelu_keeps_its_digits_in_the_tail(build, dtype):
    x = np.linspace(-12, 8, 2001).astype(dtype)
    y = bias_activation_dropout(x, None, "gelu", None)
    derivatives, _ = bias_activation_dropout_backward(np.ones_like(x), x, None, "gelu", None)
    cdf = np.array([math.erfc(-v / math.sqrt(2)) / 2 for v in x.astype("f8")])
    bell = np.exp(-x.astype("f8") ** 2 / 2)
    eps = np.finfo(dtype).eps * (4 + x.astype("f8") ** 2)  # the exponent's rounding
    assert (abs(y - x * cdf) <= eps * abs(x * cdf)).all()
    derivative, size = cdf + x * bell / math.sqrt(2 * math.pi), cdf + abs(x) * bell
    assert (abs(derivatives - derivative) <= eps * size).all()


@pytest.mark.parametrize("name", ["tanh", "selu", "softplus"])
def test_small_inputs_keep_their_digits(name):
    x = np.float32([1e-6, -1e-6, 3e-4, -3e-4])
    y = bias_activation_dropout(x, None, name, None, a=A)
    np.testing.assert_allclose(y, FORMULAS[name](x.astype("f8")), rtol=3e-7)


def test_shared_axes_and_storage_give_the_same():
    z, bias = np.random.default_rng(0).standard_normal((8, 20, 33)), np.ones(33)
    for axes in ((), (0,), (1,)):
        masks = [
            MaskStream(0).draw(z.shape, 0.4, shared_axes=axes, storage=s) for s in ("bits", "seed")
        ]
        results = [bias_activation_dropout(z, bias, "tanh", m) for m in masks]
        want = np.where(masks[0].keep, np.tanh(z + bias) * masks[0].scale, 0)
        for y in results:
            np.testing.assert_allclose(y, want, rtol=1e-13)
        backs = [bias_activation_dropout_backward(z, z, bias, "tanh", m) for m in masks]
        assert all((a == b).all() for a, b in zip(*backs, strict=True))


@pytest.mark.parametrize("axes", [(), (0,)])
@pytest.mark.parametrize("name", FORMULAS)
def test_dropped_elements_have_no_gradient_even_of_nan(name, axes):
    z = np.full((4, 8), np.nan, "f4")
    mask = MaskStream(0).draw(z.shape, 1.0, shared_axes=axes)
    for array in bias_activation_dropout_backward(
        np.ones_like(z), z, np.zeros(8, "f4"), name, mask
    ):
        assert (array == 0).all()
    assert (bias_activation_dropout(z, None, name, mask) == 0).all()


def test_byte_order_and_layout_are_kept():
    z = np.random.default_rng(0).standard_normal((5, 9))
    want = bias_activation_dropout(z, None, "relu", None)
    swapped = z.astype(">f8")
    assert bias_activation_dropout(swapped, None, "relu", None).dtype == swapped.dtype
    assert bias_activation_dropout(swapped, None, "relu", None, out=swapped) is swapped
    np.testing.assert_array_equal(swapped, want)
    fortran = np.asfortranarray(z)
    bias_activation_dropout(fortran, None, "relu", None, out=fortran)
    np.testing.assert_array_equal(fortran, want)


def test_no_columns():
    z = np.ones((3, 0))
    dz, dbias = bias_activation_dropout_backward(z, z, np.ones(0), "relu", None)
    assert dz.shape == (3, 0) and dbias.shape == (0,)


def test_bad_input_is_named():
    z = np.ones((3, 4), "f4")
    both = np.ones(13, "f4")
    with pytest.raises(ValueError, match="overlaps z"):
        bias_activation_dropout_backward(z[0], both[:4], None, "tanh", None, out=both[1:5])
    with pytest.raises(ValueError, match="sharpness.*-1"):
        bias_activation_dropout(z, None, "softplus", None, a=-1)
    with pytest.raises(ValueError, match="swish"):
        bias_activation_dropout(z, None, "swish", None)
    with pytest.raises(ValueError, match=r"\(3,\)"):
        bias_activation_dropout(z, np.ones(3), "relu", None)
    with pytest.raises(ValueError, match=r"\(4, 3\)"):
        bias_activation_dropout(z, None, "relu", MaskStream(0).draw((4, 3), 0.5))
    with pytest.raises(TypeError, match="int64"):
        bias_activation_dropout(np.ones((3, 4), int), None, "relu", None)
    with pytest.raises(TypeError, match="float16"):
        bias_activation_dropout(z.astype("f2"), None, "relu", None)
    with pytest.raises(ValueError, match="dy"):
        bias_activation_dropout_backward(z[:2], z, None, "relu", None)
    with pytest.raises(ValueError, match=r"\(2,\)"):
        sgd_step(np.ones(3), np.ones(2), None, lr=0.1)
    with pytest.raises(TypeError, match="int"):
        adam_step(np.ones(3), np.ones(3, int), np.ones(3), np.ones(3), lr=0.1, beta1=0.9,
                  beta2=0.99, epsilon=1e-8, step=1)
    with pytest.raises(ValueError, match="contiguous"):
        sgd_step(np.ones((4, 4))[:, ::2], np.ones((4, 2)), None, lr=0.1)
