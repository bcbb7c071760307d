"""DropConnect: masks in both modes, the same as PyTorch, and what its moments promise."""

import numpy as np
import pytest
import reference

from cydropout import MaskStream
from cydropout.functional import ACTIVATIONS
from cydropout.layers import Context, Dense, DropConnect, Sequential


def training(draws=0):
    return Context(training=True, stream=MaskStream.from_state(11, draws))


def built(*args, dtype="float64", inputs=6, **options):
    layer = DropConnect(*args, **options)
    layer.build((inputs,), rng=3, dtype=dtype)
    if layer.bias:
        layer._parameters["bias"].value += np.linspace(-0.5, 0.4, layer.units)
    return layer


def test_one_sample_is_the_same_in_both_modes():
    x = np.random.default_rng(0).standard_normal((1, 6))
    passes = []
    for per in ("batch", "sample"):
        layer = built(5, 0.5, per=per, drop_bias=True, activation="tanh")
        y, backward = layer.forward(x, training())
        passes.append([y, backward(np.cos(y)), *(p.grad for p in layer.parameters())])
    for a, b in zip(*passes, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("per", ["batch", "sample"])
def test_the_mask_is_the_same_in_float32_and_float64(per):
    held = []
    for dtype in ("float32", "float64"):
        masks, layer = {}, built(33, 0.3, per=per, drop_bias=True, dtype=dtype)
        x = np.random.default_rng(0).standard_normal((4, 6)).astype(dtype)
        y, _ = layer.forward(x, Context(training=True, stream=MaskStream(1), masks=masks))
        held.append((masks[layer]["weight"].keep, masks[layer]["bias"].keep, y))
    for a, b in zip(*held, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6)
    lead = (4,) if per == "sample" else ()
    keep = reference.keep(MaskStream(1).key, 0, (*lead, 6, 33), 0.3)
    np.testing.assert_array_equal(held[0][0], keep)
    np.testing.assert_array_equal(
        held[0][1], reference.keep(MaskStream(1).key, 1, (*lead, 33), 0.3)
    )


@pytest.mark.parametrize("drop_bias", [False, True])
@pytest.mark.parametrize("per", ["batch", "sample"])
def test_pytorch_gives_the_same(per, drop_bias):
    torch = pytest.importorskip("torch")
    masks, layer = {}, built(33, 0.5, per=per, drop_bias=drop_bias, activation="relu")
    x = np.random.default_rng(0).standard_normal((7, 6))
    y, backward = layer.forward(x, Context(training=True, stream=MaskStream(1), masks=masks))
    dx = backward(np.cos(y))
    tx, tw, tb = (torch.tensor(a, requires_grad=True)
                  for a in (x, *(p.value for p in layer.parameters())))
    kept = {name: torch.tensor(mask.keep * 2.0) for name, mask in masks[layer].items()}
    shift = tb * kept["bias"] if drop_bias else tb
    equation = "ni,nij->nj" if per == "sample" else "ni,ij->nj"
    ty = torch.relu(torch.einsum(equation, tx, tw * kept["weight"]) + shift)
    ty.backward(torch.tensor(np.cos(y)))
    expected = (ty.detach(), tx.grad, tw.grad, tb.grad)
    found = (y, dx, *(p.grad for p in layer.parameters()))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("per", ["batch", "sample"])
def test_rate_0_is_dense_and_rate_1_the_bias(per):
    x = np.random.default_rng(0).standard_normal((4, 6))
    stream = MaskStream(5)
    layer = built(5, 0.0, per=per, drop_bias=True, activation="tanh")
    dense = Dense(5, activation="tanh")
    dense.build((6,), rng=0, dtype="float64")
    dense.load_state_dict(layer.state_dict())
    y, backward = layer.forward(x, Context(training=True, stream=stream))
    expected, expected_back = dense.forward(x, Context(training=True))
    np.testing.assert_allclose(y, expected, rtol=1e-13)
    np.testing.assert_allclose(backward(y), expected_back(y), rtol=1e-12)
    assert stream.next_draw == 0
    x[1] = np.nan
    layer.drop_bias, layer.rate = False, 1
    y, backward = layer.forward(x, Context(training=True, stream=stream))
    np.testing.assert_allclose(y, np.tile(np.tanh(layer.parameters()[1].value), (4, 1)))
    layer.parameters()[0].zero_grad()
    assert not backward(np.ones_like(y)).any() and not layer.parameters()[0].grad.any()
    layer.drop_bias = True
    assert not layer.forward(x, Context(training=True, stream=stream))[0].any()


@pytest.mark.parametrize("per", ["batch", "sample"])
def test_masks_can_be_had_and_brought(per):
    layer, masks, stream = built(5, 0.4, per=per, drop_bias=True), {}, MaskStream(5)
    x = np.random.default_rng(0).standard_normal((4, 6))
    ctx = Context(training=True, stream=stream, masks=masks)
    y, backward = layer.forward(x, ctx)
    dx = backward(y)
    assert list(masks) == [layer] and list(masks[layer]) == ["weight", "bias"]
    assert stream.next_draw == 2
    bools = {name: mask.keep for name, mask in masks[layer].items()}
    for again, back in (
        layer.forward(x, ctx),
        layer.forward(x, training(9), mask=masks[layer]),
        layer.forward(x, training(9), mask=bools),
    ):
        assert again.tobytes() == y.tobytes() and back(y).tobytes() == dx.tobytes()
    assert stream.next_draw == 2
    layer.forward(x, Context(training=True, stream=stream), mask={"bias": bools["bias"]})
    assert stream.next_draw == 3
    for wrong, named in (({"bias": bools["bias"][..., :-1]}, "4"), ({"kernel": bools}, "kernel")):
        with pytest.raises(ValueError, match=named):
            layer.forward(x, Context(training=True, stream=stream), mask=wrong)
    assert stream.next_draw == 3


def test_without_an_input_gradient():
    layer, x = built(5, 0.5, per="sample"), np.ones((4, 6))
    whole = layer.forward(x, training())
    whole[1](np.ones((4, 5)))
    expected = layer.parameters()[0].grad.copy()
    for inference in ("mean", "gaussian"):
        layer = built(5, 0.5, per="sample", inference=inference, activation="relu")
        ctx = Context(input_gradient=False)
        assert layer.forward(x, ctx)[1](np.ones((4, 5))).size == 0
    layer = built(5, 0.5, per="sample")
    ctx = Context(training=True, stream=MaskStream.from_state(11, 0), input_gradient=False)
    assert layer.forward(x, ctx)[1](np.ones((4, 5))).size == 0
    np.testing.assert_array_equal(layer.parameters()[0].grad, expected)


@pytest.mark.parametrize(
    "options, error, named",
    [
        ({"per": "row"}, ValueError, "'row'"),
        ({"inference": "median"}, ValueError, "'median'"),
        ({"samples": 0}, ValueError, "0"),
        ({"samples": True}, ValueError, "True"),
        ({"rng": 1.5}, TypeError, "1.5"),
        ({"rng": -1}, ValueError, "-1"),
        ({"rate": [0.1, 0.2]}, TypeError, "one rate"),
        ({"rate": 1.5}, ValueError, "1.5"),
        ({"units": 0}, ValueError, "0"),
        ({"storage": "disk"}, ValueError, "'disk'"),
    ],
)
def test_bad_settings_are_named(options, error, named):
    with pytest.raises(error, match=named):
        DropConnect(**{"units": 3, "rate": 0.5, **options})


def test_bits_are_kept_for_a_batch_and_drawn_again_for_samples():
    for per, storage, nbytes in (("batch", None, 4), ("sample", None, 0), ("sample", "bits", 12)):
        layer, masks = built(5, 0.5, per=per, storage=storage), {}
        layer.forward(np.ones((3, 6)), Context(training=True, stream=MaskStream(0), masks=masks))
        assert masks[layer]["weight"].nbytes == nbytes


def test_bad_rates_change_nothing():
    layer = DropConnect(3, 0.25)
    for rate, error in ((np.nan, ValueError), (-0.1, ValueError), ([0.1], TypeError)):
        with pytest.raises(error):
            layer.rate = rate
    assert layer.rate == 0.25


@pytest.mark.parametrize("drop_bias", [False, True])
def test_the_matched_moments_are_those_of_many_masks(drop_bias):
    rate, count = 0.3, 10_000
    layer = built(5, rate, per="sample", drop_bias=drop_bias)
    weight, bias = (p.value for p in layer.parameters())
    row = np.random.default_rng(1).standard_normal(6)
    y, _ = layer.forward(np.tile(row, (count, 1)), training())
    mean = row @ weight + bias
    variance = rate / (1 - rate) * (row**2 @ weight**2 + drop_bias * bias**2)
    assert (abs(y.mean(axis=0) - mean) < 5 * np.sqrt(variance / count)).all()
    error = np.sqrt((((y - mean) ** 2).var(axis=0)) / count)
    assert (abs(((y - mean) ** 2).mean(axis=0) - variance) < 5 * error).all()


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_gaussian_inference_is_the_mean_over_masks(activation):
    """Of a wide sum, which is nearly normal: beside five standard errors, 1 % of its spread."""
    count, inputs = 10_000, 60
    layer = built(4, 0.5, per="sample", activation=activation, inference="gaussian",
                  inputs=inputs)
    row = np.random.default_rng(1).standard_normal(inputs)
    y, _ = layer.forward(np.tile(row, (count, 1)), training())
    expected, _ = layer.forward(row[None], Context())
    spread = y.std(axis=0)
    bound = 5 * spread / np.sqrt(count) + 0.01 * spread
    assert (abs(y.mean(axis=0) - expected[0]) < bound).all()
    plain = built(4, 0.5, activation=activation, inputs=inputs).forward(row[None], Context())[0]
    if activation == "linear":
        np.testing.assert_array_equal(plain, expected)
    else:
        assert (abs(y.mean(axis=0) - plain[0]) > bound).any()


@pytest.mark.parametrize("activation", ["relu", "selu", "sigmoid", "tanh"])
def test_samples_come_near_the_exact_mean(activation):
    x = np.random.default_rng(1).standard_normal((3, 6))
    options = {"activation": activation, "inference": "gaussian"}
    exact, _ = built(5, 0.5, **options).forward(x, Context())
    near, _ = built(5, 0.5, samples=40_000, **options).forward(x, Context())
    other, _ = built(5, 0.5, samples=40_000, rng=1, **options).forward(x, Context())
    weight = built(5, 0.5).parameters()[0].value
    # No activation here is steeper than 2, so the spread of act(u) is at most twice that of u.
    bound = 5 * 2 * np.sqrt(x**2 @ weight**2 / 40_000) + 5e-4
    assert (abs(near - exact) < bound).all() and (abs(other - exact) < bound).all()
    assert (near != other).all()


def test_predictions_do_not_depend_on_the_batch():
    x = np.random.default_rng(1).standard_normal((3, 6))
    layer = built(5, 0.5, activation="tanh", inference="gaussian", samples=10)
    whole = layer.forward(x, Context())[0]
    np.testing.assert_allclose(layer.forward(x[2:], Context())[0], whole[2:], rtol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_gaussian_without_variance_is_the_mean(rate, activation):
    x = np.random.default_rng(1).standard_normal((3, 6))
    x[1] = 0
    layer = built(5, rate, activation=activation, inference="gaussian")
    y, backward = layer.forward(x, Context())
    plain, plain_back = built(5, rate, activation=activation).forward(x, Context())
    np.testing.assert_allclose(y, plain, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(backward(y), plain_back(y), rtol=1e-12, atol=1e-14)


def test_an_input_of_zeros_has_a_finite_gradient():
    layer = built(5, 0.5, activation="relu", inference="gaussian", bias=False)
    y, backward = layer.forward(np.zeros((2, 6)), Context())
    assert not y.any() and np.isfinite(backward(np.ones_like(y))).all()
    assert not layer.parameters()[0].grad.any()


def test_it_trains_in_a_sequential():
    model = Sequential([DropConnect(40, 0.5, per="sample", activation="relu", init="he"),
                        DropConnect(1, 0.2)])
    model.build((6,), rng=0)
    rng, stream = np.random.default_rng(0), MaskStream(0)
    x = rng.standard_normal((64, 6)).astype("f4")
    target = x[:, :1] * x[:, 1:2]

    def loss():
        return float(((model(x) - target) ** 2).mean())

    before = loss()
    for _ in range(300):
        y, backward = model.forward(
            x, Context(training=True, stream=stream, input_gradient=False))
        for parameter in model.parameters():
            parameter.zero_grad()
        backward(2 * (y - target) / len(x))
        for parameter in model.parameters():
            parameter.value -= 0.05 * parameter.grad
    assert loss() < 0.7 * before
