"""BatchwiseDropout between dense layers: the numbers of the masked computation, in less work."""

import copy

import numpy as np
import pytest
from reference import misaligned
from reference_submatrix import alone

from cydropout import MaskStream
from cydropout.layers import (
    GELU,
    BatchwiseDropout,
    Context,
    Dense,
    Dropout,
    Flatten,
    ReLU,
    Sequential,
    Tanh,
)
from cydropout.masks import KeepMask
from cydropout.training import optimizers

LAYOUTS = {
    "scattered": {},
    "block": {"block": 4},
    "slice": {"layout": "slice"},
    "slice-block": {"layout": "slice", "block": 3},
}
NETS = {
    "input": lambda **o: [BatchwiseDropout(0.3, **o), Dense(9, activation="relu"), Dense(4)],
    "hidden": lambda **o: [
        Dense(30), ReLU(), BatchwiseDropout(0.5, **o), Dense(21, bias=False), Tanh(),
        BatchwiseDropout(0.4, **o), Dense(4),
    ],
    "both": lambda **o: [
        BatchwiseDropout(0.2, **o), Dense(30, activation="gelu"), BatchwiseDropout(0.5, **o),
        Dense(25), BatchwiseDropout(0.5, scaling="classic", **o), Dense(4), Dropout(0.1),
    ],
    "last": lambda **o: [
        Flatten(), Dense(33), GELU(), BatchwiseDropout(0.5, scaling="sqrt", **o), Flatten(),
        Dense(4), BatchwiseDropout(0.5, **o),
    ],
}
CLOSE = {"float64": {"rtol": 1e-10, "atol": 1e-12}, "float32": {"rtol": 2e-4, "atol": 2e-5}}


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return LAYOUTS[request.param]


@pytest.fixture(params=NETS)
def net(request):
    return NETS[request.param]


def built(layers, dtype="float64", features=40):
    model = Sequential(layers, dtype=dtype)
    model.build((features,), rng=3)
    return model


def samples(rows=13, features=40, dtype="float64"):
    return np.random.default_rng(rows).standard_normal((rows, features)).astype(dtype)


def one_pass(model, x, ctx):
    for parameter in model.parameters():
        parameter.zero_grad()
    y, backward = model.forward(x, ctx)
    return y, backward(np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype))


def assert_same_gradients(model, whole, dtype="float64"):
    for one, other in zip(model.parameters(), whole.parameters(), strict=True):
        np.testing.assert_allclose(one.grad, other.grad, **CLOSE[dtype], err_msg=one.name)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_numbers_are_those_of_the_whole_computation(net, layout, dtype):
    model = built(net(**layout), dtype)
    whole, x = alone(model), samples(dtype=dtype)
    for seed in range(3):
        streams = MaskStream(seed), MaskStream(seed)
        y, dx = one_pass(model, x, Context(True, streams[0]))
        expected, slope = one_pass(whole, x, Context(True, streams[1]))
        assert streams[0].next_draw == streams[1].next_draw > 0
        np.testing.assert_allclose(y, expected, **CLOSE[dtype])
        np.testing.assert_allclose(dx, slope, **CLOSE[dtype])
        assert any(parameter.gradient.submatrix is not None for parameter in model.parameters())
        assert_same_gradients(model, whole, dtype)
        assert y.dtype == dx.dtype == dtype


def test_training_goes_the_same_way(net, layout):
    model = built(net(**layout))
    whole, x = alone(model), samples()
    for each in (model, whole):
        stream, adam = MaskStream(1), optimizers.Adam(0.01)
        for _ in range(6):
            one_pass(each, x, Context(True, stream, input_gradient=False))
            adam.step(each.parameters())
    for one, other in zip(model.parameters(), whole.parameters(), strict=True):
        # Adam divides a gradient by its own size, and what is left of one near 0 is rounding.
        np.testing.assert_allclose(one.value, other.value, rtol=1e-6, atol=1e-8)


