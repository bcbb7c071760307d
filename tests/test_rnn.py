"""SimpleRNN, LSTM and GRU: the formula, PyTorch's layers, all kinds of dropout, and states."""

import numpy as np
import pytest
import reference_cells
from test_recurrence import GATES, as_reference

from cydropout import MaskStream
from cydropout.functional import recurrence
from cydropout.layers import (
    GRU,
    LSTM,
    Context,
    Dense,
    Embedding,
    Sequential,
    SimpleRNN,
    WeightDropout,
)
from cydropout.masks import InferenceMask, KeepMask
from cydropout.training.losses import SoftmaxCrossEntropy
from cydropout.training.optimizers import Adam

LAYERS = {
    "tanh": SimpleRNN, "relu": lambda u, **k: SimpleRNN(u, activation="relu", **k),
    "lstm": LSTM, "gru": GRU,
}


def training(seed=0, **options):
    return Context(training=True, stream=MaskStream(seed), **options)


def layer_of(kind, units, features, dtype="float64", **options):
    layer = LAYERS[kind](units, **options)
    layer.build((None, features), 3, dtype)
    for parameter in layer.parameters():
        parameter.value += np.linspace(-0.3, 0.2, parameter.value.size).reshape(
            parameter.value.shape)
    return layer


@pytest.mark.parametrize("steps, count", [(0, 3), (4, 0), (1, 1), (0, 0)])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("kind", GATES)
def test_empty_and_short_sequences(kind, last, steps, count):
    layer = layer_of(kind, 6, 3, return_sequences=not last, dropout=0.5, recurrent_dropout=0.5,
                     zoneout=0.2)
    state = tuple(np.full((count, 6), 0.5) for _ in range(2 if kind == "lstm" else 1))
    for ctx in (training(), Context()):
        y, backward = layer.forward(np.ones((count, steps, 3)), ctx, state=state)
        assert y.shape == ((count, 6) if last else (count, steps, 6))
        assert backward(np.ones_like(y)).shape == (count, steps, 3)
        if last and not steps:
            np.testing.assert_array_equal(y, state[0])


def torch_layer(torch, kind, features, units):
    make = {"tanh": torch.nn.RNN, "relu": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
    options = {"nonlinearity": kind} if make[kind] is torch.nn.RNN else {}
    torch.manual_seed(0)
    return make[kind](features, units, batch_first=True, **options)


@pytest.mark.parametrize("size", [(1, 1, 2, 3), (5, 7, 3, 19), (8, 40, 30, 64)])
@pytest.mark.parametrize("kind", GATES)
def test_the_layer_is_torchs(kind, size):
    torch = pytest.importorskip("torch")
    n, steps, features, units = size
    peer = torch_layer(torch, kind, features, units)
    layer = LAYERS[kind](units)
    layer.build((steps, features), 0)
    layer.load_torch_state({k: v.detach().numpy() for k, v in peer.state_dict().items()})
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, steps, features)).astype("f4")
    dy = rng.standard_normal((n, steps, units)).astype("f4") / (n * steps)
    state = tuple(rng.standard_normal((n, units)).astype("f4") for _ in range(1 + (kind == "lstm")))
    first = [torch.tensor(part[None]) for part in state]
    inputs = torch.tensor(x, requires_grad=True)
    expected = peer(inputs, tuple(first) if kind == "lstm" else first[0])[0]
    expected.backward(torch.tensor(dy))
    y, backward = layer.forward(x, training(), state=state)
    np.testing.assert_allclose(y, expected.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(backward(dy), inputs.grad.numpy(), atol=1e-5)
    grads = {name: p.grad for name, p in layer.named_parameters()}
    for name, other in (("weight", "ih"), ("recurrent_weight", "hh")):
        wanted = getattr(peer, f"weight_{other}_l0").grad.numpy().T
        np.testing.assert_allclose(grads[name], wanted, atol=1e-5)
    np.testing.assert_allclose(grads["bias"], peer.bias_ih_l0.grad.numpy(), atol=1e-5)
    if kind == "gru":
        np.testing.assert_allclose(
            grads["inner_bias"], peer.bias_hh_l0.grad.numpy()[-units:], atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", GATES)
def test_parameters_go_to_torch_and_back(kind, bias):
    torch = pytest.importorskip("torch")
    layer, other = (layer_of(kind, 5, 3, "float32", bias=bias) for _ in range(2))
    options = {"nonlinearity": kind} if kind in ("tanh", "relu") else {}
    make = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}.get(kind, torch.nn.RNN)
    peer = make(3, 5, batch_first=True, bias=bias, **options)
    peer.load_state_dict({k: torch.tensor(v) for k, v in layer.torch_state().items()})
    x = np.random.default_rng(0).standard_normal((2, 4, 3)).astype("f4")
    np.testing.assert_allclose(
        layer.forward(x, Context())[0], peer(torch.tensor(x))[0].detach().numpy(), atol=1e-6)
    for parameter in other.parameters():
        parameter.value[...] = 0
    other.load_torch_state({k: v.numpy() for k, v in peer.state_dict().items()})
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, other.state_dict()[name])


