"""Monte Carlo dropout: moments and entropies, passes that repeat, and no work done twice."""

import contextlib
import dataclasses

import numpy as np
import pytest

import cydropout
from cydropout import MaskStream, MonteCarlo, predict_mc
from cydropout.layers import (
    GELU,
    Context,
    Dense,
    Dropout,
    Flatten,
    GaussianDropout,
    Layer,
    ReLU,
    Sequential,
    SpatialDropout1D,
    StochasticDepth,
    Tanh,
)
from cydropout.layers._wrapper import Wrapper
from cydropout.training.monte_carlo import predict_pass

X = np.random.default_rng(0).standard_normal((23, 8)).astype("float32")


class Spy(Layer):
    """Write down the shapes that come by."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x, ctx):
        assert ctx.training
        self.seen.append(x.shape)
        return x, lambda dy: dy


class Residual(Sequential):
    def forward(self, x, ctx):
        y, back = super().forward(x, ctx)
        return x + y, lambda dy: dy + back(dy)


class Thrice(Dense):
    def forward(self, x, ctx):
        y, back = super().forward(x, ctx)
        return 3 * y, lambda dy: back(3 * dy)


class Through(Wrapper):
    def forward(self, x, ctx):
        return self.layer.forward(x, ctx)


def inner(**options):
    return Sequential([Tanh(), Dense(8), Dropout(0.3), ReLU()], **options)


MODELS = {
    "plain": lambda: [Dense(16, activation="relu"), Dropout(0.5), Dense(3)],
    "first": lambda: [Dropout(0.2), Dense(16), GELU(), Dropout(0.5), Dense(3)],
    "own": lambda: [Dense(16, activation="tanh"), Dropout(0.4), Dense(9), Dropout(0.1), Dense(3)],
    "classic": lambda: [Dense(9), ReLU(), Dropout(0.5, scaling="classic"), Dense(3)],
    "late": lambda: [Dense(9), Dropout(0.0), ReLU(), Dense(9), GaussianDropout(0.5), Dense(3)],
    "nested": lambda: [Dense(8), inner(), Dense(3)],
    "overridden": lambda: [Dense(8), Residual([Dense(8), Dropout(0.5)]), Thrice(3), Dropout(0.1)],
    "wrapped": lambda: [
        Through(Sequential([Dense(8), Dropout(0.5)])), StochasticDepth(0.5), Through(inner())
    ],
    "deterministic": lambda: [Dense(8), ReLU(), Dropout(0.0), Dense(3)],
    "all": lambda: [Dropout(0.5)],
}


@pytest.fixture(params=MODELS, name="model")
def _model(request):
    model = Sequential(MODELS[request.param](), dtype="float64")
    model.build(X.shape[1:], rng=1)
    return model


def passes(model, x, keys):
    """The same passes without any trick: whole and unfused."""
    plain = Sequential(model.layers, dtype=model.dtype, fuse=False)
    each = [plain.forward(x, Context(True, MaskStream.from_state(key, 0)))[0] for key in keys]
    return np.array(each, "float64")


def test_moments_are_those_of_whole_passes(model):
    found = predict_mc(model, X, samples=7, rng=3)
    y = passes(model, X, found.keys)
    assert found.samples == len(set(found.keys)) == 7
    assert found.mean.dtype == found.std.dtype == "float64" and found.mean.shape == y.shape[1:]
    np.testing.assert_allclose(found.mean, y.mean(axis=0), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found.std, y.std(axis=0), rtol=1e-9, atol=1e-14)
    assert found.entropy is None and found.mutual_information is None
    for key, one in zip(found.keys, y, strict=True):
        np.testing.assert_array_equal(predict_pass(model, X, key), one)


def test_batches_have_draws_of_their_own(model):
    found = predict_mc(model, X, samples=4, rng=3, batch_size=10)
    expected = []
    for key in found.keys:
        stream = MaskStream.from_state(key, 0)
        parts = [model.forward(X[n : n + 10], Context(True, stream))[0] for n in (0, 10, 20)]
        expected.append(np.concatenate(parts))
        np.testing.assert_array_equal(predict_pass(model, X, key, batch_size=10), expected[-1])
    np.testing.assert_allclose(found.mean, np.mean(expected, axis=0), rtol=1e-12, atol=1e-14)


def entropy(p):
    return -np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0), axis=-1)


@pytest.mark.parametrize("shape", [(6, 4), (5, 2, 4)])
@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_entropies(shape, outputs):
    class Softmax(Layer):
        def forward(self, x, ctx):
            e = np.exp(x - x.max(axis=-1, keepdims=True))
            return e / e.sum(axis=-1, keepdims=True), lambda dy: dy

    x = 3 * np.random.default_rng(1).standard_normal(shape)
    head = [Softmax()] if outputs == "probabilities" else []
    model = Sequential([Dropout(0.5), *head], dtype="float64")
    found = predict_mc(model, x, 20, rng=0, outputs=outputs)
    p = passes(model, x, found.keys)
    if outputs == "logits":
        p = np.exp(p) / np.exp(p).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(found.mean, p.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.std, p.std(axis=0), rtol=1e-9)
    total, each = entropy(p.mean(axis=0)), entropy(p).mean(axis=0)
    np.testing.assert_allclose(found.entropy, total, rtol=1e-12)
    np.testing.assert_allclose(found.mutual_information, total - each, rtol=1e-9, atol=1e-14)
    assert found.entropy.shape == shape[:-1] and (found.mutual_information > 0).all()
    assert (found.mutual_information <= found.entropy).all() and found.entropy.max() <= np.log(4)
    np.testing.assert_array_equal(
        predict_pass(model, x, found.keys[0], outputs=outputs),
        predict_mc(model, x, 1, rng=0, outputs=outputs).mean,
    )


def test_certain_classes_have_no_entropy():
    model = Sequential([Dropout(0.0)])
    found = predict_mc(model, [[0.0, 1.0, 0.0]], 3, outputs="probabilities")
    assert (found.entropy == 0).all() and (found.mutual_information == 0).all()
    logits = np.array([[1e4, 0, -1e4], [2.0, 2.0, -np.inf]])
    found = predict_mc(model, logits, 3, outputs="logits")
    np.testing.assert_allclose(found.mean, [[1, 0, 0], [0.5, 0.5, 0]])
    np.testing.assert_allclose(found.entropy, [0, np.log(2)], atol=1e-15)
    assert (found.std == 0).all()


def test_the_spread_of_large_means_is_not_lost():
    model = Sequential([GaussianDropout(0.5)], dtype="float64")
    narrow = predict_mc(model, np.full((50, 40), 1.0), 30, rng=0)

    class Shift(Layer):
        def forward(self, x, ctx):
            return x + 1e9, lambda dy: dy

    moved = predict_mc(Sequential([*model.layers, Shift()], dtype="float64"),
                       np.full((50, 40), 1.0), 30, rng=0)
    np.testing.assert_allclose(moved.std, narrow.std, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "before", "after"),
    [
        (lambda a, b: [Dense(9), a, ReLU(), Dropout(0.5), b, Dense(3)], 3, 3 * 5),
        (lambda a, b: [Flatten(), Dropout(0.0), a, Dense(9), Dropout(0.5), b], 3, 3 * 5),
        (lambda a, b: [Sequential([Dense(4), a, Dropout(0.5)]), b, Dense(2)], 3, 3 * 5),
        (lambda a, b: [Dense(4), a, Dense(4), b], 3, 3),
        (lambda a, b: [Dropout(1.0), a, b], 3 * 5, 3 * 5),
    ],
)
def test_layers_before_the_first_noise_run_once_a_batch(make, before, after):
    a, b = Spy(), Spy()
    model = Sequential(make(a, b))
    model.build(X.shape[1:], rng=0)
    noisy = any(isinstance(layer, Dropout) and layer.rate for layer in model.walk())
    words = "1.spy .* or 3.spy"
    with contextlib.nullcontext() if noisy else pytest.warns(UserWarning, match=words):
        predict_mc(model, X, 5, rng=0, batch_size=10)
    assert (len(a.seen), len(b.seen)) == (before, after)
    assert [shape[0] for shape in a.seen[:: before // 3]] == [10, 10, 3]


def test_the_product_of_the_first_dense_with_noise_is_computed_once(monkeypatch):
    class Counted(np.ndarray):
        products = 0

        def __array_ufunc__(self, ufunc, method, *inputs, **options):
            Counted.products += ufunc is np.matmul
            bare = [np.asarray(array) for array in inputs]
            return getattr(ufunc, method)(*bare, **options)

    model = Sequential([Dense(16, activation="relu"), Dropout(0.5), Dense(3)])
    model.build(X.shape[1:], rng=0)
    weight = model.parameters()[0]
    weight.value = weight.value.view(Counted)
    predict_mc(model, X, 6, rng=0)
    assert Counted.products == 1


def test_seeds_and_streams():
    model = Sequential([Dropout(0.5)])
    x = np.ones((4, 8), "float32")
    one, same, other = (predict_mc(model, x, 5, rng=rng) for rng in (7, MaskStream(7), 8))
    np.testing.assert_array_equal(one.mean, same.mean)
    assert one.keys == same.keys and not set(one.keys) & set(other.keys)
    stream = MaskStream(7)
    first, second = (predict_mc(model, x, 5, rng=stream) for _ in range(2))
    assert stream.next_draw == 2 and first.keys == one.keys
    assert not set(first.keys) & set(second.keys)
    assert predict_mc(model, x, 50, rng=7).keys[:5] == one.keys
    expected = np.random.SeedSequence([stream.key, 1], spawn_key=(3,)).generate_state(1, "u8")[0]
    assert second.keys[3] == expected
    assert predict_mc(model, x, 2).keys != predict_mc(model, x, 2).keys
    assert predict_mc(model, x).samples == 50


def test_threads_change_no_bit():
    model = Sequential([Dense(64), ReLU(), Dropout(0.1), Dense(3)])
    x = np.random.default_rng(0).standard_normal((900, 8)).astype("float32")
    model.build((8,), rng=0)
    one, two = (predict_mc(model, x, 3, rng=0, num_threads=n) for n in (1, 2))
    np.testing.assert_array_equal(one.mean, two.mean)
    np.testing.assert_array_equal(one.std, two.std)


def test_any_layer_is_a_model():
    dense = Sequential([Dense(8), Dropout(0.5)])
    for layer in (Dropout(0.5), SpatialDropout1D(0.5), dense, Residual([])):
        x = np.ones((5, 8, 4), "float32")
        layer.build((8, 4), rng=0)
        quiet = isinstance(layer, Residual)
        with pytest.warns(UserWarning, match="Residual") if quiet else contextlib.nullcontext():
            found = predict_mc(layer, x, 4, rng=0)
        for key in found.keys:
            y, _ = layer.forward(x, Context(True, MaskStream.from_state(key, 0)))
            np.testing.assert_array_equal(predict_pass(layer, x, key), y)


def test_the_input_and_the_model_are_left_alone():
    model = Sequential([ReLU(), Dropout(0.5), Dense(3)])
    model.build((8,), rng=0)
    x, before = X.copy(), model.state_dict()
    predict_mc(model, x, 3, rng=0)
    np.testing.assert_array_equal(x, X)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_the_result_is_frozen_and_exported():
    found = predict_mc(Sequential([Dropout(0.5)]), X, 2, rng=0)
    assert isinstance(found, MonteCarlo) and cydropout.predict_mc is predict_mc
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.mean = 0


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"samples": 0}, ValueError, "samples.*0"),
        ({"samples": 2.5}, ValueError, "samples.*2.5"),
        ({"batch_size": 0}, ValueError, "batch_size.*0"),
        ({"num_threads": 0}, ValueError, "num_threads.*0"),
        ({"outputs": "classes"}, ValueError, "outputs.*'classes'"),
        ({"x": np.zeros((0, 8))}, ValueError, r"at least one sample.*\(0, 8\)"),
        ({"x": 1.0}, ValueError, r"at least one sample.*\(\)"),
        ({"rng": "seed"}, TypeError, "'seed'"),
        ({"rng": -1}, ValueError, "-1"),
    ],
)
def test_wrong_arguments_take_no_draw(change, error, words):
    stream = MaskStream(0)
    options = {"x": X, "rng": stream, **change}
    with pytest.raises(error, match=words):
        predict_mc(Sequential([Dropout(0.5)]), **options)
    assert stream.next_draw == 0


@pytest.mark.parametrize(
    ("outputs", "x", "words"),
    [
        ("probabilities", X, r"sums to 2\.8.*-0\.5.*logits"),
        ("probabilities", np.array([[0.5, 0.5], [1.5, -0.5]]), r"sums to 1 .*-0\.5"),
        ("logits", np.ones(5), r"classes.*\(5,\)"),
        ("values", np.ones((5, 3), int), None),
    ],
)
def test_wrong_outputs(outputs, x, words):
    model = Sequential([Dropout(0.0)])
    with pytest.raises(ValueError if words else TypeError, match=words or "int64"):
        predict_mc(model, x, 2, rng=0, outputs=outputs)
    with pytest.raises(RuntimeError, match="build"):
        predict_mc(Sequential([Dense(3)]), X, 2)
