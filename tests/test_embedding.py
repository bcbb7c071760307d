"""Rows of a table and their gradients, and words that are dropped wherever they occur."""

import numpy as np
import pytest
import reference
import reference_sequence

from cydropout import MaskStream, Trainer
from cydropout.functional import gather, scatter_add
from cydropout.layers import Context, Dense, Embedding, EmbeddingDropout, Flatten, Sequential
from cydropout.masks import KeepMask
from cydropout.training.optimizers import SGD, Adam

DTYPES = ["float16", "bfloat16", "float32", "float64"]
RATES = [None, 0.0, 0.4, 1.0, "words"]


def training(seed=0, masks=None):
    return Context(training=True, stream=MaskStream(seed), masks=masks)


def case(rate, rows, columns, storage="bits"):
    """A mask of whole rows, which of them it keeps, and their scales."""
    if rate is None:
        return None, np.ones(rows, bool), 1.0
    rate = np.linspace(0, 1, rows)[:, None] if rate == "words" else rate
    mask = MaskStream(3).draw((rows, columns), rate, shared_axes=(1,), storage=storage)
    return mask, mask.keep[:, 0], np.ravel(reference.scale(rate))


@pytest.mark.parametrize("num_threads", [1, 2, 3])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("columns", [1, 5, 32, 65, 700])
@pytest.mark.parametrize("dtype", DTYPES)
def test_gather(build, dtype, columns, rate, num_threads):
    dtype, rng = reference.dtype_named(dtype), np.random.default_rng(0)
    table = rng.standard_normal((50, columns)).astype(dtype)
    table[::5] = np.nan
    index = rng.integers(0, 50, (7, 30))
    mask, kept, scale = case(rate, 50, columns, "seed" if num_threads == 2 else "bits")
    y = gather(table, index, mask, num_threads=num_threads)
    each = np.broadcast_to(scale, 50)
    expected = reference.dropout(table, kept[:, None], each[:, None])[index]
    assert y.dtype == dtype and y.shape == (7, 30, columns)
    assert y.tobytes() == expected.tobytes()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("columns", [1, 5, 32, 65, 700])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scatter_add(build, dtype, columns, rate):
    rng = np.random.default_rng(0)
    index = rng.integers(0, 9, (7, 30))
    dy = rng.standard_normal((7, 30, columns)).astype(dtype)
    mask, kept, scale = case(rate, 9, columns)
    start = rng.standard_normal((9, columns)).astype(dtype)
    expected = start.copy()
    reference_sequence.scatter_add(dy, index, expected, kept, scale)
    for threads in (1, 2, 3, 7):
        out = start.copy()
        assert scatter_add(dy, index, out, mask, num_threads=threads) is out
        assert out.tobytes() == expected.tobytes()


@pytest.mark.parametrize("index_dtype", ["int8", "uint16", "int32", "uint64"])
def test_an_index_of_any_integers(index_dtype):
    table = np.arange(12.0).reshape(4, 3)
    index = np.array([[3, 0], [1, 3]]).astype(index_dtype)[:, ::-1]
    np.testing.assert_array_equal(gather(table, index), table[index])
    np.testing.assert_array_equal(gather(np.asfortranarray(table), index), table[index])
    assert gather(table, index[:0]).shape == (0, 2, 3)


@pytest.mark.parametrize(
    "keep, scale", [(np.eye(4, 3, dtype=bool), 2.0), (np.ones((4, 1), bool), [1.0, 2.0, 3.0, 4.0])]
)
def test_a_mask_of_another_kind(keep, scale):
    rng = np.random.default_rng(0)
    table, mask = rng.standard_normal((4, 3)), KeepMask((4, 3), keep, scale)
    index, dy = np.array([3, 0, 3]), rng.standard_normal((3, 3))
    np.testing.assert_array_equal(gather(table, index, mask), mask.apply(table)[index])
    total = np.zeros((4, 3))
    np.add.at(total, index, dy)
    out = scatter_add(dy, index, np.ones((4, 3)), mask)
    np.testing.assert_allclose(out, 1 + mask.apply(total))


TABLE = np.ones((4, 3))