def test_a_state_of_torch_that_does_not_fit_changes_nothing():
    layer = layer_of("gru", 5, 3)
    before, state = layer.state_dict(), layer.torch_state()
    with pytest.raises(ValueError, match=r"weight_hh_l0' is float64 \(5, 15\)"):
        layer.load_torch_state({**state, "weight_hh_l0": state["weight_hh_l0"].T})
    with pytest.raises(ValueError, match="bias_ih_l0"):
        layer.load_torch_state({k: v for k, v in state.items() if "bias" not in k})
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("kind", GATES)
def test_parts_of_a_sequence_give_what_the_whole_gives(kind):
    layer = layer_of(kind, 7, 3, dropout=0.4, recurrent_dropout=0.4)
    x = np.random.default_rng(0).standard_normal((2, 9, 3))
    whole = layer.forward(x, training())[0]
    ctx = training(states={}, masks={})
    parts = [layer.forward(part, ctx)[0] for part in (x[:, :4], x[:, 4:5], x[:, 5:])]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(ctx.states[layer][0], parts[-1][:, -1])
    plain = training(states={})
    layer.forward(x, plain)
    plain.states.clear()
    again = layer.forward(x, Context(training=True, stream=MaskStream(0), states=plain.states))[0]
    np.testing.assert_array_equal(again, whole)


def test_a_state_does_not_change_with_what_is_returned():
    layer, states = layer_of("lstm", 4, 3, return_sequences=False), {}
    y, _ = layer.forward(np.ones((2, 3, 3)), Context(states=states))
    kept = [part.copy() for part in states[layer]]
    y[...] = 9
    layer.forward(np.ones((2, 3, 3)), Context(), state=states[layer])
    for part, expected in zip(states[layer], kept, strict=True):
        np.testing.assert_array_equal(part, expected)


def test_weights_that_are_dropped_carry_states_on():
    layer = layer_of("lstm", 6, 3)
    dropped, states = WeightDropout(layer, 0.5, ["recurrent_weight"]), {}
    x = np.random.default_rng(0).standard_normal((2, 5, 3))
    first, _ = dropped.forward(x, training(states=states))
    second, _ = dropped.forward(x, training(states=states))
    assert list(states) == [layer] and not np.array_equal(first, second)


