"""Attention of many heads, residual blocks and positions: against plain NumPy and PyTorch."""

import json

import numpy as np
import pytest
import reference_attention
import reference_transformer as reference

from cydropout import MaskStream, Trainer, predict_mc
from cydropout.layers import (
    Context,
    Dense,
    Dropout,
    Embedding,
    LayerNorm,
    MultiHeadAttention,
    PositionalEmbedding,
    Residual,
    Sequential,
    Tanh,
    TransformerBlock,
    WeightDropout,
)
from cydropout.training.callbacks import RateSchedule
from cydropout.training.schedules import Constant


def built(layer, shape, dtype="float32"):
    """Return the layer, with biases that are not 0."""
    layer.build(shape, 3, dtype)
    for parameter in layer.parameters():
        parameter.value += np.random.default_rng(4).uniform(-0.1, 0.1, parameter.value.shape)
    return layer


def draw(shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def training(masks=None):
    return Context(training=True, stream=MaskStream(5), masks=masks)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shape", [(2, 5, 6), (3, 1, 4), (1, 33, 8), (0, 3, 4), (2, 0, 4)])
def test_attention_head_by_head(build, shape, causal):
    layer = MultiHeadAttention(2, causal=causal, rate=0.3, head_rate=0.4)
    built(layer, shape[1:], "float64")
    x, masks = draw(shape, dtype="float64"), {}
    parameters = {name: p.value for name, p in layer.named_parameters()}
    allowed = reference_attention.seen((shape[1], shape[1]), None, causal)
    y, _ = layer.forward(x, Context())
    want = reference.attention(x, parameters, 2, allowed)
    np.testing.assert_allclose(y, want, rtol=1e-12, atol=1e-13)
    y, backward = layer.forward(x, training(masks))
    mask, heads = masks[layer.dropout], masks[layer.drop_head]
    if x.size:
        kept = heads.keep[:, 0, :, 0]
        want = reference.attention(x, parameters, 2, allowed, mask.keep, mask.scale, kept)
        np.testing.assert_allclose(y, want, rtol=1e-12, atol=1e-13)
    assert y.shape == shape and backward(y).shape == shape
    again, _ = layer.forward(x, training(masks))
    np.testing.assert_array_equal(again, y)


def test_the_past_does_not_depend_on_the_future():
    model = Sequential([TransformerBlock(8, 2, 16, causal=True) for _ in range(2)])
    built(model, (6, 8))
    x = draw((2, 6, 8))
    other = x.copy()
    other[:, 4:] += 1
    y, found = model(x), model(other)
    np.testing.assert_allclose(found[:, :4], y[:, :4], rtol=1e-5, atol=1e-6)
    assert (abs(found[:, 4:] - y[:, 4:]) > 1e-3).any(axis=-1).all()
    y, backward = model.forward(x, Context())
    dy = np.zeros_like(y)
    dy[:, 2] = 1
    dx = backward(dy)
    assert not dx[:, 3:].any() and dx[:, :3].any(axis=-1).all()


def test_an_attention_mask_hides_keys():
    layer, x = built(MultiHeadAttention(2), (5, 6), "float64"), draw((2, 5, 6), dtype="float64")
    seen = np.array([[True] * 5, [True, True, True, False, False]])[:, None, None]
    y, _ = layer.forward(x, Context(), attention_mask=seen)
    short, _ = layer.forward(x[1:, :3], Context())
    np.testing.assert_allclose(y[1, :3], short[0], rtol=1e-12)
    np.testing.assert_array_equal(y[0], layer.forward(x, Context())[0][0])


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_rate_of_0_draws_nothing_and_a_rate_of_1_leaves_the_shortcut(rate):
    block = TransformerBlock(6, 2, 9, rate=rate, depth_rate=rate, head_rate=rate)
    built(block, (4, 6))
    x, stream = draw((3, 4, 6)), MaskStream(1)
    y, backward = block.forward(x, Context(training=True, stream=stream))
    assert rate or stream.next_draw == MaskStream(1).next_draw
    np.testing.assert_array_equal(y, x if rate else block(x))
    assert not np.shares_memory(y, x)
    np.testing.assert_array_equal(backward(y) == y, np.full(y.shape, bool(rate)))


def test_a_dropped_branch_is_the_shortcut_alone():
    layer = built(Residual(Dense(5), Tanh(), rate=0.5), (5,))
    x, masks = draw((40, 5)), {}
    y, _ = layer.forward(x, training(masks))
    kept = masks[layer.dropout].keep[:, 0]
    assert 5 < kept.sum() < 35
    branch = layer.layer(x)
    np.testing.assert_array_equal(y[~kept], x[~kept])
    np.testing.assert_array_equal(y[kept], x[kept] + 2 * branch[kept])
    brought, _ = layer.forward(x, training(), np.arange(40)[:, None] < 7)
    np.testing.assert_array_equal(brought, x + np.where(np.arange(40)[:, None] < 7, 2 * branch, 0))


def compare(ours, theirs, x, dy, forward):
    """Output and all gradients are those of PyTorch, to 1e-5."""
    torch = pytest.importorskip("torch")
    theirs.load_state_dict({name: torch.from_numpy(a) for name, a in ours.torch_state().items()})
    theirs.train()
    y, backward = ours.forward(x, Context())
    tensor = torch.from_numpy(x).requires_grad_(True)
    expected = forward(theirs, tensor)
    expected.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(backward(dy), tensor.grad.numpy(), rtol=1e-5, atol=1e-5)
    values = ours.torch_state()
    for parameter in ours.parameters():
        np.copyto(parameter.value, parameter.grad)
    for name, slope in ours.torch_state().items():
        expected = theirs.get_parameter(name).grad.numpy()
        np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-5, err_msg=name)
    ours.load_torch_state(values)
    np.testing.assert_array_equal(ours.forward(x, Context())[0], y)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_attention_against_pytorch(causal, bias):
    torch = pytest.importorskip("torch")
    ours = built(MultiHeadAttention(4, causal=causal, bias=bias), (7, 16))
    theirs = torch.nn.MultiheadAttention(16, 4, bias=bias, batch_first=True)
    hidden = torch.ones(7, 7, dtype=torch.bool).triu(1) if causal else None
    compare(
        ours, theirs, draw((3, 7, 16)), draw((3, 7, 16), 1) / 4,
        lambda layer, x: layer(x, x, x, attn_mask=hidden, need_weights=False)[0],
    )


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_a_block_against_pytorch(activation, causal):
    torch = pytest.importorskip("torch")
    ours = built(TransformerBlock(16, 4, 24, causal=causal, activation=activation), (7, 16))
    theirs = torch.nn.TransformerEncoderLayer(
        16, 4, 24, dropout=0.0, activation=activation, batch_first=True, norm_first=True)
    hidden = torch.ones(7, 7, dtype=torch.bool).triu(1) if causal else None
    compare(
        ours, theirs, draw((3, 7, 16)), draw((3, 7, 16), 1) / 8,
        lambda layer, x: layer(x, src_mask=hidden, is_causal=causal),
    )


