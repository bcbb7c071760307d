"""Noise with a parameter: factors and gradients are the formulas of their variates, everywhere."""

import pickle

import numpy as np
import pytest
import reference_noise
from reference import dtype_named

from cydropout import MaskStream
from cydropout.masks import ConcreteMask, GaussianMask

KEY, DRAW = 0x299F31D0A4093822, 0x370734413198A2E
DTYPES = ["float16", "bfloat16", "float32", "float64"]
LOGITS = np.array([-3.0, -0.5, 0.0, 1.0, 4.0])


def concrete(shape, logit=-1.0, **options):
    return MaskStream.from_state(KEY, DRAW).make(ConcreteMask, shape, logit, **options)


def gaussian(shape, sigma=0.7, **options):
    return MaskStream.from_state(KEY, DRAW).make(GaussianMask, shape, sigma=sigma, **options)


KINDS = {
    "gaussian": (
        gaussian, np.abs(LOGITS), lambda n, mask: reference_noise.gaussian(n, mask.sigma)),
    "concrete": (
        concrete, LOGITS,
        lambda n, mask: reference_noise.concrete(n, mask.logit, mask.temperature)),
}
EITHER = pytest.mark.parametrize("make, parameters, formula", KINDS.values(), ids=KINDS)


def wide(dtype):
    return np.float64 if dtype == np.float64 else np.float32


@pytest.mark.parametrize("offset", [0, 1, 63, 64, 130, 2**31 + 5, 2**39 - 77])
@pytest.mark.parametrize("size", [1, 63, 64, 65, 2048, 5003])
def test_logistic_variates_are_quantiles_of_the_words(build, offset, size):
    found = concrete(size, offset=offset).variates
    expected = reference_noise.logistics(KEY, DRAW, offset, size)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=3e-7, atol=3e-7)


def test_logistic_moments():
    n = concrete(2**20).variates.astype("f8")
    bound, variance = 5 / np.sqrt(n.size), np.pi**2 / 3
    assert abs(n.mean()) < bound * np.sqrt(variance)
    # The fourth moment is 7 pi**4 / 15.
    assert abs((n**2).mean() - variance) < bound * np.sqrt(7 * np.pi**4 / 15 - variance**2)
    assert 12 < np.abs(n).max() < 23


@EITHER
def test_builds_agree_to_the_bit(each_build, make, parameters, formula):
    found = set()
    x = np.random.default_rng(0).standard_normal((60_001, 5))
    for _ in each_build:
        results = [make(x.shape, parameters).variates]
        for dtype in ("float16", "float32", "float64"):
            narrow = x.astype(dtype)
            results += make(x.shape, parameters).gradients(narrow, narrow[::-1].copy())
            results.append(make(x.shape, 0.5).apply(narrow))
        found.add(b"".join(array.tobytes() for array in results))
    assert len(found) == 1


@EITHER
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("per_unit", [False, True])
def test_factors_and_gradients_are_the_formula(build, make, parameters, formula, dtype, per_unit):
    dtype = dtype_named(dtype)
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((7, 333, 5)).astype(dtype) for _ in range(2))
    mask = make(x.shape, parameters if per_unit else parameters[1], offset=11)
    f, derivative = formula(mask.variates.astype(wide(dtype)), mask)
    # To the last digits of exp, and to a rounding of the dtype.
    rtol = 1e-12 if dtype == np.float64 else 4e-6
    rounding = {"float16": 2**-10, "bfloat16": 2**-7}.get(np.dtype(dtype).name, 0)
    y = mask.apply(x)
    np.testing.assert_allclose(
        y.astype("f8"), x.astype("f8") * f, rtol=rtol + rounding, atol=1e-3 * rounding + 1e-36)
    if make is gaussian:
        assert y.tobytes() == (x.astype(wide(dtype)) * f).astype(dtype).tobytes()
    dx, found = mask.gradients(x, dy, num_threads=1)
    assert dx.dtype == dtype and dx.tobytes() == mask.backward(dy).tobytes()
    assert found.dtype == wide(dtype) and found.shape == np.shape(mask._parameter)
    terms = dy.astype("f8") * x.astype("f8") * derivative
    size = reference_noise.summed(np.abs(terms), found.shape)
    error = np.abs(found - reference_noise.summed(terms, found.shape))
    assert (error <= (1e-12 if dtype == np.float64 else 1e-5) * size).all()
    for other in (np.asfortranarray, lambda a: np.repeat(a, 2, axis=-1)[..., ::2]):
        again = mask.gradients(other(x), other(dy))
        assert again[0].tobytes() == dx.tobytes() and again[1].tobytes() == found.tobytes()