@pytest.mark.parametrize("per", ["sequence", "step"])
@pytest.mark.parametrize("mode", ["variational", "semeniuta"])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_the_masks_are_those_of_the_tape(kind, mode, per):
    layer = layer_of(kind, 8, 3, dropout=0.3, dropout_per=per, recurrent_dropout=0.4,
                     recurrent_mode=mode, recurrent_per=per, zoneout=0.2)
    x = np.random.default_rng(0).standard_normal((3, 5, 3))
    masks, shape, axes = {}, (3, 5, 8), (1,) if per == "sequence" else ()
    ctx = training(masks=masks)
    y, _ = layer.forward(x, ctx)
    stream = MaskStream(0)
    entering = stream.draw(x.shape, 0.3, shared_axes=axes)
    recurrent = stream.draw(shape, 0.4, shared_axes=axes)
    zoneout = stream.draw(shape, 0.2, scaling="classic")
    np.testing.assert_array_equal(masks[layer.dropout].keep, entering.keep)
    np.testing.assert_array_equal(masks[layer.recurrent_dropout].keep, recurrent.keep)
    np.testing.assert_array_equal(masks[layer.zoneout].keep, zoneout.keep)
    state = {name: p.value for name, p in layer.named_parameters()}
    kept = {"hidden" if mode == "variational" else "update": recurrent, "zoneout_h": zoneout}
    arrays = (entering.apply(x) @ state["weight"], state["recurrent_weight"], state["bias"],
              state.get("inner_bias"), np.zeros((3, 8)), np.zeros((3, 8)))
    expected, _ = reference_cells.run(kind, *arrays, *as_reference(kept))
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-14)
    again, _ = layer.forward(x, training(99, masks=masks))
    np.testing.assert_array_equal(again, y)


def test_masks_can_be_given_as_arrays():
    layer = layer_of("lstm", 4, 3, recurrent_dropout=0.5)
    x, keep = np.ones((2, 3, 3)), np.zeros((2, 1, 4), bool)
    y, _ = layer.forward(x, training(masks={layer.recurrent_dropout: keep}))
    layer.parameters()[1].value[...] = 0
    np.testing.assert_array_equal(y, layer.forward(x, Context())[0])


@pytest.mark.parametrize("kind", GATES)
def test_no_rate_no_draw_and_inference_is_the_mean(kind):
    x, stream = np.random.default_rng(0).standard_normal((2, 4, 3)), MaskStream(0)
    plain = layer_of(kind, 5, 3)
    y, _ = plain.forward(x, Context(training=True, stream=stream))
    assert stream.next_draw == 0
    noisy = layer_of(kind, 5, 3, dropout=0.5, recurrent_dropout=0.5)
    ctx = Context(stream=stream)
    np.testing.assert_array_equal(noisy.forward(x, ctx)[0], y)
    zoned = layer_of(kind, 5, 3, zoneout=0.25)
    found, _ = zoned.forward(x, ctx)
    assert stream.next_draw == 0
    state = {name: p.value for name, p in zoned.named_parameters()}
    expected, _ = reference_cells.run(
        kind, x @ state["weight"], state["recurrent_weight"], state["bias"],
        state.get("inner_bias"), np.zeros((2, 5)), np.zeros((2, 5)), None, None, (None, 0.75), None)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", GATES)
def test_rate_1(kind):
    """Nothing of the input, or of the state, gets through; zoneout stays where it began."""
    x, state = np.full((2, 4, 3), np.nan), ()
    layer = layer_of(kind, 5, 3, dropout=1.0, recurrent_dropout=1.0)
    y, backward = layer.forward(x, training())
    assert np.isfinite(y).all()
    np.testing.assert_array_equal(backward(np.ones_like(y)), np.zeros_like(x))
    assert not layer.parameters()[0].grad.any() and not layer.parameters()[1].grad.any()
    state = tuple(np.full((2, 5), 0.5) for _ in range(1 + (kind == "lstm")))
    for ctx in (training(), Context()):
        still = layer_of(kind, 5, 3, zoneout=1.0).forward(np.ones((2, 4, 3)), ctx, state=state)[0]
        np.testing.assert_array_equal(still, np.full((2, 4, 5), 0.5))


def test_the_forget_gate_begins_open_and_the_recurrent_weights_orthogonal():
    layer = LSTM(6)
    layer.build((None, 3), 0)
    _, recurrent, bias = (parameter.value for parameter in layer.parameters())
    np.testing.assert_array_equal(bias, np.repeat([0, 1, 0, 0], 6))
    recurrent = recurrent.astype("f8")  # so that the product rounds nothing, in whichever BLAS
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(6), atol=1e-6)
    assert [name for name, _ in GRU(6, bias=False).named_parameters()] == []


