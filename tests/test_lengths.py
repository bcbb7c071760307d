"""Sequences of different lengths through every layer: padding moves nothing that counts."""

from dataclasses import replace

import numpy as np
import pytest
from layer_cases import ROWS, Row, built, draw, training
from test_layers import differences

from cydropout import MaskStream, layers
from cydropout.layers import (
    GRU,
    LSTM,
    BatchNorm,
    Context,
    Dense,
    Embedding,
    Flatten,
    GlobalAveragePool1D,
    GlobalMaxPool1D,
    Layer,
    LayerNorm,
    MultiHeadAttention,
    PositionalEmbedding,
    Residual,
    Sequential,
    SimpleRNN,
    TransformerBlock,
    WeightDropout,
)

#: Layers that would mix positions with padding, or whose channels lie along the axis of time.
REFUSED = {
    "AveragePool2D", "AveragePool2D-last", "BatchNorm", "Conv2D", "Conv2D-groups", "Conv2D-relu",
    "Conv2D-strides", "Conv2D-weights", "Flatten", "Flatten-checked", "GlobalAveragePool2D",
    "MaxPool2D", "MaxPool2D-last", "Sequential",
}
SEQUENCES = {name: row for name, row in ROWS.items() if len(row.shape) > 2}
MIXING = {layers.PatchDropout, layers.SoftmaxDropout}


def refused(name):
    row = ROWS[name]
    try:
        row.make().keeps_lengths(row.shape[1:])
    except ValueError:
        return True
    return False


TAKEN = [name for name in SEQUENCES if not refused(name)]


def ends_of(count, time):
    """Lengths of which the first is whole and another is 1."""
    return np.array([time, 1, *np.arange(count) % time + 1])[:count]


def padded(shape, seed=1):
    """Sequences, and which of their positions are no padding, and the lengths."""
    lengths = ends_of(*shape[:2])
    return draw(shape, seed), np.arange(shape[1]) < lengths[:, None], lengths


def outside(real, array):
    return ~real.reshape(real.shape + (1,) * (array.ndim - 2)) & np.ones(array.shape, bool)


def test_every_layer_says_what_it_does_with_lengths():
    found = {name for name in SEQUENCES if refused(name)}
    mixing = {name for name in found if type(ROWS[name].make()) in MIXING}
    assert found - mixing == REFUSED
    assert {type(ROWS[name].make()) for name in mixing} == MIXING
    kinds = [kind for kind in vars(layers).values()
             if isinstance(kind, type) and issubclass(kind, Layer)]
    assert len(kinds) > 50
    assert {kind.__name__ for kind in kinds if kind.with_lengths is None} == {
        "Layer", "AveragePool2D", "Conv2D", "Flatten", "GlobalAveragePool2D", "MaxPool2D",
        "PatchDropout", "SoftmaxDropout"}


