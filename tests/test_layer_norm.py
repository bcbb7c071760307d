"""Layer normalization: against plain NumPy and PyTorch, and the same bits everywhere."""

import numpy as np
import pytest
import reference_transformer as reference

from cydropout.functional import layer_norm, layer_norm_backward
from cydropout.layers import Context, LayerNorm

SHAPES = [(1, 1), (5, 1), (4, 15), (3, 16), (7, 17), (2, 3, 33), (2048, 128), (300, 1000)]
EPS = {"float32": 2.0**-23, "float64": 2.0**-52}


def arrays(shape, dtype="float32"):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal(shape) * 3 + 1, rng.standard_normal(shape)
    weight, bias = rng.standard_normal((2, shape[-1]))
    return [array.astype(dtype) for array in (x, dy, weight, bias)]


def both(x, dy, weight, bias, **options):
    y, statistics = layer_norm(x, weight, bias, epsilon=1e-3, **options)
    return y, statistics, *layer_norm_backward(dy, x, statistics, weight, **options)


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_formula(build, shape, dtype):
    x, dy, weight, bias = arrays(shape, dtype)
    found = both(x, dy, weight, bias, num_threads=1)
    assert all(array.dtype == dtype for array in found)
    eps = EPS[dtype] * 30  # the values of a row divided by its deviation, at least 1
    y, _ = reference.layer_norm(x, weight, bias, 1e-3)
    scale = 1 / np.sqrt(x.astype("f8").var(axis=-1) + 1e-3)
    np.testing.assert_allclose(found[0], y, atol=eps * max(1, scale.max()))
    np.testing.assert_allclose(found[1][..., 0], x.mean(axis=-1, dtype="f8"), rtol=eps, atol=eps)
    np.testing.assert_allclose(found[1][..., 1], scale, rtol=eps)
    dx, dweight, dbias = reference.layer_norm_backward(dy, x, weight, 1e-3)
    np.testing.assert_allclose(found[2], dx, atol=eps * max(1, scale.max()))
    rows = x.size // shape[-1]
    np.testing.assert_allclose(found[3], dweight, atol=eps * rows**0.5 * 3)
    np.testing.assert_allclose(found[4], dbias, atol=eps * rows**0.5 * 3)
    for threads in (2, 3, 8):
        again = both(x, dy, weight, bias, num_threads=threads)
        assert [a.tobytes() for a in again] == [a.tobytes() for a in found]


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("shape", SHAPES)
def test_builds_agree_to_the_bit(each_build, shape, dtype):
    given, found = arrays(shape, dtype), set()
    for _ in each_build:
        found.add(b"".join(array.tobytes() for array in both(*given)))
    assert len(found) == 1


@pytest.mark.parametrize("shape", [(4, 7), (2, 9, 64)])
def test_against_pytorch(shape):
    torch = pytest.importorskip("torch")
    layer, theirs = LayerNorm(epsilon=1e-5), torch.nn.LayerNorm(shape[-1])
    layer.build(shape[1:])
    x, dy, weight, bias = arrays(shape)
    layer.load_torch_state({"weight": weight, "bias": bias})
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in layer.torch_state().items()})
    y, backward = layer.forward(x, Context())
    tensor = torch.from_numpy(x).requires_grad_(True)
    expected = theirs(tensor)
    expected.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(backward(dy), tensor.grad.numpy(), rtol=1e-5, atol=1e-5)
    for name, parameter in layer.named_parameters():
        derivative = getattr(theirs, name).grad.numpy()
        np.testing.assert_allclose(parameter.grad, derivative, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("columns", [5, 40])
def test_nan_stays_in_its_row(build, columns):
    x, dy, weight, bias = arrays((4, columns))
    clean, *_ = both(x, dy, weight, bias)
    x[1, 2], x[2, 3] = np.nan, np.inf
    y, _, dx, *_ = both(x, dy, weight, bias)
    assert np.isnan(y[1]).all() and np.isnan(y[2]).all() and np.isnan(dx[1:3]).all()
    np.testing.assert_array_equal(y[[0, 3]], clean[[0, 3]])
    assert np.isfinite(dx[[0, 3]]).all()


def test_a_row_of_one_value_becomes_the_bias(build):
    x = np.full((3, 21), 7, "f4")
    _, dy, weight, bias = arrays((3, 21))
    y, _, dx, *_ = both(x, dy, weight, bias)
    np.testing.assert_array_equal(y, np.broadcast_to(bias, y.shape))
    assert np.isfinite(dx).all()


def test_no_rows():
    x = np.empty((0, 4), "f4")
    y, statistics, dx, dweight, dbias = both(x, x, np.ones(4, "f4"), np.zeros(4, "f4"))
    assert y.shape == dx.shape == (0, 4) and statistics.shape == (0, 2)
    assert not dweight.any() and not dbias.any()


def test_what_does_not_fit_is_named():
    x, dy, weight, bias = arrays((3, 4))
    _, statistics = layer_norm(x, weight, bias)
    with pytest.raises(TypeError, match="float16"):
        layer_norm(x.astype("f2"), weight, bias)
    with pytest.raises(ValueError, match="needs features"):
        layer_norm(np.empty((3, 0), "f4"), weight[:0], bias[:0])
    with pytest.raises(ValueError, match=r"weight has shape \(3,\)"):
        layer_norm(x, weight[:3], bias)
    with pytest.raises(ValueError, match="bias has shape .* float64"):
        layer_norm(x, weight, bias.astype("f8"))
    with pytest.raises(ValueError, match="dy has shape"):
        layer_norm_backward(dy[:2], x, statistics, weight)
    with pytest.raises(ValueError, match="statistics"):
        layer_norm_backward(dy, x, statistics[:2], weight)
    for epsilon in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="epsilon"):
            LayerNorm(epsilon)
        with pytest.raises(ValueError, match="epsilon"):
            layer_norm(x, weight, bias, epsilon=epsilon)
    layer = LayerNorm()
    with pytest.raises(RuntimeError, match="build"):
        layer.forward(x, Context())
    layer.build((4,))
    with pytest.raises(ValueError, match="4 features, got 3"):
        layer.forward(x[:, :3], Context())
    with pytest.raises(ValueError, match="batch axis"):
        layer.forward(x[0], Context())
    with pytest.raises(ValueError, match="needs inputs with features"):
        LayerNorm().build(())


def test_a_torch_state_is_loaded_whole_or_not_at_all():
    layer = LayerNorm()
    with pytest.raises(ValueError, match="before build"):
        layer.load_torch_state({"weight": np.ones(3), "bias": np.ones(3)})
    layer.build((3,))
    good = {"weight": np.full(3, 5.0), "bias": np.full(3, 6.0)}
    for wrong, name in (
        ({"weight": good["weight"]}, "bias"),
        ({**good, "scale": np.ones(3)}, "scale"),
        ({**good, "bias": np.ones(4)}, "bias"),
        ({**good, "bias": np.ones(3, int)}, "int64"),
    ):
        with pytest.raises(ValueError, match=name):
            layer.load_torch_state(wrong)
        np.testing.assert_array_equal(layer.torch_state()["weight"], np.ones(3))
    layer.load_torch_state(good)
    np.testing.assert_array_equal(layer.torch_state()["weight"], np.full(3, 5, "f4"))