@EITHER
@pytest.mark.parametrize("columns", [1, 5, 2049])
def test_sums_do_not_depend_on_threads(build, make, parameters, formula, columns):
    rows = 700_001 // columns
    x = np.random.default_rng(0).standard_normal((rows, columns)).astype("f4")
    mask = make(x.shape, np.resize(parameters, columns))
    found = {mask.gradients(x, x, num_threads=threads)[1].tobytes() for threads in (1, 2, 3)}
    assert len(found) == 1


@EITHER
@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 1), (3, 5), (1, 3, 1), (4, 1, 1), (4, 3, 5)])
def test_a_gradient_has_the_shape_of_its_parameter(make, parameters, formula, shape):
    x, dy = np.random.default_rng(0).standard_normal((2, 4, 3, 5))
    for value in (np.full(shape, 0.5), np.resize(parameters, shape)):
        mask = make((4, 3, 5), value)
        f, derivative = formula(mask.variates.astype("f8"), mask)
        dx, found = mask.gradients(x, dy)
        np.testing.assert_allclose(dx, f * dy, rtol=1e-12)
        np.testing.assert_allclose(
            found, reference_noise.summed(dy * x * derivative, shape), rtol=1e-11, atol=1e-13)


@EITHER
@pytest.mark.parametrize("shape", [(0,), (0, 5), (4, 0)])
def test_nothing_of_empty_arrays(make, parameters, formula, shape):
    mask = make(shape, 0.5)
    x = np.empty(shape)
    assert mask.apply(x).shape == shape and mask.variates.shape == shape
    dx, found = mask.gradients(x, x)
    assert dx.shape == shape and found == 0


def test_no_gradient_where_nothing_was_drawn():
    stream, x = MaskStream(0), np.array([1.0, np.nan, np.inf])
    dx, dsigma = stream.make(GaussianMask, 3, 0.0).gradients(x, x)
    assert dx.tobytes() == x.tobytes() and not np.shares_memory(dx, x)
    assert dsigma == 0 and stream.next_draw == 0
    dx, dsigma = stream.make(GaussianMask, 3, [0.5, 1.0, 1.0]).gradients(x, x)
    assert dx[0] != 0 and not dx[1:].any() and dsigma[0] != 0 and not dsigma[1:].any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("logit", [-1e4, -100.0, -30.0, 30.0, 100.0, 1e4])
def test_extreme_rates_stay_finite(build, logit, dtype):
    mask, x = concrete(5000, logit), np.ones(5000, dtype)
    dx, found = mask.gradients(x, x)
    np.testing.assert_allclose(dx, 1.0 if logit < 0 else 0.0, rtol=1e-6, atol=1e-9)
    assert np.isfinite(found)


@pytest.mark.parametrize("logit, temperature", [(-2.0, 0.1), (0.0, 2.0), (1.5, 0.02)])
def test_the_mean_of_concrete_noise(logit, temperature):
    size, grid = 2**20, (np.arange(2**20) + 0.5) / 2**20
    exact, _ = reference_noise.concrete(np.log(grid / (1 - grid)), logit, temperature)
    f = concrete(size, logit, temperature=temperature).apply(np.ones(size))
    assert abs(f.mean() - exact.mean()) < 5 * exact.std() / np.sqrt(size)
    assert abs((f**2).mean() - (exact**2).mean()) < 5 * (exact**2).std() / np.sqrt(size)


@EITHER
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [0, 11, 64, 2**33 + 77])
@pytest.mark.parametrize("size", [1, 31, 32, 65, 2047, 2048, 5003])
def test_what_is_held_is_what_was_drawn(build, make, parameters, formula, size, offset, dtype):
    dtype = dtype_named(dtype)
    x, dy = np.random.default_rng(0).standard_normal((2, size)).astype(dtype)
    for value in (0.5, np.resize(parameters, size)):
        held, drawn = (
            make(size, value, offset=offset, storage=storage) for storage in ("values", "seed"))
        assert held.nbytes == drawn.nbytes == 0
        y, expected = drawn.apply(x), drawn.gradients(x, dy)
        # The first use holds, of whatever kind it is; the later ones read.
        for _ in range(2):
            assert held.apply(x).tobytes() == y.tobytes()
        other = make(size, value, offset=offset)
        for mask in (held, other, other):
            found = mask.gradients(x, dy)
            assert [a.tobytes() for a in found] == [a.tobytes() for a in expected]
        item = 8 if make is concrete and dtype == np.float64 else 4
        assert held.nbytes == other.nbytes == (size + 31) // 32 * 32 * item
        assert drawn.nbytes == 0


