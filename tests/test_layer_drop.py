"""LayerDrop skips a layer, and all of its work; StochasticDepth zeroes and scales a branch."""

import numpy as np
import pytest

from cydropout import MaskStream
from cydropout.layers import Context, Dense, Dropout, Layer, LayerDrop, Sequential, StochasticDepth


class Counted(Layer):
    """y = 3 x, and how often that was computed."""

    passes = 0

    def forward(self, x, ctx):
        self.passes += 1
        return 3 * x, lambda dy: 3 * dy


def training(stream, **options):
    return Context(training=True, stream=stream, **options)


def test_a_skipped_pass_is_the_identity_and_costs_nothing():
    inner, x, dy = Counted(), np.ones((2, 3)), np.full((2, 3), 5.0)
    layer, stream, run = LayerDrop(inner, 0.5), MaskStream(1), []
    decisions = [MaskStream.from_state(stream.key, d).draw((1,), 0.5).keep[0] for d in range(20)]
    for _ in decisions:
        before = inner.passes
        y, backward = layer.forward(x, training(stream))
        run.append(inner.passes > before)
        if run[-1]:
            assert (y == 3).all() and (backward(dy) == 15).all()
        else:
            assert y is x and backward(dy) is dy
    assert run == decisions and any(run) and not all(run) and stream.next_draw == 20


def test_parameters_get_no_gradient_where_the_layer_is_skipped():
    layer, x = LayerDrop(Dense(3), 0.5), np.ones((2, 3), "f4")
    layer.build((3,), 0)
    for keep in (False, True):
        _, backward = layer.forward(x, training(MaskStream(0)), mask=np.array([keep]))
        backward(x)
        assert [p.grad.any() for p in layer.parameters()] == [keep, keep]


def test_the_rate():
    layer, stream, x = LayerDrop(Counted(), 0.2), MaskStream(3), np.ones((1, 1))
    skipped = sum(layer.forward(x, training(stream))[0] is x for _ in range(4000))
    assert abs(skipped / 4000 - 0.2) < 5 * np.sqrt(0.16 / 4000)


def test_rates_0_and_1():
    x, stream = np.full((2, 2), np.nan), MaskStream(0)
    always = LayerDrop(Counted(), 0.0)
    assert always.forward(x, training(stream))[0] is not x and stream.next_draw == 0
    never = LayerDrop(Counted(), 1.0)
    for _ in range(5):
        assert never.forward(x, training(stream))[0] is x
    assert always.layer.passes == 1 and never.layer.passes == 0


def test_at_inference_the_layer_runs_unless_it_is_pruned():
    layer, x, stream = LayerDrop(Counted(), 1.0), np.ones((2, 2)), MaskStream(0)
    ctx = Context(training=False, stream=stream)
    assert (layer.forward(x, ctx)[0] == 3).all()
    assert layer.forward(x, ctx, mask=np.array([False]))[0] is x
    assert stream.next_draw == 0


def test_the_decision_can_be_had_and_brought_back():
    model = Sequential([LayerDrop(Dense(4), 0.5), LayerDrop(Sequential([Dropout(0.5)]), 0.5)])
    model.build((4,), rng=0)
    x, stream = np.random.default_rng(0).standard_normal((3, 4)).astype("f4"), MaskStream(7)
    for _ in range(8):
        masks = {}
        y, _ = model.forward(x, training(stream, masks=masks))
        taken = stream.next_draw
        assert set(model.layers) <= set(masks)
        np.testing.assert_array_equal(model.forward(x, training(stream, masks=masks))[0], y)
        assert stream.next_draw == taken


@pytest.mark.parametrize(
    "call, error, named",
    [
        (lambda: LayerDrop(Dense(4), 0.5).build((3,)), ValueError, r"\(3,\) into \(4,\)"),
        (lambda: LayerDrop(Dense(4), 0.5).forward(np.ones((2, 3)), training(MaskStream(0))),
         ValueError, r"\(3,\) into \(4,\)"),
        (lambda: LayerDrop(Dense(3), 1.5), ValueError, "1.5"),
        (lambda: LayerDrop(Dense(3), [0.5, 0.1]), TypeError, "one rate"),
        (lambda: LayerDrop("dense", 0.5), TypeError, "dense"),
        (lambda: LayerDrop(Counted(), 0.5).forward(np.ones((2, 3)), Context(training=True)),
         ValueError, "stream"),
        (lambda: LayerDrop(Counted(), 0.5).forward(
            np.ones((2, 3)), training(MaskStream(0)), mask=np.ones(2, bool)),
         ValueError, r"\(2,\)"),
    ],
)
def test_what_does_not_fit_is_named(call, error, named):
    with pytest.raises(error, match=named):
        call()


@pytest.mark.parametrize("per, decisions", [("sample", 5), ("batch", 1)])
def test_stochastic_depth_zeroes_by_sample_or_by_batch(per, decisions):
    """The formula, b x / (1 - rate), and both ways to the whole block: dropped or scaled."""
    layer, stream = StochasticDepth(0.3, per=per), MaskStream(4)
    x, seen = np.random.default_rng(0).standard_normal((5, 3, 2)), set()
    for draw in range(12):
        b = MaskStream.from_state(stream.key, draw).draw((decisions,), 0.3)
        y, backward = layer.forward(x, training(stream))
        want = np.where(b.keep[:, None, None], x * b.scale, 0)
        np.testing.assert_array_equal(y, want)
        np.testing.assert_array_equal(backward(x), want)
        assert b.scale == pytest.approx(1 / 0.7)
        seen.add(int(b.keep.sum()))
    assert seen == {0, 1} if per == "batch" else len(seen) > 2