@pytest.mark.parametrize(
    "call, error, named",
    [
        (lambda: gather(TABLE, [4]), ValueError, "4"),
        (lambda: gather(TABLE, [-1]), ValueError, "-1"),
        (lambda: gather(TABLE, [1.0]), TypeError, "float64"),
        (lambda: gather(TABLE, [True]), TypeError, "bool"),
        (lambda: gather(TABLE[0], [1]), ValueError, r"\(3,\)"),
        (lambda: gather(TABLE.astype(int), [1]), TypeError, "int64"),
        (lambda: gather(TABLE, [1], KeepMask((3, 4), True)), ValueError, r"\(3, 4\)"),
        (lambda: scatter_add(TABLE[:1], [4], TABLE), ValueError, "4"),
        (lambda: scatter_add(TABLE[:2], [1], TABLE), ValueError, r"\(2, 3\)"),
        (lambda: scatter_add(TABLE[:1].astype("f4"), [1], TABLE), ValueError, "float32"),
        (lambda: scatter_add(TABLE[:1], [1], TABLE.astype("f2")), TypeError, "float16"),
        (lambda: scatter_add(TABLE[:1], [1], np.asfortranarray(TABLE)), ValueError, "C order"),
    ],
)
def test_what_does_not_fit_is_named(call, error, named):
    with pytest.raises(error, match=named):
        call()
    assert (TABLE == 1).all()


