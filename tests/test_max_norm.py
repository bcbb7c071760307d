"""Max-norm: columns bounded after each step, the same for every build and number of threads."""

import numpy as np
import pytest
from optimizer_reference import OPTIMIZERS
from reference_max_norm import bounded

from cydropout import Trainer, functional
from cydropout.layers import Dense, DropConnect, Dropout, Sequential, Standout
from cydropout.layers._layer import Parameter
from cydropout.training.optimizers import SGD, Adam, RMSprop

SHAPES = [(1, 1), (7, 3), (300, 129), (65, 2048), (3, 5000), (700, 1), (4, 5, 6), (997, 101)]
LAYERS = [Dense, DropConnect, Standout]


def pair(shape, dtype="float32", seed=0):
    """Return weights of which about half the columns are longer than `bound`, and a gradient."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape).astype(dtype) for _ in range(2))


def bound(shape):
    return float(np.sqrt(np.prod(shape[:-1])))


def step(optimizer, w, g, max_norm=None, num_threads=1):
    parameter = Parameter(w.copy(), "w", max_norm)
    parameter.accumulate(g)
    optimizer.step([parameter], num_threads=num_threads)
    return parameter.value


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_is_the_step_and_then_the_formula(name, dtype, shape, build):
    w, g = pair(shape, dtype)
    c = bound(shape)
    plain = step(OPTIMIZERS[name](), w, g)
    wanted = bounded(plain, c)
    found = [step(OPTIMIZERS[name](), w, g, c, num_threads) for num_threads in (1, 2, 3, 16)]
    assert found[0].dtype == dtype
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(found[0], wanted, rtol=4 * eps, atol=0)
    untouched = (plain == wanted).all(axis=tuple(range(len(shape) - 1)))
    np.testing.assert_array_equal(found[0][..., untouched], plain[..., untouched])
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_builds_agree_to_the_bit(each_build, dtype):
    w, g = pair((997, 101), dtype)
    results = [step(Adam(0.05), w, g, bound(w.shape)) for _ in each_build]
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_state_is_that_of_a_free_step():
    w, g = pair((40, 30))
    free, held = Adam(0.05), Adam(0.05)
    step(free, w, g)
    step(held, w, g, 0.1)
    for key, value in free.state_dict().items():
        np.testing.assert_array_equal(held.state_dict()[key], value)


def test_short_columns_are_not_touched():
    w, g = pair((50, 20))
    np.testing.assert_array_equal(step(SGD(0.1), w, g, 1e6), step(SGD(0.1), w, g))


def test_extreme_columns():
    w = np.zeros((3, 6), "float32")
    w[1] = [0, np.nan, np.inf, 3e38, -1e-40, 5]
    found = step(RMSprop(0.0), w, np.zeros_like(w), 2.0)
    np.testing.assert_array_equal(found[0], 0)
    np.testing.assert_array_equal(found[2], 0)
    np.testing.assert_allclose(found[1], [0, np.nan, np.inf, 2, w[1, 4], 2], rtol=1e-6)
    for shape in ((0, 3), (3, 0)):
        assert step(SGD(0.1), np.zeros(shape), np.zeros(shape), 1.0).shape == shape


@pytest.mark.parametrize("wrong, error", [
    (0, ValueError), (-1.0, ValueError), (np.nan, ValueError), (np.inf, ValueError),
    ([1, 2], ValueError), ("2", TypeError),
])
def test_a_bound_is_positive_and_finite(wrong, error):
    for kind in LAYERS:
        rate = (0.5,) if kind is DropConnect else ()
        with pytest.raises(error, match="max_norm"):
            kind(3, *rate, max_norm=wrong)
    w, g = pair((4, 3))
    kept = w.copy()
    with pytest.raises(error, match="max_norm"):
        functional.sgd_step(w, g, None, lr=0.1, max_norm=wrong)
    optimizer, first = SGD(0.1), Parameter(w, "first")
    first.accumulate(g)
    with pytest.raises(error, match="max_norm"):
        optimizer.step([first, Parameter(w, "second", wrong)])
    assert optimizer.steps == 0
    np.testing.assert_array_equal(w, kept)


def test_a_vector_has_no_columns():
    optimizer, parameter = SGD(0.1), Parameter(np.ones(3), "b", 1.0)
    with pytest.raises(ValueError, match=r"max_norm=1 .*\(3,\)"):
        optimizer.step([parameter])
    with pytest.raises(ValueError, match=r"max_norm=1 .*\(3,\)"):
        functional.rmsprop_step(*np.ones((3, 3)), lr=0.1, rho=0.9, epsilon=1e-8, max_norm=1.0)
    assert optimizer.steps == 0


def network(max_norm):
    return Sequential([
        Dense(32, activation="relu", max_norm=max_norm), Dropout(0.5),
        DropConnect(24, 0.5, activation="relu", max_norm=max_norm),
        Standout(16, max_norm=max_norm), Dense(4),
    ])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_norm_is_above_the_bound_after_a_fit(name, data):
    x, y = data
    y, c, longest = y % 4, 0.75, {}
    for max_norm in (c, None):
        model = network(max_norm)
        Trainer(model, "softmax_cross_entropy", OPTIMIZERS[name](), rng=3).fit(
            x, y, epochs=5, progress=False)
        weights = [layer.parameters()[0].value for layer in model.layers[:-1] if layer.parameters()]
        norms = np.concatenate([np.linalg.norm(w.astype("f8"), axis=0) for w in weights])
        longest[max_norm] = norms.max()
    assert longest[c] <= c * (1 + 2 * np.finfo("float32").eps) < longest[None]


def test_a_resumed_run_ends_the_same(tmp_path, data):
    x, y = data
    y = y % 4

    def fit(epochs, **options):
        model = network(0.75)
        Trainer(model, "softmax_cross_entropy", Adam(0.01), rng=3).fit(
            x, y, epochs=epochs, progress=False, **options)
        return model.state_dict()

    path = tmp_path / "run.safetensors"
    fit(2, checkpoint=path)
    whole, resumed = fit(4), fit(4, checkpoint=path, resume=True)
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value)


@pytest.mark.parametrize("kind", LAYERS)
def test_only_the_weights_are_bounded_and_the_config_says_so(kind):
    options = {"units": 3, "max_norm": 2} | ({"rate": 0.5} if kind is DropConnect else {})
    layer = kind(**options)
    assert layer.get_config()["max_norm"] == 2.0
    assert kind(**layer.get_config()).get_config() == layer.get_config()
    layer.build((5,), 0)
    assert [p.max_norm for p in layer.parameters()] == [2.0, None]
    assert kind(**options | {"max_norm": None}).get_config()["max_norm"] is None