def test_a_lazy_step_leaves_what_took_no_part(layout):
    model = built(NETS["both"](lazy=True, **layout))
    adam, masks = optimizers.Adam(0.01), {}
    one_pass(model, samples(), Context(True, MaskStream(0)))
    adam.step(model.parameters())
    before, state = model.state_dict(), adam.state_dict()
    one_pass(model, samples(), Context(True, MaskStream(1), masks=masks))
    adam.step(model.parameters())
    kept = [masks[layer].keep[0] for layer in model.layers if type(layer) is BatchwiseDropout]
    weights = model.layers[3]
    inside = np.ix_(kept[1], kept[2])
    changed = weights.parameters()[0].value != before["3.dense.weight"]
    moved = adam.state_dict()["3.dense.weight.m"] != state["3.dense.weight.m"]
    for flags in (changed, moved):
        assert flags[inside].all()
        flags[inside] = False
        assert not flags.any()
    bias = model.layers[3].parameters()[1].value != before["3.dense.bias"]
    np.testing.assert_array_equal(bias, kept[2])


def test_one_that_is_not_lazy_has_the_rest_step(layout):
    layers = [BatchwiseDropout(0.5, lazy=lazy, **layout) for lazy in (True, False)]
    model = built([layers[0], Dense(20), layers[1], Dense(3)])
    one_pass(model, samples(), Context(True, MaskStream(0)))
    first, _, last, _ = model.parameters()
    assert not first.gradient.lazy
    assert not last.gradient.lazy


def test_low_rates_run_whole_unless_lazy(layout):
    ctx = Context(training=True, stream=MaskStream(5), input_gradient=False)
    for rate, lazy, in_parts in ((0.1, False, False), (0.2, False, True), (0.1, True, True)):
        noise = BatchwiseDropout(rate, lazy=lazy, **layout)
        model = built([Dense(60), noise, Dense(4)])
        one_pass(model, samples(), ctx)
        assert (model.parameters()[0].gradient.submatrix is not None) == in_parts


@pytest.mark.parametrize("edge", [0.0, 1.0, 0.97])
def test_edges_of_the_rate(net, layout, edge):
    model = built(net(**layout))
    x = samples()
    for layer in model.layers:
        if type(layer) is BatchwiseDropout:
            layer.rate = edge
    whole = alone(model)
    streams = MaskStream(4), MaskStream(4)
    y, dx = one_pass(model, x, Context(True, streams[0]))
    expected, slope = one_pass(whole, x, Context(True, streams[1]))
    np.testing.assert_allclose(y, expected, **CLOSE["float64"])
    np.testing.assert_allclose(dx, slope, **CLOSE["float64"])
    assert_same_gradients(model, whole)
    optimizers.Adam().step(model.parameters())
    assert streams[0].next_draw == streams[1].next_draw


def test_inference_and_empty_batches(net, layout):
    model = built(net(**layout))
    np.testing.assert_allclose(model(samples()), alone(model)(samples()), **CLOSE["float64"])
    y, dx = one_pass(model, np.empty((0, 40)), Context(True, MaskStream(0)))
    assert (y.shape, dx.shape) == ((0, *model.output_shape((40,))), (0, 40))
    assert not any(parameter.grad.any() for parameter in model.parameters())


def test_masks_can_be_had_and_brought(net, layout):
    model = built(net(**layout))
    whole, x, masks = alone(model), samples(), {}
    y, dx = one_pass(model, x, Context(True, MaskStream(0), masks=masks))
    again = one_pass(model, x, Context(True, MaskStream(9), masks=dict(masks)))
    np.testing.assert_array_equal(again[0], y)
    np.testing.assert_array_equal(again[1], dx)
    twins = {b: masks[a] for a, b in zip(model.layers, whole.layers, strict=True) if a in masks}
    expected = one_pass(whole, x, Context(True, MaskStream(9), masks=twins))
    np.testing.assert_allclose(y, expected[0], **CLOSE["float64"])
    np.testing.assert_allclose(dx, expected[1], **CLOSE["float64"])