@EITHER
def test_what_is_held_serves_any_threads_and_dtypes(build, make, parameters, formula):
    x = np.random.default_rng(0).standard_normal((140_001, 5))
    arrays = [x.astype(dtype) for dtype in ("f8", "f4", "f2", "f4", "f8")]
    drawn = [make(x.shape, parameters, storage="seed").apply(a).tobytes() for a in arrays]
    # Whichever precision comes first is the one that Concrete noise holds.
    for order in (slice(None), slice(1, None)):
        for threads in (1, 2, 3):
            mask = make(x.shape, parameters)
            found = [mask.apply(a, num_threads=threads).tobytes() for a in arrays[order]]
            assert found == drawn[order]
            assert mask.variates.tobytes() == make(x.shape, parameters).variates.tobytes()


def test_slices_and_pickles_are_the_same_noise():
    whole = concrete(5000)
    np.testing.assert_array_equal(concrete(1000, offset=1234).values, whole.values[1234:2234])
    assert whole.nbytes == 5024 * 4
    twin = pickle.loads(pickle.dumps(whole))
    assert twin.nbytes == 0
    np.testing.assert_array_equal(twin.values, whole.values)
    assert repr(twin) == repr(whole) and "temperature=0.1" in repr(whole)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_autograd_of_the_published_formula_agrees(dtype):
    torch = pytest.importorskip("torch")
    x, dy = np.random.default_rng(0).standard_normal((2, 60, 5)).astype(dtype)
    rtol = 1e-11 if dtype == "float64" else 1e-4
    mask = concrete(x.shape, LOGITS)
    tx, eta = (torch.tensor(v, requires_grad=True) for v in (x, LOGITS.astype(dtype)))
    u = torch.sigmoid(torch.from_numpy(mask.variates.astype(dtype)))
    p = torch.sigmoid(eta)
    z = torch.sigmoid((torch.log(p) - torch.log1p(-p) + torch.log(u) - torch.log1p(-u)) / 0.1)
    ty = tx * (1 - z) / (1 - p)
    ty.backward(torch.from_numpy(dy))
    # Of 32 bits, 1 - u, 1 - z and 1 - p keep fewer digits in their formula than in ours.
    atol = 1e-10 if dtype == "float64" else 5e-4
    np.testing.assert_allclose(mask.apply(x), ty.detach(), rtol=rtol, atol=atol)
    dx, deta = mask.gradients(x, dy)
    np.testing.assert_allclose(dx, tx.grad, rtol=rtol, atol=atol)
    np.testing.assert_allclose(deta, eta.grad, rtol=10 * rtol, atol=10 * atol)

    mask = gaussian(x.shape, np.exp(LOGITS / 2))
    tx, log_alpha = (torch.tensor(v, requires_grad=True) for v in (x, LOGITS.astype(dtype)))
    n = torch.from_numpy(mask.variates.astype(dtype))
    ty = tx * (1 + torch.exp(log_alpha / 2) * n)
    ty.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(mask.apply(x), ty.detach(), rtol=rtol, atol=rtol)
    dx, dsigma = mask.gradients(x, dy)
    np.testing.assert_allclose(dx, tx.grad, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(
        dsigma * mask.sigma / 2, log_alpha.grad, rtol=10 * rtol, atol=10 * rtol)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"logit": np.nan}, ValueError, "nan"),
        ({"logit": np.inf}, ValueError, "inf"),
        ({"logit": "high"}, TypeError, "high"),
        ({"logit": [0.1, 0.2]}, ValueError, r"\(2,\)"),
        ({"logit": 0.0, "temperature": 0.0}, ValueError, "0.0"),
        ({"logit": 0.0, "temperature": -1.0}, ValueError, "-1.0"),
        ({"logit": 0.0, "temperature": np.nan}, ValueError, "nan"),
        ({"logit": 0.0, "temperature": [1.0]}, ValueError, "temperature"),
        ({"logit": 0.0, "offset": -1}, ValueError, "-1"),
        ({"logit": 0.0, "storage": "bits"}, ValueError, "'bits'"),
    ],
)
def test_bad_arguments_take_no_draw(arguments, error, message):
    stream = MaskStream(0)
    with pytest.raises(error, match=message):
        stream.make(ConcreteMask, (4, 3), **arguments)
    assert stream.next_draw == 0


def test_gradients_need_arrays_that_fit():
    mask = concrete((3, 4))
    for x, dy in [((3, 4), (4, 3)), ((4,), (4,))]:
        with pytest.raises(ValueError, match=r"\(4"):
            mask.gradients(np.ones(x), np.ones(dy))
    with pytest.raises(ValueError, match="float32"):
        mask.gradients(np.ones((3, 4)), np.ones((3, 4), "f4"))
    with pytest.raises(TypeError, match="int64"):
        mask.gradients(np.ones((3, 4)), np.ones((3, 4), "int64"))
    with pytest.raises(TypeError, match="key .*0.5"):
        ConcreteMask(0.5, 0, 3, 0.0)
