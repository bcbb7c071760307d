"""Monte Carlo dropout of trainers, functions and layers of the user, and what shows its result."""

import numpy as np
import pytest

import cydropout
from cydropout import Trainer, predict_mc
from cydropout.layers import Context, Dense, Dropout, Layer, Sequential
from cydropout.layers._wrapper import Wrapper
from cydropout.training import losses
from cydropout.training.monte_carlo import predict_pass

X = np.random.default_rng(0).standard_normal((23, 8)).astype("float32")


class Through(Wrapper):
    def forward(self, x, ctx):
        return self.layer.forward(x, ctx)


def entropy(p):
    return -np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0), axis=-1)


def trained(loss, outputs=2):
    y = {"binary_cross_entropy": X[:, :outputs] > 0, "mean_squared_error": X[:, :outputs]}
    labels = y.get(loss if isinstance(loss, str) else "", (X[:, 0] > 0).astype(int))
    tail = [Softmax()] if loss == "negative_log_likelihood" else []
    model = Sequential([Dense(8, activation="relu"), Dropout(0.5), Dense(outputs), *tail])
    trainer = Trainer(model, loss, "adam", rng=0)
    trainer.fit(X, labels, epochs=1, progress=False)
    return trainer


class Softmax(Layer):
    def forward(self, x, ctx):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        p = e / e.sum(axis=-1, keepdims=True)
        return p, lambda dy: p * (dy - (p * dy).sum(axis=-1, keepdims=True))


OUTPUTS = {
    "softmax_cross_entropy": "logits", "r_drop": "logits",
    "negative_log_likelihood": "probabilities", "binary_cross_entropy": "binary_logits",
    "mean_squared_error": "values",
}


@pytest.mark.parametrize("loss", losses.NAMES)
def test_the_outputs_of_a_trainer_are_those_of_its_loss(loss):
    trainer = trained(loss)
    assert trainer.loss.outputs == OUTPUTS[loss]
    found = predict_mc(trainer, X, 5, rng=0)
    wanted = predict_mc(trainer.model, X, 5, rng=0, outputs=OUTPUTS[loss])
    np.testing.assert_array_equal(found.mean, wanted.mean)
    assert (found.entropy is None) == (OUTPUTS[loss] == "values")
    raw = predict_mc(trainer, X, 5, rng=0, outputs="values")
    assert raw.entropy is None and found.keys == raw.keys
    first = predict_pass(trainer, X, found.keys[0])
    np.testing.assert_array_equal(first, predict_mc(trainer, X, 1, rng=0).mean)


def test_binary_outputs():
    trainer = trained("binary_cross_entropy")
    found = predict_mc(trainer, X, 9, rng=0)
    z = np.array([predict_pass(trainer.model, X, key) for key in found.keys])
    p = 1 / (1 + np.exp(-z))
    both = np.stack([p, 1 - p], axis=-1)
    np.testing.assert_allclose(found.mean, p.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.entropy, entropy(both.mean(axis=0)), rtol=1e-12)
    np.testing.assert_allclose(found.mutual_information,
                               entropy(both.mean(axis=0)) - entropy(both).mean(axis=0), rtol=1e-8)
    loss = losses.BinaryCrossEntropy(from_logits=False)
    assert loss.outputs == "binary_probabilities" and losses.FunctionLoss(min).outputs == "values"
    with pytest.raises(ValueError, match=r"no probabilities.*binary_logits.*got -0\.5 at"):
        predict_mc(Sequential([Dropout(0.0)]), [[0.5, -0.5]], 2, outputs="binary_probabilities")


def test_a_function_of_samples_and_a_stream():
    def f(x, stream):
        return cydropout.dropout(x, 0.5, rng=stream)

    found = predict_mc(f, X, 6, rng=0, batch_size=10)
    layer = predict_mc(Sequential([Dropout(0.5)]), X, 6, rng=0, batch_size=10)
    np.testing.assert_array_equal(found.mean, layer.mean)
    assert (found.std > 0).mean() > 0.9
    np.testing.assert_array_equal(predict_pass(f, X, found.keys[2], batch_size=10),
                                  predict_pass(Dropout(0.5), X, found.keys[2], batch_size=10))
    with pytest.raises(TypeError, match=r"or a Trainer, or a function f\(x, stream\)"):
        predict_mc(3, X)


class NumpyNoise(Layer):
    def forward(self, x, ctx):
        keep = np.random.default_rng(0).random(x.shape) < 0.5 if ctx.training else 1
        return x * keep, lambda dy: dy * keep


@pytest.mark.parametrize(("model", "words"), [
    (lambda: Sequential([Dense(3), NumpyNoise()]),
     r"if 1.numpynoise \(NumpyNoise\) has noise.*ctx.draw"),
    (lambda: Sequential([Through(NumpyNoise()), Dense(3)]),
     r"0.through \(Through\) or 0.through \(NumpyNoise\) has"),
    (lambda: NumpyNoise(), r"if numpynoise \(NumpyNoise\) has noise"),
    (lambda: lambda x, stream: NumpyNoise().forward(x, Context(True))[0], "function from its str"),
])
def test_noise_that_is_not_drawn_from_the_context_is_said(model, words):
    model = model()
    if isinstance(model, Layer):
        model.build((8,), 0)
    with pytest.warns(UserWarning, match=words):
        assert not predict_mc(model, X, 3).std.any()


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "mean_squared_error"])
@pytest.mark.parametrize("x", [None, X[:, 0]])
def test_what_was_found_has_a_short_repr_and_a_plot(loss, x, tmp_path):
    pytest.importorskip("matplotlib")
    found = predict_mc(trained(loss), X, 5, rng=0)
    assert repr(found).startswith("MonteCarlo(samples=5, shape=(23, 2), mean_std=0.")
    assert len(repr(found)) < 120 and ("entropy" in repr(found)) == (found.entropy is not None)
    found.plot(tmp_path / "mc.png", x, title="spread")
    assert (tmp_path / "mc.png").stat().st_size > 5000
    with pytest.raises(ValueError, match=r"one number for each of 23 samples, not \(3,\)"):
        found.plot(tmp_path / "mc.png", [1, 2, 3])