def test_an_embedding_against_pytorch():
    torch = pytest.importorskip("torch")
    ours, theirs = built(Embedding(9, 4), (5,)), torch.nn.Embedding(9, 4)
    theirs.load_state_dict({name: torch.from_numpy(a) for name, a in ours.torch_state().items()})
    tokens, dy = np.random.default_rng(0).integers(0, 9, (3, 5)), draw((3, 5, 4))
    y, backward = ours.forward(tokens, Context())
    expected = theirs(torch.from_numpy(tokens))
    expected.backward(torch.from_numpy(dy))
    backward(dy)
    np.testing.assert_array_equal(y, expected.detach().numpy())
    slope = ours.parameters()[0].grad
    np.testing.assert_allclose(slope, theirs.weight.grad.numpy(), rtol=1e-5, atol=1e-6)


def test_sinusoidal_positions():
    layer = PositionalEmbedding(6, encoding="sinusoidal")
    layer.build((5, 7), dtype="float64")
    assert not layer.parameters()
    y, _ = layer.forward(np.zeros((2, 5, 7)), Context())
    for t in range(5):
        for j in range(7):
            angle = t / 10000 ** ((j - j % 2) / 7)
            assert y[1, t, j] == pytest.approx(np.cos(angle) if j % 2 else np.sin(angle), abs=1e-12)


def test_positions_that_are_not_there_get_no_gradient():
    layer, dy = built(PositionalEmbedding(6), (4, 3)), draw((2, 4, 3))
    _, backward = layer.forward(draw((2, 4, 3)), Context())
    backward(dy)
    backward(dy)
    (weight,) = layer.parameters()
    np.testing.assert_allclose(weight.grad[:4], 2 * dy.sum(axis=0), rtol=1e-6)
    assert not weight.grad[4:].any()