@pytest.mark.parametrize(
    "call, error, named",
    [
        (lambda: LSTM(0), ValueError, "units"),
        (lambda: LSTM(3, dropout=[0.1, 0.2]), ValueError, "one rate"),
        (lambda: LSTM(3, recurrent_dropout=1.5), ValueError, "1.5"),
        (lambda: GRU(3, recurrent_mode="gal"), ValueError, "'gal'"),
        (lambda: GRU(3, recurrent_per="batch"), ValueError, "'batch'"),
        (lambda: GRU(3, dropout_per="batch"), ValueError, "'batch'"),
        (lambda: SimpleRNN(3, activation="gelu"), ValueError, "'gelu'"),
        (lambda: SimpleRNN(3, recurrent_mode="semeniuta"), TypeError, "recurrent_mode"),
        (lambda: GRU(3).forward(np.ones((1, 2, 3)), Context()), RuntimeError, "build"),
        (lambda: recurrence("elman", np.ones((1, 1, 1)), np.ones((1, 1))), ValueError, "'elman'"),
        (lambda: recurrence("lstm", np.ones((1, 2, 7)), np.ones((1, 4))), ValueError, "2, 7"),
        (lambda: recurrence("tanh", np.ones((1, 2, 3), "f2"), np.ones((3, 3))), TypeError,
         "float16"),
        (lambda: recurrence("tanh", np.ones((1, 2, 3)), np.ones((3, 4))), ValueError, r"\(3, 4\)"),
        (lambda: recurrence("tanh", np.ones((1, 2, 3)), np.ones((3, 3)), h0=np.ones((2, 3))),
         ValueError, "h0"),
        (lambda: recurrence("tanh", np.ones((1, 2, 3)), np.ones((3, 3)),
                            hidden=InferenceMask((1, 3, 3), 0.0)), ValueError, "hidden"),
        (lambda: recurrence("tanh", np.ones((1, 2, 3)), np.ones((3, 3)),
                            update=KeepMask((1, 2, 3), np.ones(3, bool), [1.0])), ValueError,
         "update"),
    ],
)
def test_bad_settings_are_named(call, error, named):
    with pytest.raises(error, match=named):
        call()


def test_what_does_not_fit_takes_no_draw():
    stream = MaskStream(0)
    ctx = Context(training=True, stream=stream)
    layer = layer_of("lstm", 4, 3, dropout=0.5, recurrent_dropout=0.5)
    for x in (np.ones((2, 3)), np.ones((2, 3, 4))):
        with pytest.raises(ValueError, match="3"):
            layer.forward(x, ctx)
    with pytest.raises(ValueError, match=r"\(2, 4\)"):
        layer.forward(np.ones((2, 5, 3)), ctx, state=(np.ones((2, 4)),))
    with pytest.raises(ValueError, match=r"\(1, 4\)"):
        layer.forward(np.ones((2, 5, 3)), ctx, state=(np.ones((1, 4)), np.ones((1, 4))))
    assert stream.next_draw == 0
    _, backward = layer.forward(np.ones((2, 5, 3)), ctx)
    with pytest.raises(ValueError, match=r"\(2, 4\)"):
        backward(np.ones((2, 4)))


def test_a_character_model_learns():
    """Every step has a target: labels are (n, steps), logits (n, steps, classes)."""
    model = Sequential([Embedding(5, 8), LSTM(32, dropout=0.1), Dense(5)])
    model.build((29,), 0)
    tokens = np.arange(120).reshape(4, 30) % 5
    stream, loss, optimizer, values = MaskStream(0), SoftmaxCrossEntropy(), Adam(0.02), []
    for _ in range(40):
        logits, backward = model.forward(
            tokens[:, :-1], Context(training=True, stream=stream, input_gradient=False))
        value, gradient = loss(logits, tokens[:, 1:])
        assert gradient.shape == logits.shape == (4, 29, 5)
        for parameter in model.parameters():
            parameter.zero_grad()
        backward(gradient)
        optimizer.step(model.parameters())
        values.append(value)
    assert values[0] > 1.2 and values[-1] < 0.1
