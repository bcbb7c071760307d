"""Models as ONNX: the same numbers in onnxruntime, and what has no counterpart is named."""

import numpy as np
import pytest
from layer_cases import ROWS, built, draw, training

from cydropout.layers import (
    BatchNorm,
    Context,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianDropout,
    Layer,
    MaxPool2D,
    ReLU,
    Sequential,
    TransformerBlock,
)
from cydropout.onnx import to_onnx

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

#: The layers that ONNX cannot say, and a word of the reason.
REFUSED = {
    "DropConnect-gaussian-relu": "inference='gaussian'",
    "DropConnect-gaussian-gelu": "inference='gaussian'",
    "DropConnect-gaussian-samples": "inference='gaussian'",
    "SimpleRNN-relu-dropout": "zoneout", "LSTM-dropout": "zoneout", "GRU-dropout": "zoneout",
}


def session(model):
    """Return onnxruntime with a model, without its advice."""
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    return runtime.InferenceSession(model.SerializeToString(), options,
                                    providers=["CPUExecutionProvider"])


def run(model, x, **more):
    """Return what onnxruntime makes of a model."""
    return session(model).run(None, {"x": x, **more})[0]


def input_of(row, layer):
    if layer.takes_integers:
        return np.arange(np.prod(row.shape)).reshape(row.shape) % 3
    return draw(row.shape, 7, "float32")


@pytest.mark.parametrize("name", ROWS)
def test_every_layer_is_exported_or_refused_by_name(name):
    row = ROWS[name]
    layer = built(row, "float32")
    if name in REFUSED:
        with pytest.raises(TypeError, match=f"cannot be exported to ONNX: .*{REFUSED[name]}"):
            to_onnx(layer, input_shape=row.shape[1:])
        return
    x = input_of(row, layer)
    made = to_onnx(layer, input_shape=row.shape[1:])
    if getattr(layer, "dtype", x.dtype) == np.float64:
        x = x.astype(np.float64)
    expected, _ = layer.forward(x, Context())
    found = run(made, x)
    assert found.dtype == expected.dtype and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)
    more = np.concatenate([x, x])
    np.testing.assert_allclose(run(made, more)[len(x):], found, rtol=2e-5, atol=2e-5)


def test_what_is_refused_is_a_layer():
    assert REFUSED.keys() <= ROWS.keys()


def images():
    model = Sequential([
        Conv2D(4, 3, padding="same"), BatchNorm(), ReLU(), MaxPool2D(2), Flatten(),
        Dense(8, activation="gelu"), Dropout(0.5), Dense(3),
    ])
    model.build((2, 6, 6), 0)
    x = draw((5, 2, 6, 6), 1, "float32")
    model.forward(x, training())[1](np.ones((5, 3), "f4"))  # moves the averages
    return model, x


def words():
    model = Sequential([Embedding(9, 8), TransformerBlock(8, 2, 16, rate=0.2, causal=True),
                        Dense(9)])
    model.build((5,), 0)
    return model, np.arange(15).reshape(3, 5) % 9


@pytest.mark.parametrize("make", [images, words])
def test_a_model_in_a_file(make, tmp_path):
    model, x = make()
    to_onnx(model, tmp_path / "model.onnx")
    loaded = onnx.load(tmp_path / "model.onnx")
    np.testing.assert_allclose(run(loaded, x), model(x), rtol=2e-5, atol=2e-5)
    assert "Dropout" not in {node.op_type for node in loaded.graph.node}


@pytest.mark.parametrize("make", [images, words])
def test_passes_of_monte_carlo_differ_around_the_mean(make):
    model, x = make()
    made = to_onnx(model, monte_carlo=True)
    assert "Dropout" in {node.op_type for node in made.graph.node}
    plain = run(made, x, training_mode=np.array(False))
    np.testing.assert_allclose(plain, model(x), rtol=2e-5, atol=2e-5)
    drawing, fed = session(made), {"x": x, "training_mode": np.array(True)}
    passes = np.array([drawing.run(None, fed)[0] for _ in range(400)], np.float64)
    mean, spread = passes.mean(axis=0), passes.std(axis=0)
    assert (spread > 1e-3).all()
    if make is images:  # linear behind its dropout
        assert (abs(mean - model(x)) < 6 * spread / 400**0.5).all()


def test_the_rate_and_the_scale_of_the_node_are_those_of_the_layer():
    model = Sequential([Dropout(0.25)])
    model.build((20_000,), 0)
    drawing = session(to_onnx(model, monte_carlo=True))
    y, mask = drawing.run(None, {"x": np.ones((1, 20_000), "f4"), "training_mode": np.array(True)})
    np.testing.assert_array_equal(mask, y > 0)
    assert set(np.unique(y.round(4))) == {0.0, np.float32(1.3333)}
    assert abs((y == 0).mean() - 0.25) < 0.02


@pytest.mark.parametrize("noise", [GaussianDropout(0.5), Dropout(0.5, scaling="classic"),
                                   Dropout(0.5, shared_axes=(0,)), Dropout(1.0)], ids=repr)
def test_other_noise_is_refused_for_monte_carlo_alone(noise):
    model = Sequential([Dense(3), noise])
    model.build((4,), 0)
    with pytest.raises(TypeError, match=f"{noise.path}.*Dropout.*without monte_carlo"):
        to_onnx(model, monte_carlo=True)
    to_onnx(model)


def test_a_layer_of_your_own_and_one_that_is_not_built_are_named():
    class Half(Layer):
        def forward(self, x, ctx):
            return 0.5 * x, lambda dy: 0.5 * dy

    with pytest.raises(TypeError, match="half cannot be exported to ONNX: .*Half"):
        to_onnx(Half(), input_shape=(3,))
    with pytest.raises(ValueError, match="not built"):
        to_onnx(Sequential([Dense(3)]))