def network(rate=0.2):
    """Predict the next of 7 tokens."""
    return Sequential([
        Embedding(7, 8),
        PositionalEmbedding(5),
        TransformerBlock(8, 2, 16, rate=rate, depth_rate=rate, head_rate=rate, causal=True),
        LayerNorm(),
        Dense(7),
    ])


def test_names_of_parameters_and_layers():
    model = network()
    model.build((5,), 0)
    names = [name for name, _ in model.named_parameters()]
    block = "2.transformerblock."
    assert block + "0.attention.1.multiheadattention.qkv_weight" in names
    assert block + "1.feed_forward.3.dense.bias" in names
    assert all(p.name == name for name, p in model.named_parameters())
    kinds = [layer["kind"] for layer in model.get_config()["layers"]]
    assert kinds[:3] == ["embedding", "positionalembedding", "transformerblock"]
    paths = dict(model.named_layers())
    assert isinstance(paths[block + "0.attention.0.layernorm"], LayerNorm)
    assert isinstance(paths[block + "1.feed_forward"], Residual)
    found = list(model.walk())
    assert len(found) == len({id(layer) for layer in found})
    assert all(any(layer is one for one in found) for layer in paths.values())


def test_a_model_learns_and_goes_on_from_a_checkpoint(tmp_path):
    start = np.random.default_rng(0).integers(0, 7, (64, 1))
    tokens = (start + np.arange(6) * 2) % 7

    def fit(epochs, **options):
        trainer = Trainer(network(0.1), "softmax_cross_entropy", "adam", rng=1)
        options |= {"epochs": epochs, "batch_size": 16, "progress": False}
        return trainer.model, trainer.fit(tokens[:, :-1], tokens[:, 1:], **options).records

    model, records = fit(30)
    assert records[-1]["loss"] < 0.5 * records[0]["loss"]
    fit(20, checkpoint=tmp_path / "state")
    other, _ = fit(30, checkpoint=tmp_path / "state", resume=True)
    np.testing.assert_array_equal(other(tokens[:, :-1]), model(tokens[:, :-1]))


def test_the_rates_inside_are_found():
    model = network()
    trainer = Trainer(model, "softmax_cross_entropy", "adam", rng=1)
    tokens = np.zeros((4, 5), int)
    schedule = RateSchedule(Constant(0.4))
    trainer.fit(tokens, tokens, epochs=1, progress=False, callbacks=[schedule])
    attention, feed_forward = model.layers[2].layers
    inner = attention.layer.layers[1]
    for holder in (attention.dropout, feed_forward.dropout, inner.dropout, inner.drop_head,
                   attention.layer.layers[2], feed_forward.layer.layers[2]):
        assert holder.rate == 0.4


def test_passes_with_noise_differ_and_can_be_repeated():
    model, tokens = network(), np.arange(10).reshape(2, 5) % 7
    model.build((5,), 0)
    found = predict_mc(model, tokens, 8, rng=3, outputs="logits")
    assert found.mean.shape == (2, 5, 7) and (found.std > 0).all()
    np.testing.assert_array_equal(found.mean, predict_mc(model, tokens, 8, rng=3,
                                                         outputs="logits").mean)


def test_weights_inside_can_be_dropped():
    block = TransformerBlock(6, 2, 9)
    name = "0.attention.1.multiheadattention.out_weight"
    layer = built(WeightDropout(block, 0.5, [name]), (4, 6))
    x = draw((2, 4, 6))
    y, backward = layer.forward(x, training())
    assert not np.array_equal(y, block(x)) and backward(y).shape == x.shape
    assert (dict(block.named_parameters())[name].grad == 0).mean() > 0.2


def test_threads_do_not_change_a_bit():
    block = built(TransformerBlock(32, 4, 64, rate=0.2, depth_rate=0.3), (16, 32))
    x, found = draw((8, 16, 32)), set()
    for threads in (1, 2, 5):
        for parameter in block.parameters():
            parameter.zero_grad()
        ctx = Context(training=True, stream=MaskStream(5), num_threads=threads)
        y, backward = block.forward(x, ctx)
        arrays = [y, backward(y), *(p.grad for p in block.parameters())]
        found.add(b"".join(array.tobytes() for array in arrays))
    assert len(found) == 1


