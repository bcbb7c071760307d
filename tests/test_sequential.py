"""Sequential: order, names, fusion, summary, state."""

from __future__ import annotations

import numpy as np
import pytest

from cydropout import MaskStream
from cydropout.layers import (
    GELU,
    SELU,
    Context,
    Dense,
    Dropout,
    Flatten,
    Layer,
    ReLU,
    Sequential,
    Sigmoid,
    Softplus,
    Tanh,
)


def training() -> Context:
    return Context(training=True, stream=MaskStream(5))


def run(
    layers: list[Layer], x: np.ndarray, ctx: Context, *, fuse: bool
) -> tuple[list[np.ndarray], Sequential]:
    """Return output and all gradients of one pass."""
    model = Sequential(layers, dtype=x.dtype, fuse=fuse)
    model.build(x.shape[1:], rng=1)
    for parameter in model.parameters():
        parameter.value += np.linspace(-0.2, 0.2, parameter.value.size, dtype=x.dtype).reshape(
            parameter.value.shape
        )
    y, backward = model.forward(x, ctx)
    dy = np.random.default_rng(2).standard_normal(y.shape).astype(x.dtype)
    return [y, backward(dy), *(parameter.grad for parameter in model.parameters())], model


ACTIVATIONS = [ReLU, Sigmoid, Tanh, Softplus, SELU, GELU, lambda: Softplus(5.0), lambda: None]
DROPOUTS = {
    "none": lambda: None,
    "half": lambda: Dropout(0.5),
    "tenth": lambda: Dropout(0.1),
    "zero": lambda: Dropout(0.0),
    "one": lambda: Dropout(1.0),
    "classic": lambda: Dropout(0.3, scaling="classic"),
    "sqrt": lambda: Dropout(0.3, scaling="sqrt"),
    "seed": lambda: Dropout(0.3, storage="seed"),
    "shared": lambda: Dropout(0.3, shared_axes=(0,)),
    "rates": lambda: Dropout(np.linspace(0, 1, 37)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("dropout", DROPOUTS)
@pytest.mark.parametrize("activation", range(len(ACTIVATIONS)))
def test_fusion_changes_no_bit(activation: int, dropout: str, train: bool, dtype: str) -> None:
    def layers() -> list[Layer]:
        parts = [Dense(37), ACTIVATIONS[activation](), DROPOUTS[dropout](), Dense(3)]
        return [part for part in parts if part is not None]

    x = np.random.default_rng(0).standard_normal((21, 10)).astype(dtype)
    streams = [training() if train else Context() for _ in range(2)]
    fused, model = run(layers(), x, streams[0], fuse=True)
    plain, _ = run(layers(), x, streams[1], fuse=False)
    assert len(model.steps) == 2
    for one, other in zip(fused, plain, strict=True):
        np.testing.assert_array_equal(one, other)
    if train:
        assert streams[0].stream.next_draw == streams[1].stream.next_draw


@pytest.mark.parametrize("num_threads", [1, 2, 3])
def test_fusion_changes_no_bit_in_large_passes(num_threads: int) -> None:
    def layers() -> list[Layer]:
        return [Dense(1031), GELU(), Dropout(0.1), Dense(2)]

    x = np.random.default_rng(0).standard_normal((300, 8)).astype("float32")
    results = [
        run(layers(), x, Context(True, MaskStream(5), num_threads), fuse=fuse)[0]
        for fuse in (True, False)
    ]
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_settings_of_dense_are_the_layers_behind_it() -> None:
    x = np.random.default_rng(0).standard_normal((8, 10)).astype("float32")
    short, _ = run([Dense(7, activation="relu"), Dropout(0.5)], x, training(), fuse=True)
    long, _ = run([Dense(7), ReLU(), Dropout(0.5)], x, training(), fuse=False)
    for one, other in zip(short, long, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_fuses() -> None:
    def counts(*layers: Layer) -> list[int]:
        return [len(step.layers) for step in Sequential(layers).steps]

    assert counts(Dense(3), ReLU(), Dropout(0.5), Dense(2)) == [3, 1]
    assert counts(Dense(3), Dropout(0.5), ReLU()) == [2, 1]
    assert counts(Dense(3), ReLU(), Tanh()) == [2, 1]
    assert counts(Dense(3, activation="relu"), Tanh(), Dropout(0.5)) == [1, 1, 1]
    assert counts(Dense(3, activation="relu"), Dropout(0.5), Dropout(0.5)) == [2, 1]
    assert counts(Flatten(), Dropout(0.5), Dense(2)) == [1, 1, 1]


def test_rate_may_change_between_passes() -> None:
    dropout = Dropout(0.5)
    model = Sequential([Dense(50), ReLU(), dropout])
    model.build((4,), rng=0)
    x = np.ones((2, 4), "float32")
    dropout.rate = 1.0
    assert not model.forward(x, training())[0].any()
    dropout.rate = 0.0
    np.testing.assert_array_equal(model.forward(x, training())[0], model(x))


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("rates", [(0.5, 0.0), (0.0, 0.5), (0.3, 0.5), (np.linspace(0, 1, 50), 0)])
@pytest.mark.parametrize("activation", [ReLU, lambda: Dropout(0.2), Tanh])
def test_rates_that_change_after_planning_are_those_of_the_pass(activation, rates, train) -> None:
    def layers() -> list[Layer]:
        return [Dense(50), Dropout(0.1), activation(), Dropout(0.5), Dense(3)]

    results = []
    for fuse in (True, False):
        model = Sequential(layers(), fuse=fuse)
        model.build((4,), rng=0)
        model.layers[1].rate, model.layers[3].rate = rates
        ctx = training() if train else Context()
        x = np.random.default_rng(0).standard_normal((6, 4)).astype("float32")
        y, backward = model.forward(x, Context(ctx.training, ctx.stream, input_gradient=fuse))
        backward(np.ones_like(y))
        results.append([y, *(p.grad for p in model.parameters())])
        results[-1].append(np.array(ctx.stream.next_draw if train else 0))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_mask_supplied_at_rate_0_is_used() -> None:
    model = Sequential([Dense(5), ReLU(), Dropout(0.0)])
    model.build((4,), rng=0)
    keep = np.array([True, False, True, False, True])
    masks = {model.layers[2]: np.broadcast_to(keep, (2, 5))}
    x = np.ones((2, 4), "float32")
    y, _ = model.forward(x, Context(True, MaskStream(0), masks=masks))
    np.testing.assert_array_equal(y, model(x) * keep)


def test_gradient_is_not_made_for_nobody() -> None:
    x = np.random.default_rng(0).standard_normal((5, 2, 4)).astype("float32")

    def layers() -> list[Layer]:
        inner = Sequential([Flatten(), Dropout(0.2), Dense(6), Tanh(), Dense(3)])
        return [inner, ReLU(), Dense(2)]

    whole, _ = run(layers(), x, training(), fuse=True)
    ctx = Context(training=True, stream=MaskStream(5), input_gradient=False)
    short, _ = run(layers(), x, ctx, fuse=True)
    assert short[1].size == 0
    for one, other in zip(whole[2:], short[2:], strict=True):
        np.testing.assert_array_equal(one, other)


def test_names() -> None:
    inner = Sequential([Dense(4, name="hidden"), ReLU()])
    inner.build((3,), rng=0)
    model = Sequential([Dropout(0.5), inner, Dense(2, bias=False)])
    model.build((3,), rng=0)
    expected = ["1.sequential.0.hidden.weight", "1.sequential.0.hidden.bias", "2.dense.weight"]
    assert [parameter.name for parameter in model.parameters()] == expected
    assert list(model.state_dict()) == expected
    assert list(inner.state_dict()) == ["0.hidden.weight", "0.hidden.bias"]
    with pytest.raises(ValueError, match=r"2\.dense has 4 input features, got 3"):
        model.layers[2].forward(np.ones((1, 3), "float32"), Context())


@pytest.mark.parametrize(
    ("layers", "error", "word"),
    [
        ([Dense(3, name="same"), Dense(2, name="same")], ValueError, "same"),
        ([Dense(3), "relu"], TypeError, "relu"),
        ([Dropout(0.5)] * 2, ValueError, "twice"),
    ],
)
def test_wrong_layers(layers: list, error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        Sequential(layers)


def test_wrong_dtype() -> None:
    with pytest.raises(ValueError, match="float16"):
        Sequential([Dense(2)], dtype="float16")


def test_input_is_converted() -> None:
    model = Sequential([Dense(2)])
    model.build((3,), rng=0)
    assert model(np.ones((1, 3))).dtype == "float32"
    with pytest.raises(TypeError, match="int64"):
        model(np.ones((1, 3), "int64"))


def test_build() -> None:
    states = []
    for rng in (7, np.random.SeedSequence(7), np.random.default_rng(7)):
        model = Sequential([Dense(4), Dense(2)])
        model.build((3,), rng=rng)
        states.append(model.state_dict()["0.dense.weight"])
    assert np.array_equal(states[0], states[1]) and np.array_equal(states[0], states[2])
    stream = MaskStream(7)
    Sequential([Dense(4)]).build((3,), rng=stream)
    assert stream.next_draw == MaskStream(7).next_draw + 1
    model.build((3,), rng=8)
    assert np.array_equal(model.state_dict()["0.dense.weight"], states[0])
    with pytest.raises(ValueError, match=r"3 input features, got 9"):
        model.build((9,), rng=7)


def test_summary(capsys: pytest.CaptureFixture[str]) -> None:
    model = Sequential([Flatten(28, 28), Dense(512), ReLU(), Dropout(0.5), Dense(10)])
    with pytest.raises(ValueError, match="input_shape"):
        model.summary()
    table = model.summary((28, 28))
    assert capsys.readouterr().out == table + "\n"
    assert not model.parameters()
    lines = [line.split() for line in table.splitlines()]
    assert ["0.flatten", "(n,", "784)", "0"] in lines
    assert ["1.dense", "(n,", "512)", "401,920"] in lines
    assert ["total", "407,050"] in lines
    model.build((28, 28), rng=0)
    assert model.summary() == table


def test_empty_model() -> None:
    model = Sequential([])
    x = np.ones((2, 3), "float32")
    y, backward = model.forward(x, training())
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(backward(x), x)
    assert model.output_shape((3,)) == (3,)


def test_loading_changes_all_or_nothing() -> None:
    model = Sequential([Dense(4), Dense(2)])
    model.build((3,), rng=0)
    before = model.state_dict()
    state = {name: value + 1 for name, value in before.items()}
    state["1.dense.bias"] = state["1.dense.bias"].astype("float64")
    with pytest.raises(ValueError, match="float64"):
        model.load_state_dict(state)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    with pytest.raises(ValueError, match="build"):
        Sequential([Dense(4), Dense(2)]).load_state_dict(before)


def test_a_model_without_layers_checks_its_gradient():
    y, backward = Sequential([]).forward(np.ones((2, 3), "f4"), Context())
    assert y.shape == (2, 3)
    np.testing.assert_array_equal(backward(y), y)
    for wrong in (np.ones((3, 2)), np.ones(3), 1.0):
        with pytest.raises(ValueError, match=r"gradient has shape .*, the output \(2, 3\)"):
            backward(wrong)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: Sequential([Dense(2)]).build((6.5,), 0), "input_shape"),
    (lambda: Sequential([Dense(2)]).build("6", 0), "input_shape"),
    (lambda: Sequential([Dense(2)]).build((True,), 0), "input_shape"),
    (lambda: Sequential(None), "layers must be a list of layers, not None"),
    (lambda: Sequential("relu"), "layers must be a list of layers, not 'relu'"),
    (lambda: Dense(2, name=3), "name of a layer must be a string, not 3"),
    (lambda: Dropout(0.5).forward(np.ones((2, 3)), Context(), True),
     "mask of dropout must be a mask or an array, not True"),
], ids=range(7))
def test_what_is_taken_for_something_else_is_refused_by_name(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call()