@pytest.mark.parametrize("name", TAKEN)
def test_a_padded_sequence_gives_what_it_gives_alone(name):
    row = ROWS[name]
    layer, (x, _, lengths) = built(row), padded(row.shape)
    y, _ = layer.forward(x, Context(lengths=lengths))
    keeps = layer.keeps_lengths(row.shape[1:])
    for place, end in enumerate(lengths):
        alone, _ = layer.forward(x[place : place + 1, :end], Context())
        found = y[place, :end] if keeps else y[place]
        np.testing.assert_allclose(found, alone[0], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", TAKEN)
def test_what_stands_in_padding_moves_no_bit(name, train):
    row, results = ROWS[name], []
    x, real, lengths = padded(row.shape)
    for spoilt in (x, np.where(outside(real, x), 1e3, x), np.where(outside(real, x), -7.0, x)):
        layer = built(row)
        ctx = replace(training() if train else Context(), lengths=lengths)
        draws = ctx.stream.next_draw if train else None
        y, backward = layer.forward(spoilt, ctx)
        if train:
            plain = training()
            layer.forward(x, plain)
            assert ctx.stream.next_draw - draws == plain.stream.next_draw - draws
        dy = draw(y.shape, 2)
        if layer.keeps_lengths(row.shape[1:]):
            y = np.where(outside(real, y), 0, y)
            dy = np.where(outside(real, dy), 0, dy)
        dx = backward(dy)
        assert not dx[outside(real, dx)].any()
        results.append([y, dx, *(parameter.grad for parameter in layer.parameters())])
    for other in results[1:]:
        for found, expected in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(found, expected)


HEEDING = {
    "SimpleRNN": lambda: SimpleRNN(4, activation="relu", dropout=0.3, recurrent_dropout=0.3),
    "LSTM": lambda: LSTM(3, zoneout=0.3, zoneout_cell=0.2, recurrent_dropout=0.3),
    "LSTM-last": lambda: LSTM(3, zoneout=0.3, return_sequences=False),
    "GRU": lambda: GRU(3, zoneout=0.3, recurrent_dropout=0.4, recurrent_mode="semeniuta"),
    "GRU-last": lambda: GRU(3, dropout=0.4, return_sequences=False),
    "GRU-weights": lambda: WeightDropout(GRU(3), 0.4, ["recurrent_weight"]),
    "MultiHeadAttention": lambda: MultiHeadAttention(2, rate=0.3, head_rate=0.2),
    "MultiHeadAttention-causal": lambda: MultiHeadAttention(2, causal=True),
    "TransformerBlock": lambda: TransformerBlock(4, 2, 5, rate=0.2, dtype="float64"),
    "BatchNorm": lambda: BatchNorm(axis=-1),
    "GlobalAveragePool1D": GlobalAveragePool1D,
    "GlobalMaxPool1D": GlobalMaxPool1D,
    "Sequential": lambda: Sequential(
        [Dense(4, activation="tanh"), BatchNorm(axis=2), layers.ReLU(), GRU(3), LayerNorm(),
         GlobalMaxPool1D(), Flatten(), BatchNorm(), Dense(2)], dtype="float64"),
}


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", HEEDING)
def test_gradients_with_lengths(name, train):
    shape = (3, 4, 4)
    x, real, lengths = padded(shape)
    layer = built(Row(HEEDING[name], shape))

    def run():
        return layer.forward(x, replace(training() if train else Context(), lengths=lengths))

    y, backward = run()
    dy = draw(y.shape, 2)  # what is returned behind the end has a gradient too
    dx = backward(dy)
    if name != "TransformerBlock":  # a shortcut leads there
        assert not dx[outside(real, dx)].any()
    np.testing.assert_allclose(
        dx, differences(lambda: float((run()[0] * dy).sum()), x), rtol=1e-6, atol=1e-8)
    for parameter in layer.parameters():
        if parameter.trainable:
            expected = differences(lambda: float((run()[0] * dy).sum()), parameter.value)
            np.testing.assert_allclose(parameter.grad, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("spoilt", [np.nan, np.inf])
@pytest.mark.parametrize("name", [name for name in HEEDING if name not in (
    "Sequential", "TransformerBlock")])
def test_padding_that_is_not_finite_goes_nowhere(name, spoilt):
    x, real, lengths = padded((3, 4, 4))
    layer = built(Row(HEEDING[name], x.shape))
    y, backward = layer.forward(np.where(outside(real, x), spoilt, x), Context(lengths=lengths))
    expected, other = layer.forward(x, Context(lengths=lengths))
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(backward(np.ones_like(y)), other(np.ones_like(y)))
    assert all(np.isfinite(parameter.grad).all() for parameter in layer.parameters())


@pytest.mark.parametrize("kind", [SimpleRNN, LSTM, GRU])
def test_a_state_stays_as_it_is_at_the_end(kind):
    layer = built(Row(lambda: kind(3, zoneout=0.3), (3, 5, 2)))
    x, _, lengths = padded((3, 5, 2))
    ctx = replace(training(), lengths=lengths, states={})
    y, _ = layer.forward(x, ctx)
    whole, _ = layer.forward(x, training())
    for place, end in enumerate(lengths):
        np.testing.assert_array_equal(y[place, :end], whole[place, :end])
        np.testing.assert_array_equal(
            y[place, end:], np.broadcast_to(y[place, end - 1], (5 - end, 3)))
    np.testing.assert_array_equal(ctx.states[layer][0], y[:, -1])
    last = kind.from_config({**layer.get_config(), "return_sequences": False})
    last.build((5, 2), 0, "float64")
    last.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(
        last.forward(x, replace(training(), lengths=lengths))[0], y[:, -1])


def test_a_state_without_bound_behind_the_end_spoils_no_gradient():
    layer = SimpleRNN(1, activation="relu", return_sequences=False)
    layer.build((2000, 1), 0)
    layer.parameters()[1].value[...] = 2
    y, backward = layer.forward(np.ones((1, 2000, 1), "f4"), Context(lengths=[2]))
    backward(np.ones_like(y))
    assert all(np.isfinite(parameter.grad).all() for parameter in layer.parameters())


def test_statistics_of_a_batch_are_those_of_what_is_no_padding():
    layer, other = (built(Row(lambda: BatchNorm(axis=-1), (4, 6, 3))) for _ in range(2))
    x, real, lengths = padded((4, 6, 3))
    y, backward = layer.forward(x, replace(training(), lengths=lengths))
    expected, back = other.forward(x[real], training())
    np.testing.assert_array_equal(y[real], expected)
    assert not y[~real].any()
    backward(np.ones_like(y)), back(np.ones_like(expected))
    for one, two in zip(layer.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(one.value, two.value)
        np.testing.assert_array_equal(one.grad, two.grad)


@pytest.mark.parametrize("given", [(2, 1, 5, 5), (5, 5), (5,)])
def test_an_attention_mask_and_lengths_both_hold(given):
    layer = built(Row(lambda: MultiHeadAttention(2), (2, 5, 4)))
    x, real, lengths = padded((2, 5, 4))
    seen = np.random.default_rng(0).random(given) < 0.6
    y, _ = layer.forward(x, Context(lengths=lengths), attention_mask=seen)
    both = np.logical_and(seen, real[:, None, None, :])
    expected, _ = layer.forward(np.where(real[..., None], x, 0), Context(), attention_mask=both)
    np.testing.assert_array_equal(y, expected)
    with pytest.raises(TypeError, match="attention_mask must be an array of bool"):
        layer.forward(x, Context(lengths=lengths), attention_mask=seen.astype(float))


# ---------------------------------------------------------------- models, and who is refused

MODELS = {
    "recurrent": lambda: [Embedding(9, 6, padding_idx=0), LSTM(5), GRU(4, return_sequences=False)],
    "transformer": lambda: [Embedding(9, 6), PositionalEmbedding(7), TransformerBlock(6, 2, 8),
                            LayerNorm(), GlobalAveragePool1D()],
    "nested": lambda: [Embedding(9, 6), Residual(LayerNorm(), Sequential([GRU(6)])),
                       GlobalMaxPool1D(), Flatten()],
}


@pytest.mark.parametrize("name", MODELS)
def test_whole_models(name):
    model = Sequential([*MODELS[name](), BatchNorm(), Dense(2)])
    model.build((7,), 0)
    tokens, (_, real, lengths) = np.random.default_rng(0).integers(1, 9, (4, 7)), padded((4, 7))
    y = model(tokens, lengths)
    for place, end in enumerate(lengths):
        alone = model(tokens[place : place + 1, :end])
        np.testing.assert_allclose(y[place], alone[0], rtol=2e-5, atol=1e-6)
    for other in (0, 5, -1, 1000):  # the last two are no tokens
        np.testing.assert_array_equal(model(np.where(real, tokens, other), lengths), y)
    assert not np.array_equal(model(tokens), y)
    with pytest.raises(ValueError, match="token -1 came"):
        model(np.where(real, tokens, -1))


class Own(Layer):
    def forward(self, x, ctx):
        return x, lambda dy: dy


class Positions(Own):
    with_lengths = "keep"


class Unknown(Own):
    with_lengths = "keeps"


class Spread(Dense):
    def forward(self, x, ctx):
        return super().forward(x - x.mean(axis=1, keepdims=True), ctx)


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        ([Flatten()], "2.flatten would mix sequences with their padding"),
        ([Dense(4), Residual(Own())], "0.own would mix .* with_lengths = 'keep'"),
        ([Spread(4)], "2.spread would mix"),
        ([BatchNorm()], "2.batchnorm .* axis=-1"),
        ([Unknown()], "with_lengths 'keeps' is unknown.* 'keep'"),
        ([layers.PatchDropout(0.5)], "2.patchdropout would mix"),
        ([WeightDropout(Spread(4), 0.5)], "spread would mix"),
    ],
)
def test_what_would_mix_in_padding_is_refused_by_name(inside, words):
    model = Sequential([Embedding(9, 6), Positions(), *inside])
    model.build((7,), 0)
    tokens, stream = np.ones((2, 7), int), MaskStream(0)
    with pytest.raises(ValueError, match=words):
        model.forward(tokens, Context(True, stream, lengths=[7, 2]))
    with pytest.raises(ValueError, match=words):
        model.keeps_lengths((7,))
    assert stream.next_draw == 0
    model.forward(tokens, Context(True, stream))


def test_behind_the_axis_of_time_all_are_taken():
    model = Sequential([Embedding(9, 6), GlobalMaxPool1D(), Own(), Flatten(), Spread(6)])
    model.build((7,), 0)
    assert model(np.ones((2, 7), int), [7, 2]).shape == (2, 6)
    with pytest.raises(ValueError, match=r"samples \(time, features\).* 0.dense .*\(7,\)"):
        Sequential([Dense(3)]).keeps_lengths((7,))


WRONG = {
    "short": ([3, 2], ValueError, "each of 3 samples, not 2"),
    "zero": ([3, 0, 1], ValueError, "at least 1.* got 0 at position 1"),
    "negative": ([3, 2, -1], ValueError, "got -1 at position 2"),
    "beyond": ([3, 6, 1], ValueError, "at most the 5 positions.* got 6 at position 1"),
    "floats": ([3.0, 2.0, 1.0], TypeError, "integers, not of dtype float64"),
    "bools": (np.ones((3, 5), bool), TypeError, r"dtype bool; of a mask take mask.sum\(axis=1\)"),
    "masked": (np.ma.masked_array([3, 2, 1]), TypeError, "masked"),
    "words": (["a", "b", "c"], TypeError, "integers"),
    "one": (3, ValueError, r"a number for each sequence, not shape \(\)"),
    "two axes": ([[3], [2], [1]], ValueError, r"shape \(3, 1\)"),
    "huge": (np.array([3, 2, 2**64 - 1], "u8"), ValueError, "got 18446744073709551615"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("make", [
    lambda: Sequential([Dense(2)]), lambda: GRU(2), lambda: MultiHeadAttention(1),
    GlobalMaxPool1D, lambda: BatchNorm(axis=-1)])
def test_wrong_lengths_are_named(make, wrong):
    layer, (lengths, error, words) = make(), WRONG[wrong]
    layer.build((5, 4), 0)
    with pytest.raises(error, match=f"lengths.*{words}"):
        layer.forward(np.ones((3, 5, 4), "f4"), Context(lengths=lengths))


# ---------------------------------------------------------------- PyTorch


@pytest.mark.parametrize("kind", ["tanh", "lstm", "gru"])
def test_recurrent_layers_are_those_of_packed_sequences(kind):
    torch = pytest.importorskip("torch")
    rnn = torch.nn.utils.rnn
    make = {"tanh": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind]
    torch.manual_seed(0)
    peer = make(3, 5, batch_first=True)
    layer = {"tanh": SimpleRNN, "lstm": LSTM, "gru": GRU}[kind](5)
    layer.build((6, 3), 0)
    layer.load_torch_state({k: v.detach().numpy() for k, v in peer.state_dict().items()})
    x, real, lengths = padded((4, 6, 3))
    x, dy = x.astype("f4"), np.where(real[..., None], draw((4, 6, 5), 2), 0).astype("f4")
    inputs = torch.tensor(x, requires_grad=True)
    packed = rnn.pack_padded_sequence(
        inputs, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    expected, last = peer(packed)
    expected, _ = rnn.pad_packed_sequence(expected, batch_first=True, total_length=6)
    expected.backward(torch.tensor(dy))
    ctx = Context(lengths=lengths, states={})
    y, backward = layer.forward(x, ctx)
    np.testing.assert_allclose(y[real], expected.detach().numpy()[real], atol=1e-6)
    for found, theirs in zip(ctx.states[layer], last if kind == "lstm" else [last], strict=True):
        np.testing.assert_allclose(found, theirs[0].detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(backward(dy), inputs.grad.numpy(), atol=1e-5)
    np.testing.assert_allclose(
        layer.parameters()[1].grad, peer.weight_hh_l0.grad.numpy().T, atol=1e-5)


@pytest.mark.parametrize("kind", ["attention", "block"])
def test_attention_is_that_with_a_key_padding_mask(kind):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    x, real, lengths = padded((3, 5, 8))
    inputs, hidden = torch.tensor(x, requires_grad=True), torch.tensor(~real)
    if kind == "attention":
        peer = torch.nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
        expected = peer(inputs, inputs, inputs, key_padding_mask=hidden, need_weights=False)[0]
        layer = MultiHeadAttention(2)
    else:
        peer = torch.nn.TransformerEncoderLayer(
            8, 2, 16, 0.0, "gelu", batch_first=True, norm_first=True, dtype=torch.float64)
        expected = peer(inputs, src_key_padding_mask=hidden)
        layer = TransformerBlock(8, 2, 16, dtype="float64")
    layer.build((5, 8), 0, "float64")
    layer.load_torch_state({k: v.detach().numpy() for k, v in peer.state_dict().items()})
    dy = np.where(real[..., None], draw(x.shape, 2), 0)
    expected.backward(torch.tensor(dy))
    y, backward = layer.forward(x, Context(lengths=lengths))
    np.testing.assert_allclose(y[real], expected.detach().numpy()[real], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(backward(dy), inputs.grad.numpy(), rtol=1e-7, atol=1e-9)