def test_masks_that_differ_between_samples_take_the_long_way(net, layout):
    model = built(net(**layout))
    x, masks, rng = samples(), {}, np.random.default_rng(0)
    whole = alone(model)
    one_pass(model, x, Context(True, MaskStream(0), masks=masks))
    brought = {
        layer: KeepMask(mask.shape, rng.random(mask.shape) < 0.5, 2.0)
        for layer, mask in masks.items()
        if type(layer) is BatchwiseDropout
    }
    twins = {whole.layers[model.layers.index(k)]: v for k, v in brought.items()}
    y, dx = one_pass(model, x, Context(True, MaskStream(0), masks=brought))
    expected, slope = one_pass(whole, x, Context(True, MaskStream(0), masks=twins))
    np.testing.assert_allclose(y, expected, **CLOSE["float64"])
    np.testing.assert_allclose(dx, slope, **CLOSE["float64"])


def test_rates_of_their_own_and_a_late_dropout_take_the_long_way():
    rates = np.linspace(0.1, 0.9, 20)
    layers = [Dense(20), BatchwiseDropout(rates), Dense(5), BatchwiseDropout(0.5), Dense(3)]
    model = built(layers)
    x = samples()
    for _ in range(2):
        whole = alone(model)
        y, dx = one_pass(model, x, Context(True, MaskStream(2)))
        expected, slope = one_pass(whole, x, Context(True, MaskStream(2)))
        np.testing.assert_allclose(y, expected, **CLOSE["float64"])
        np.testing.assert_allclose(dx, slope, **CLOSE["float64"])
        assert_same_gradients(model, whole)
        model.layers[1].rate = 0.5
        model.layers[3].rate = np.linspace(0.2, 0.4, 5)


def test_gradients_against_differences(layout):
    model = built(NETS["both"](**layout))
    x, masks = samples(5), {}
    y, dx = one_pass(model, x, Context(True, MaskStream(0), masks=masks))
    dy, step = np.cos(np.arange(y.size)).reshape(y.shape), 1e-6
    rng = np.random.default_rng(1)
    targets = [(x, dx)] + [(p.value, p.grad.copy()) for p in model.parameters()]
    for array, slope in targets:
        way = rng.standard_normal(array.shape)
        start, values = array.copy(), []
        for sign in (1, -1):
            array[...] = start + sign * step * way
            values.append((model.forward(x, Context(True, None, masks=masks))[0] * dy).sum())
        array[...] = start
        difference = (values[0] - values[1]) / (2 * step)
        np.testing.assert_allclose((slope * way).sum(), difference, rtol=1e-5, atol=1e-7)


def test_what_is_dropped_is_never_read():
    model = built([BatchwiseDropout(0.5), Dense(3)])
    x, masks = samples(), {}
    model.forward(x, Context(True, MaskStream(0), masks=masks))
    keep = masks[model.layers[0]].keep
    x[~keep] = np.nan
    y, dx = one_pass(model, x, Context(True, None, masks=masks))
    assert np.isfinite(y).all()
    assert not dx[~keep].any()


def test_passes_under_way_at_once_and_copies():
    model = built(NETS["both"]())
    x, dy = samples(), np.ones((13, 4))
    expected = []
    for seed in (1, 2):
        _, backward = model.forward(x, Context(True, MaskStream(seed)))
        expected.append(backward(dy))
    total = [parameter.grad.copy() for parameter in model.parameters()]
    twin = copy.deepcopy(model)
    for parameter in twin.parameters():
        parameter.zero_grad()
    ways = [twin.forward(x, Context(True, MaskStream(seed)))[1] for seed in (1, 2)]
    np.testing.assert_array_equal(ways[1](dy), expected[1])
    np.testing.assert_array_equal(ways[0](dy), expected[0])
    for parameter, grad in zip(twin.parameters(), total, strict=True):
        np.testing.assert_allclose(parameter.grad, grad, **CLOSE["float64"])


