"""WeightDropout: any layer with masked parameters, its masks had and brought, what it refuses."""

import numpy as np
import pytest
import reference

from cydropout import MaskStream
from cydropout.layers import (
    Context,
    Dense,
    DropConnect,
    Dropout,
    Layer,
    Parameter,
    Sequential,
    Tanh,
    WeightDropout,
)


class Recurrent(Layer):
    """h_t = tanh(x_t U + mask(h_(t-1)) W), with a mask of its own: a small recurrent layer."""

    def __init__(self):
        super().__init__()
        self.state = Dropout(0.3)

    def build(self, input_shape, rng=None, dtype=None):
        rng = np.random.default_rng(rng)
        for name in ("input", "recurrent"):
            self._parameters[name] = Parameter(rng.standard_normal((4, 4)) / 2, name)

    def forward(self, x, ctx):
        taken, kept = (p.value for p in self.parameters())
        mask = ctx.record(self, ctx.mask_for(self.state, (len(x), 4)))
        states = [np.zeros((len(x), 4))]
        for t in range(x.shape[1]):
            states.append(np.tanh(x[:, t] @ taken + mask.apply(states[-1]) @ kept))

        def backward(dy):
            dx, later = np.empty_like(x), dy
            for t in range(x.shape[1])[::-1]:
                dz = later * (1 - states[t + 1] ** 2)
                self._parameters["input"].accumulate(x[:, t].T @ dz)
                self._parameters["recurrent"].accumulate(mask.apply(states[t]).T @ dz)
                dx[:, t], later = dz @ taken.T, mask.apply(dz @ kept.T)
            return dx

        return states[-1], backward


def inputs(*shape):
    return np.random.default_rng(0).standard_normal(shape)


def training(masks=None, draws=0):
    return Context(training=True, stream=MaskStream.from_state(11, draws), masks=masks)


def built(layer, rate=0.5, parameters=("weight",), shape=(6,), **options):
    wrapped = WeightDropout(layer, rate, parameters, **options)
    wrapped.build(shape, 3, "float64")
    return wrapped


@pytest.mark.parametrize("storage", ["bits", "seed"])
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_dense_with_masked_weights(rate, storage):
    layer, x = built(Dense(5, activation="tanh"), rate, storage=storage), inputs(4, 6)
    weight = layer.parameters()[0]
    y, backward = layer.forward(x, training())
    keep = reference.keep(11, 0, (6, 5), rate)
    scale = reference.scale(rate)
    np.testing.assert_allclose(y, np.tanh(x @ np.where(keep, weight.value * scale, 0)), rtol=1e-12)
    dz = np.cos(y) * (1 - y**2)
    np.testing.assert_allclose(
        backward(np.cos(y)), dz @ np.where(keep, weight.value * scale, 0).T, rtol=1e-11)
    np.testing.assert_allclose(weight.grad, np.where(keep, x.T @ dz * scale, 0), rtol=1e-11)


def test_it_is_batch_dropconnect():
    x = inputs(4, 6)
    wrapped, own = built(Dense(5, activation="relu")), DropConnect(5, 0.5, activation="relu")
    own.build((6,), 3, "float64")
    (y, back), (z, other) = wrapped.forward(x, training()), own.forward(x, training())
    assert y.tobytes() == z.tobytes() and back(y).tobytes() == other(y).tobytes()
    for a, b in zip(wrapped.parameters(), own.parameters(), strict=True):
        np.testing.assert_array_equal(a.grad, b.grad)


@pytest.mark.parametrize("train", [True, False])
def test_the_recurrent_matrix_alone(train):
    layer, x = built(Recurrent(), 0.5, "recurrent", (3, 4)), inputs(2, 3, 4)
    taken, kept = (p.value.copy() for p in layer.parameters())
    masks = {}
    y, backward = layer.forward(x, training(masks) if train else Context())
    twin = Recurrent()
    twin.build((3, 4), 3)
    if train:
        assert set(masks) == {layer, layer.layer, layer.layer.state}
        assert list(masks[layer]) == ["recurrent"] and masks[layer]["recurrent"].draw == 0
        twin._parameters["recurrent"].value = np.where(masks[layer]["recurrent"].keep, 2 * kept, 0)
    inner = {twin.state: masks[layer.layer.state]} if train else None
    z, other = twin.forward(x, training(inner) if train else Context())
    np.testing.assert_array_equal(y, z)
    np.testing.assert_array_equal(backward(y), other(y))
    slope = twin._parameters["recurrent"].grad
    expected = np.where(masks[layer]["recurrent"].keep, 2 * slope, 0) if train else slope
    np.testing.assert_array_equal(layer.parameters()[1].grad, expected)
    np.testing.assert_array_equal(layer.parameters()[0].grad, twin.parameters()[0].grad)
    for value, parameter in zip((taken, kept), layer.parameters(), strict=True):
        np.testing.assert_array_equal(parameter.value, value)


def test_masks_of_the_layer_inside_are_found_again():
    layer, x, masks = built(Recurrent(), 0.5, "recurrent", (3, 4)), inputs(2, 3, 4), {}
    y, _ = layer.forward(x, training(masks))
    again, _ = layer.forward(x, training(masks, 7))
    assert again.tobytes() == y.tobytes()
    assert set(masks) == {layer, layer.layer, layer.layer.state}


def nested():
    return Sequential([Dense(5), Tanh(), Sequential([Dropout(0.5), Dense(3)]), Dense(2),
                       Dropout(0.5)],
                      dtype="float64")