def test_the_first_layer_of_a_model_needs_no_gradient_of_its_input():
    for first in (TransformerBlock(6, 2, 4, rate=0.3), MultiHeadAttention(2), Residual(Dense(6))):
        slopes = []
        for wanted in (True, False):
            model = Sequential([first, Tanh()])
            model.build((4, 6), 0)
            for parameter in model.parameters():
                parameter.zero_grad()
            ctx = Context(training=True, stream=MaskStream(2), input_gradient=wanted)
            y, backward = model.forward(draw((3, 4, 6)), ctx)
            assert backward(y).size == (y.size if wanted else 0)
            slopes.append([p.grad.copy() for p in model.parameters()])
        for one, other in zip(*slopes, strict=True):
            np.testing.assert_array_equal(one, other)


def test_what_does_not_fit_is_named():
    for wrong, match in (
        (lambda: MultiHeadAttention(0), "heads"),
        (lambda: MultiHeadAttention(2, rate=1.5), "1.5"),
        (lambda: MultiHeadAttention(2, head_rate=-1), "-1"),
        (lambda: MultiHeadAttention(2, init="best"), "best"),
        (lambda: MultiHeadAttention(4).build((5, 6)), "4 heads divide"),
        (lambda: MultiHeadAttention(2).build((6,)), "time, features"),
        (lambda: Residual(), "got none"),
        (lambda: Residual(Dense(4)).build((5,)), r"cannot add \(4,\)"),
        (lambda: Residual(Tanh(), rate=2), "2"),
        (lambda: Residual(Tanh(), per="row"), "row"),
        (lambda: PositionalEmbedding(0), "length"),
        (lambda: PositionalEmbedding(3, encoding="rotary"), "rotary"),
        (lambda: PositionalEmbedding(3).build((4, 2)), "at most 3"),
        (lambda: TransformerBlock(6, 4, 8), "4 heads divide"),
        (lambda: TransformerBlock(6, 2, 8).build((5, 4)), r"cannot add \(5, 6\)"),
    ):
        with pytest.raises(ValueError, match=match):
            wrong()
    layer, x, stream = MultiHeadAttention(2, rate=0.5), draw((2, 3, 4)), MaskStream(0)
    ctx = Context(training=True, stream=stream)
    with pytest.raises(RuntimeError, match="build"):
        layer.forward(x, ctx)
    layer.build((3, 4))
    with pytest.raises(ValueError, match="4 features, got 6"):
        layer.forward(draw((2, 3, 6)), ctx)
    with pytest.raises(ValueError, match="broadcast"):
        layer.forward(x, ctx, attention_mask=np.ones((7, 7), bool))
    for other in (PositionalEmbedding(3), PositionalEmbedding(3, encoding="sinusoidal")):
        with pytest.raises(RuntimeError, match="build"):
            other.forward(x, ctx)
        other.build((3, 4))
        with pytest.raises(ValueError, match="4 units, got 2"):
            other.forward(x[..., :2], ctx)
    assert stream.next_draw == MaskStream(0).next_draw


def test_dropout_behind_a_dense_layer_of_a_branch_is_one_pass():
    layer = Residual(LayerNorm(), Dense(4), Dropout(0.5))
    assert [len(step.layers) for step in layer.layer.steps] == [1, 2]


@pytest.mark.parametrize("change", [
    lambda attention, feed: setattr(attention, "dropout", 0.5),
    lambda attention, feed: setattr(attention.layer.layers[1], "drop_head", 0.25),
    lambda attention, feed: setattr(feed.layer.layers[2], "rate", 0.75),
    lambda attention, feed: setattr(feed.layer.layers[1], "activation", "relu"),
    lambda attention, feed: setattr(feed.layer.layers[0], "epsilon", 0.5),
])
def test_a_block_tells_what_was_set_after_it_was_made(change):
    block, plain = (TransformerBlock(4, 2, 8, rate=0.1, name="b") for _ in range(2))
    assert "layers" not in block.get_config()
    change(*block.layers)
    again = TransformerBlock.from_config(json.loads(json.dumps(block.get_config())))
    assert again.get_config() == block.get_config() != plain.get_config()
    x = np.random.default_rng(0).standard_normal((3, 5, 4)).astype("f4")
    found = []
    for one in (block, again, plain):
        one.build((5, 4), 0)
        found.append(one.forward(x, Context(True, MaskStream(0)))[0])
    np.testing.assert_array_equal(found[0], found[1])
    assert again.name == "b" and (found[0] != found[2]).any()