def test_blocks_and_slices_are_what_they_say():
    ones, stream = np.ones((3, 64)), MaskStream(5)
    for _ in range(20):
        keep = BatchwiseDropout(0.5, block=5).mask((3, 64), Context(True, stream)).keep
        assert (keep == keep[0]).all()
        assert all(len(set(keep[0, at : at + 5])) == 1 for at in range(0, 64, 5))
        y = BatchwiseDropout(0.75, layout="slice").forward(ones, Context(True, stream))[0]
        places = np.flatnonzero(y[0])
        assert len(places) == 16
        assert places[-1] - places[0] == 15
        assert (y[:, places] == 4).all()


def test_starts_of_slices_are_equally_likely():
    layer, stream = BatchwiseDropout(0.5, layout="slice"), MaskStream(0)
    starts = [int(layer.mask((1, 8), Context(True, stream)).keep[0].argmax()) for _ in range(2000)]
    counts = np.bincount(starts, minlength=5)
    assert len(counts) == 5
    assert (abs(counts - 400) < 5 * np.sqrt(2000 * 0.2 * 0.8)).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate": 0.5, "block": 0}, "block"),
        ({"rate": 0.5, "block": True}, "True"),
        ({"rate": 0.5, "layout": "sliced"}, "sliced"),
        ({"rate": [0.5, 0.1], "block": 2}, "one rate"),
        ({"rate": [0.5, 0.1], "layout": "slice"}, "one rate"),
        ({"rate": 1.5, "layout": "slice"}, "1.5"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        BatchwiseDropout(**settings)


def test_wrong_shapes_are_named():
    model = built([BatchwiseDropout(0.5), Dense(6), BatchwiseDropout(0.5)])
    with pytest.raises(ValueError, match="40 input features"):
        model.forward(samples(features=41), Context(True, MaskStream(0)))
    _, backward = model.forward(samples(), Context(True, MaskStream(0)))
    with pytest.raises(ValueError, match="shape"):
        backward(np.ones((13, 7)))
    assert model.forward(samples().reshape(1, 13, 40), Context(True, MaskStream(0)))[0].shape == (
        1, 13, 6
    )


def test_weights_that_do_not_fit_are_refused(layout):
    model = built([Dense(60), BatchwiseDropout(0.5, **layout), Dense(60), Dense(4)])
    weight, _, second, _, _, _ = model.parameters()
    for parameter, wrong in ((second, second.value[:30]), (weight, weight.value[:, :30])):
        right, parameter.value = parameter.value, np.ascontiguousarray(wrong)
        with pytest.raises(ValueError):
            model.forward(samples(), Context(training=True, stream=MaskStream(5)))
        parameter.value = right


def test_all_must_ask_for_a_lazy_step():
    model = built([BatchwiseDropout(0.0), Dense(60), BatchwiseDropout(0.5, lazy=True), Dense(4)])
    one_pass(model, samples(), Context(training=True, stream=MaskStream(5)))
    assert [p.gradient.lazy for p in model.parameters()] == [
        False, True, True, False]


@pytest.mark.parametrize("block", [2, 5, 2**40, 2**48 - 1])
def test_a_block_beyond_the_units_takes_no_memory(block):
    keep, wanted = (
        BatchwiseDropout(0.5, block=one).mask((3, 5), Context(True, MaskStream(0))).keep
        for one in (block, min(block, 5))
    )
    np.testing.assert_array_equal(keep, wanted)


@pytest.mark.parametrize("laid", [np.asfortranarray, lambda x: x[::-1][::-1], misaligned])
def test_inputs_and_gradients_in_any_layout(laid):
    x = np.random.default_rng(0).normal(size=(6, 40)).astype("f4")
    found = []
    for lay in (np.array, laid):
        model = built(NETS["both"](), "float32")
        y, backward = model.forward(lay(x), Context(True, MaskStream(0)))
        found.append((y, backward(lay(np.ones_like(y)))))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