def embedding(rate=0.0, dtype="float64"):
    layer = Embedding(9, 5, rate=rate)
    layer.build((7,), rng=0, dtype=dtype)
    return layer, layer.parameters()[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_dropped_word_is_dropped_everywhere(dtype):
    layer, weight = embedding(0.4, dtype)
    weight.value[2] = np.nan
    tokens, masks = np.random.default_rng(0).integers(0, 9, (6, 7)), {}
    y, backward = layer.forward(tokens, training(0, masks))
    kept = reference.keep(MaskStream(0).key, 0, (9, 1), 0.4)
    np.testing.assert_array_equal(masks[layer.dropout].keep, np.broadcast_to(kept, (9, 5)))
    table = reference.dropout(weight.value, kept, reference.scale(0.4))
    assert y.dtype == dtype and y.tobytes() == table[tokens].tobytes()
    assert backward(np.ones_like(y)).size == 0
    counts = np.bincount(tokens.ravel(), minlength=9)[:, None]
    expected = np.where(kept, counts * reference.scale(0.4), 0) * np.ones((9, 5))
    np.testing.assert_allclose(weight.grad, expected, rtol=1e-5)
    again = layer.forward(tokens, Context(training=True, masks=masks))[0]
    np.testing.assert_array_equal(again, y)
    brought = layer.forward(tokens, training(7), mask=kept)[0]
    np.testing.assert_array_equal(brought, y)


def test_gradients_add_up_and_are_those_of_torch():
    torch = pytest.importorskip("torch")
    layer, weight = embedding(0.4)
    tokens, masks = np.random.default_rng(0).integers(0, 9, (6, 7)), {}
    w = torch.tensor(weight.value, requires_grad=True)
    y, backward = layer.forward(tokens, training(0, masks))
    keep = torch.tensor(masks[layer.dropout].keep[:, :1] * masks[layer.dropout].scale)
    expected = torch.nn.functional.embedding(torch.tensor(tokens), keep * w)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    expected.backward(torch.tensor(dy))
    np.testing.assert_array_equal(y, expected.detach().numpy())
    backward(dy)
    np.testing.assert_allclose(weight.grad, w.grad.numpy(), rtol=1e-12)
    backward(dy)
    np.testing.assert_allclose(weight.grad, 2 * w.grad.numpy(), rtol=1e-12)


def test_without_dropout_nothing_is_drawn():
    layer, weight = embedding()
    tokens, stream = np.array([[1, 8], [0, 1]]), MaskStream(0)
    for ctx in (Context(training=True, stream=stream), Context()):
        y, backward = layer.forward(tokens, ctx)
        np.testing.assert_array_equal(y, weight.value[tokens])
        assert not np.shares_memory(y, weight.value)
    dropping, _ = embedding(0.5)
    np.testing.assert_array_equal(dropping.forward(tokens, Context())[0], y)
    all_gone, weight = embedding(1.0)
    y, backward = all_gone.forward(tokens, Context(training=True, stream=stream))
    backward(np.full(y.shape, np.nan))
    assert not y.any() and not weight.grad.any() and stream.next_draw == 1


@pytest.mark.parametrize(
    "tokens, error, named",
    [
        (np.array([3, 9]), ValueError, "token 9"),
        (np.array([-2]), ValueError, "token -2"),
        (np.array([1.0]), TypeError, "float64"),
        (np.array([True]), TypeError, "bool"),
    ],
)
def test_bad_tokens_are_named_before_a_draw(tokens, error, named):
    stream = MaskStream(0)
    with pytest.raises(error, match=named):
        embedding(0.5)[0].forward(tokens, Context(training=True, stream=stream))
    assert stream.next_draw == 0


@pytest.mark.parametrize(
    "call, error, named",
    [
        (lambda: Embedding(0, 3), ValueError, "vocabulary"),
        (lambda: Embedding(3, 2.5), ValueError, "2.5"),
        (lambda: Embedding(3, 2, init="zero"), ValueError, "zero"),
        (lambda: Embedding(3, 2, rate=1.5), ValueError, "1.5"),
        (lambda: Embedding(3, 2, padding_idx=3), ValueError, "padding_idx must be .* 3, not 3"),
        (lambda: Embedding(3, 2, padding_idx=-1), ValueError, "padding_idx.*-1"),
        (lambda: Embedding(3, 2, padding_idx=True), TypeError, "padding_idx"),
        (lambda: Embedding(3, 2).forward(np.array([1]), Context()), RuntimeError, "build"),
        (lambda: EmbeddingDropout(0.5).forward(np.ones((2, 3, 4)), Context()), ValueError, "2, 3"),
        (lambda: embedding()[0].forward(np.array([1]), Context())[1](np.ones((1, 4))), ValueError,
         r"\(1, 4\)"),
    ],
)
def test_bad_settings_are_named(call, error, named):
    with pytest.raises(error, match=named):
        call()


def test_a_model_learns_which_words_matter():
    model = Sequential([Embedding(12, 4, rate=0.05), Flatten(), Dense(2)])
    tokens = np.random.default_rng(0).integers(0, 12, (512, 6))
    labels = ((tokens % 3 == 0).sum(axis=1) > 1).astype("int64")
    trainer = Trainer(model, "softmax_cross_entropy", "adam", rng=0)
    trainer.fit(tokens, labels, epochs=100, progress=False)
    assert (model(tokens).argmax(axis=1) == labels).mean() > 0.95
    y, backward = model.forward(tokens, Context())
    assert backward(y).size == 0
    assert model.output_shape((6,)) == (2,) and model.layers[0].output_shape((6,)) == (6, 4)
    with pytest.raises(TypeError, match="float64"):
        model(tokens.astype("f8"))


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_the_vector_of_padding_stays_zero(rate):
    model = Sequential([Embedding(6, 4, padding_idx=2, rate=rate), Flatten(), Dense(2)])
    other = Sequential([Embedding(6, 4, rate=rate), Flatten(), Dense(2)])
    for one in (model, other):
        one.build((5,), 0)
    table = model.parameters()[0]
    expected = other.parameters()[0].value.copy()
    expected[2] = 0
    np.testing.assert_array_equal(table.value, expected)
    tokens, stream = np.array([[1, 2, 2, 5, 0], [2, 3, 4, 4, 2]]), MaskStream(0)
    for optimizer in (Adam(0.1), SGD(0.1, momentum=0.9)):
        for _ in range(3):
            y, backward = model.forward(tokens, Context(True, stream, input_gradient=False))
            for parameter in model.parameters():
                parameter.zero_grad()
            backward(np.ones_like(y))
            assert not table.grad[2].any() and table.grad[[1, 3, 4]].any()
            optimizer.step(model.parameters())
    assert not table.value[2].any()
