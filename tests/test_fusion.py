"""What runs as one pass is what nobody changed: a subclass with its own forward runs its own."""

import itertools

import numpy as np
import pytest

from cydropout import MaskStream, Trainer, predict_mc
from cydropout.layers import (
    BatchNorm,
    BatchwiseDropout,
    Context,
    Conv2D,
    Dense,
    Dropout,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
    Tanh,
)
from cydropout.layers._fusion import FUSED, RULES
from cydropout.layers._workspace import Workspace
from cydropout.training.monte_carlo import predict_pass


def tripled(kind):
    class Tripled(kind):
        def forward(self, x, ctx):
            y, back = super().forward(x, ctx)
            return 3 * y, lambda dy: back(3 * dy)

    return Tripled


FLAT, MAPS = (6, 5), (3, 5, 6, 5)
ARGUMENTS = {
    Dense: (5,), Conv2D: (5, 1), Dropout: (0.5,), BatchwiseDropout: (0.5,), MaxPool2D: (1,),
}


def make(kind, base=None, data_format="channels_last"):
    base = base or kind
    more = {"data_format": data_format} if base in (Conv2D, MaxPool2D) else {}
    more |= {"axis": -1} if base is BatchNorm else {}
    return kind(*ARGUMENTS.get(base, ()), **more)


def fused():
    """For each rule, class and place the shortest layers that this rule runs as one."""
    found = {}
    for count in (2, 3):
        for kinds in itertools.product(FUSED, repeat=count):
            layers = [make(kind) for kind in kinds]
            for rule in RULES:
                one = rule(layers)
                if one is not None and len(one.layers) == count:
                    for place, kind in enumerate(kinds):
                        name = f"{rule.__name__}-{kind.__name__}-{place}"
                        found.setdefault(name, (kinds, place))
    return found


PATTERNS = fused()
PATTERNS |= {
    f"channels_first-{place}": ((Conv2D, ReLU), place) for place in (0, 1)
}


def test_every_rule_and_every_class_has_a_pattern():
    assert {name.split("-")[0] for name in fused()} == {rule.__name__ for rule in RULES}
    assert {name.split("-")[1] for name in fused()} == {kind.__name__ for kind in FUSED}


@pytest.fixture(params=PATTERNS, name="pattern")
def _pattern(request):
    """Return what makes the layers, with one of them of another class, and the shape of x."""
    kinds, changed = PATTERNS[request.param]
    data_format = "channels_first" if "first" in request.param else "channels_last"

    def layers(change):
        return [
            make(change(kind) if place == changed else kind, kind, data_format)
            for place, kind in enumerate(kinds)
        ]

    return layers, MAPS if {Conv2D, MaxPool2D} & {*kinds} else FLAT