def test_names_within_models():
    names = ["0.dense.weight", "2.sequential.1.dense.weight", "3.dense.bias"]
    layer, masks, x = built(nested(), 0.5, names), {}, inputs(4, 6)
    for parameter in layer.parameters():
        parameter.value += 0.1
    y, _ = layer.forward(x, training(masks))
    assert list(masks[layer]) == names
    assert [mask.draw for mask in masks[layer].values()] == [0, 1, 2]
    def noise(model):
        return model.layers[2].layers[0], model.layers[4]

    assert set(masks) == {layer, *noise(layer.layer)}
    twin = nested()
    twin.build((6,), 3, "float64")
    state = layer.state_dict()
    for name in names:
        state[name] = masks[layer][name].apply(state[name])
    twin.load_state_dict(state)
    pairs = zip(noise(layer.layer), noise(twin), strict=True)
    held = {other: masks[mine] for mine, other in pairs}
    np.testing.assert_array_equal(twin.forward(x, training(held))[0], y)


def test_masks_can_be_brought():
    layer, masks, x = built(Dense(5), 0.4, ["weight", "bias"]), {}, inputs(4, 6)
    y, backward = layer.forward(x, training(masks))
    dx, stream = backward(y), MaskStream(1)
    bools = {name: mask.keep for name, mask in masks[layer].items()}
    for brought in (masks[layer], bools):
        again, back = layer.forward(x, Context(training=True, stream=stream), mask=brought)
        assert again.tobytes() == y.tobytes() and back(y).tobytes() == dx.tobytes()
    assert stream.next_draw == 0
    for wrong, named in (
        ({"weight": bools["weight"][:-1]}, r"\(5, 5\)"),
        ({"kernel": bools["weight"]}, "kernel"),
    ):
        with pytest.raises(ValueError, match=named):
            layer.forward(x, Context(training=True, stream=stream), mask=wrong)
    assert stream.next_draw == 0


def test_nan_that_is_dropped_is_gone():
    layer, x = built(Dense(5)), inputs(4, 6)
    keep = np.ones((6, 5), bool)
    keep[2, 3] = False
    layer.parameters()[0].value[2, 3] = np.nan
    y, backward = layer.forward(x, training(), mask={"weight": keep})
    backward(y)
    assert np.isfinite(y).all() and np.isfinite(layer.parameters()[0].grad).all()


def test_inference_draws_nothing_and_is_the_layer_itself():
    layer, x, stream = built(Dense(5)), inputs(4, 6), MaskStream(0)
    y, _ = layer.forward(x, Context(stream=stream))
    np.testing.assert_array_equal(y, layer.layer.forward(x, Context())[0])
    assert stream.next_draw == 0


def test_gradients_add_up():
    layer, x = built(Dense(5)), inputs(4, 6)
    y, backward = layer.forward(x, training())
    backward(y)
    once = layer.parameters()[0].grad.copy()
    backward(y)
    np.testing.assert_array_equal(layer.parameters()[0].grad, 2 * once)


class Closed(Layer):
    """A layer whose parameter is where `with_parameters` does not find it."""

    def __init__(self):
        super().__init__()
        inner = Dense(3)
        self.inner = lambda: inner

    def named_parameters(self):
        yield from self.inner().named_parameters()

    def build(self, input_shape, rng=None, dtype=None):
        self.inner().build(input_shape, rng, dtype)


def test_what_cannot_be_dropped_is_named():
    stream = MaskStream(0)
    ctx = Context(training=True, stream=stream)
    for layer, named in (
        (WeightDropout(Dense(3), 0.5), "before build"),
        (built(Dense(3), parameters="kernel"), r"\['kernel'\].*\['weight', 'bias'\]"),
        (built(nested(), parameters="dense.weight"), "0.dense.weight"),
        (built(Closed()), "cannot replace"),
    ):
        with pytest.raises(ValueError, match=named):
            layer.forward(inputs(4, 6), ctx)
    with pytest.raises(ValueError, match="6 input features, got 7"):
        built(Dense(3)).forward(inputs(4, 7), ctx)
    assert stream.next_draw == 0


@pytest.mark.parametrize(
    "change, error, named",
    [
        ({"rate": -0.1}, ValueError, "-0.1"),
        ({"rate": [0.1]}, TypeError, "one rate"),
        ({"layer": "dense"}, TypeError, "'dense'"),
        ({"parameters": ()}, ValueError, r"\(\)"),
        ({"parameters": ["weight", "weight"]}, ValueError, "'weight', 'weight'"),
        ({"storage": "disk"}, ValueError, "'disk'"),
    ],
)
def test_bad_settings_are_named(change, error, named):
    with pytest.raises(error, match=named):
        WeightDropout(**{"layer": Dense(3), "rate": 0.5, **change})


def test_wrappers_within_wrappers():
    layer, masks, x = built(WeightDropout(Dense(5), 0.5, "bias"), 0.5), {}, inputs(4, 6)
    layer.parameters()[1].value += 1.0
    y, backward = layer.forward(x, training(masks))
    assert set(masks) == {layer, layer.layer}
    weight = masks[layer]["weight"].apply(layer.parameters()[0].value)
    bias = masks[layer.layer]["bias"].apply(layer.parameters()[1].value)
    np.testing.assert_allclose(y, x @ weight + bias, rtol=1e-12)
    backward(y)
    np.testing.assert_allclose(
        layer.parameters()[1].grad, masks[layer.layer]["bias"].apply(y.sum(axis=0)), rtol=1e-12)
