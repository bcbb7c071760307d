import numpy as np
import pytest

from cydropout import functional


def reference(z, labels):
    z, labels = z.astype("float64").reshape(-1, z.shape[-1]), labels.reshape(-1)
    rows = np.arange(len(z))
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    loss = -np.log(p[rows, labels]).mean()
    accuracy = (z.argmax(axis=1) == labels).mean()
    p[rows, labels] -= 1
    return loss, p / len(z), accuracy


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 2), (128, 10), (3, 5, 33), (2, 1000), (5000, 40)])
def test_formula_on_every_build(build, dtype, shape):
    rng = np.random.default_rng(0)
    z = (5 * rng.standard_normal(shape)).astype(dtype)
    labels = rng.integers(0, shape[-1], shape[:-1])
    wanted = reference(z, labels)
    for threads in (1, 2, 3, None):
        loss, gradient, accuracy = functional.softmax_cross_entropy(z, labels, num_threads=threads)
        tolerance = 1e-6 if dtype == "float32" else 1e-14
        assert loss == pytest.approx(wanted[0], rel=tolerance, abs=tolerance)
        assert gradient.shape == shape and gradient.dtype == dtype
        np.testing.assert_allclose(
            gradient.reshape(wanted[1].shape), wanted[1], rtol=0, atol=tolerance)
        assert accuracy == pytest.approx(wanted[2])
        if threads == 1:
            first = loss, gradient
        assert loss == first[0]
        np.testing.assert_array_equal(gradient, first[1])


def test_the_first_of_equal_logits_is_the_prediction():
    z = np.zeros((3, 4), "float32")
    assert functional.softmax_cross_entropy(z, [0, 1, 3])[2] == pytest.approx(1 / 3)


def test_large_logits_do_not_overflow_and_nan_shows():
    z = np.array([[1e4, 0.0], [-1e4, 1e4]], "float32")
    loss, gradient, _ = functional.softmax_cross_entropy(z, [0, 0])
    assert loss == pytest.approx(1e4)
    np.testing.assert_array_equal(gradient, [[0, 0], [-0.5, 0.5]])
    z[0, 1] = np.nan
    assert np.isnan(functional.softmax_cross_entropy(z, [0, 0])[0])


@pytest.mark.parametrize(
    ("z", "labels", "error", "said"),
    [
        (np.ones((2, 3), "float16"), [0, 1], TypeError, "float16"),
        (np.ones((2, 3)), [0.0, 1.0], TypeError, "float64"),
        (np.ones((2, 3)), [0, 1, 2], ValueError, r"\(2, 3\).*\(3,\)"),
        (np.ones((0, 3)), np.zeros(0, int), ValueError, r"\(0, 3\)"),
        (np.ones((2, 3)), [0, 3], ValueError, "label 3 at position 1.*3 classes"),
        (np.ones((2, 3)), [-1, 0], ValueError, "label -1 at position 0"),
    ],
)
def test_wrong_arguments(z, labels, error, said):
    with pytest.raises(error, match=said):
        functional.softmax_cross_entropy(z, labels)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1,), (7, 1), (128, 10), (3, 5, 33), (5000, 40)])
def test_squared_error_on_every_build(build, dtype, shape):
    rng = np.random.default_rng(0)
    y, t = rng.standard_normal((2, *shape)).astype(dtype)
    for threads in (1, 2, 3, None):
        loss, gradient = functional.mean_squared_error(y, t, num_threads=threads)
        assert loss == pytest.approx(np.square(y - t, dtype="f8").mean(), rel=1e-6)
        assert gradient.dtype == dtype
        np.testing.assert_array_equal(gradient, 2 * (y - t) * gradient.dtype.type(1 / y.size))
        if threads == 1:
            first = loss
        assert loss == first


@pytest.mark.parametrize(
    ("y", "t", "error", "said"),
    [
        (np.ones(2, "float16"), [0, 1], TypeError, "float16"),
        (np.ones(2), [0j, 1], TypeError, "complex128"),
        (np.ones((2, 3)), [0, 1], ValueError, r"\(2, 3\).*\(2,\)"),
        (np.ones((0, 3)), np.zeros((0, 3)), ValueError, r"\(0, 3\)"),
        (np.float64(1), 1.0, ValueError, r"shape \(\)"),
    ],
)
def test_wrong_arguments_of_the_squared_error(y, t, error, said):
    with pytest.raises(error, match=said):
        functional.mean_squared_error(y, t)