def passes(layers, shape, train, fuse, inside=False):
    """Return the output, the gradients and the layers of each pass."""
    model = Sequential(layers, dtype="float64", fuse=fuse)
    if inside:
        model = Sequential([Residual(*model.layers)], dtype="float64", fuse=fuse)
    model.build(shape[1:], rng=1)
    x = np.random.default_rng(0).standard_normal(shape)
    # With a workspace, as in a step of training, products in a row are one call.
    ctx = Context(train, MaskStream(5), workspace=Workspace() if train and fuse else None)
    y, back = model.forward(x, ctx)
    return model, [y, back(np.ones_like(y)), *(p.grad for p in model.parameters())]


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("train", [True, False])
def test_a_subclass_runs_its_own_forward(pattern, train, inside):
    make, shape = pattern
    _, fused = passes(make(tripled), shape, train, True, inside)
    plain, expected = passes(make(tripled), shape, train, False)
    if inside:
        x = np.random.default_rng(0).standard_normal(shape)
        expected = [expected[0] + x, expected[1] + 1, *expected[2:]]
    for one, other in zip(fused, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
    _, without = passes(make(lambda kind: kind), shape, train, True)
    assert not np.allclose(without[0], plain.forward(x, Context())[0] if inside else expected[0])


def test_the_same_layers_unchanged_run_as_one(pattern):
    make, shape = pattern
    model, fused = passes(make(lambda kind: kind), shape, True, True)
    assert [len(step.layers) for step in model.steps] == [len(model.layers)]
    _, plain = passes(make(lambda kind: kind), shape, True, False)
    for one, other in zip(fused, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
    changed, _ = passes(make(tripled), shape, True, True)
    assert len(changed.steps) > 1


@pytest.mark.filterwarnings("ignore:predict_mc. all passes are alike")
def test_monte_carlo_describes_the_model_that_predicts(pattern):
    make, shape = pattern
    model, _ = passes(make(tripled), shape, False, True)
    x = np.random.default_rng(0).standard_normal(shape)
    found = predict_mc(model, x, 3, rng=0)
    for key in found.keys:
        ctx = Context(True, MaskStream.from_state(key, 0), batch_statistics=False)
        y, _ = model.forward(x, ctx)
        np.testing.assert_allclose(predict_pass(model, x, key), y, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("place", range(4))
def test_a_subclass_among_dense_layers_in_a_row_runs_its_own_forward(place):
    def layers():
        kinds = [Dense, ReLU, Dropout, Dense]
        return [make(tripled(one) if n == place else one, one) for n, one in enumerate(kinds)]

    _, fused = passes([Dense(5), *layers()], FLAT, True, True)
    _, plain = passes([Dense(5), *layers()], FLAT, True, False)
    for one, other in zip(fused, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_forward_set_on_one_layer_is_run(pattern, when):
    make, shape = pattern
    _, expected = passes(make(tripled), shape, True, False)
    place = next(n for n, one in enumerate(make(tripled)) if type(one).__name__ == "Tripled")
    layers = make(lambda kind: kind)
    inner = layers[place].forward

    def forward(x, ctx):
        y, back = inner(x, ctx)
        return 3 * y, lambda dy: back(3 * dy)

    if when == "before":
        layers[place].forward = forward
    model = Sequential(layers, dtype="float64")
    layers[place].forward = forward
    model.build(shape[1:], rng=1)
    x = np.random.default_rng(0).standard_normal(shape)
    y, back = model.forward(x, Context(True, MaskStream(5), workspace=Workspace()))
    for one, other in zip([y, back(np.ones_like(y))], expected, strict=False):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.filterwarnings("ignore:predict_mc. all passes are alike")
def test_a_unit_of_the_user_trains_and_predicts_as_it_says():
    class LeakyReLU(ReLU):
        def forward(self, x, ctx):
            slope = np.where(x > 0, 1, 0.2).astype(x.dtype)
            return slope * x, lambda dy: slope * dy

    x = np.random.default_rng(0).standard_normal((32, 6)).astype("float32")
    y = (x[:, 0] > 0).astype(int)
    model = Sequential([Dense(16), LeakyReLU(), Dense(2)])
    trainer = Trainer(model, "softmax_cross_entropy", "sgd", rng=0)
    trainer.fit(x, y, epochs=2, progress=False)
    first, b1, second, b2 = (p.value for p in model.parameters())
    z = x @ first + b1
    expected = np.where(z > 0, z, 0.2 * z) @ second + b2
    np.testing.assert_allclose(trainer.predict(x), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(predict_mc(model, x, 2).mean, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("first", [lambda: Dense(5), lambda: Conv2D(4, 1)])
def test_an_activation_set_later_comes_before_the_unit(first):
    shape, found = FLAT if isinstance(first(), Dense) else MAPS, []
    for fuse in (True, False):
        model, _ = passes([first(), Tanh()], shape, False, fuse)
        model.layers[0].activation = "relu"
        found.append(model.forward(np.ones(shape), Context())[0])
    np.testing.assert_array_equal(*found)
