"""The rows of a batch alone get what a pass over all of it makes of them: one row each."""

from itertools import pairwise

import numpy as np
import pytest
from layer_cases import ROWS, built, draw

from cydropout import MaskStream
from cydropout.layers import BatchNorm, Context, Dense, Dropout, Embedding, Layer, ReLU, Sequential
from cydropout.layers._fusion import forward_of
from cydropout.layers._workspace import Workspace

CUT = sorted(name for name, row in ROWS.items() if row.make().by_rows)


def parts(total, ranks):
    ends = [total * rank // ranks for rank in range(ranks + 1)]
    return [(a, b, total) for a, b in pairwise(ends)]


def flat(masks):
    """The factors of all masks, which lie in dicts for layers with several."""
    for mask in masks:
        yield from flat(mask.values()) if isinstance(mask, dict) else [np.asarray(mask)]


def run(layer, x, rows=None):
    """What a training pass gives, its gradients, the masks, and the next draw."""
    stream, masks = MaskStream.from_state(5, 3), {}
    ctx = Context(True, stream, masks=masks, rows=rows)
    for parameter in layer.parameters():
        parameter.zero_grad()
    y, backward = forward_of(layer)(x, ctx)
    dx = backward(np.cos(y))
    gradients = [parameter.grad.copy() for parameter in layer.parameters()]
    return y.copy(), dx, gradients, [*flat(masks.values())], stream.next_draw


def check(layer, x, ranks):
    y, dx, gradients, masks, last = run(layer, x)
    cuts = [(a, b, run(layer, x[a:b], (a, b, n))) for a, b, n in parts(len(x), ranks)]
    assert {one[-1] for *_, one in cuts} == {last}
    for place, whole in enumerate((y, dx)):
        if whole.size:
            together = np.concatenate([one[place] for *_, one in cuts])
            np.testing.assert_allclose(together, whole, 1e-9, 1e-12)
    for place, whole in enumerate(gradients):
        np.testing.assert_allclose(sum(one[2][place] for *_, one in cuts), whole, 1e-9, 1e-11)
    for a, b, one in cuts:
        for mask, whole in zip(one[3], masks, strict=True):
            places = len(whole) // len(x)
            expected = whole if mask.shape == whole.shape else whole[a * places : b * places]
            np.testing.assert_array_equal(mask, expected)
    return masks


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("name", CUT)
def test_rows_alone_are_those_of_the_whole(name, ranks):
    row = ROWS[name]
    check(built(row), draw((3 * row.shape[0] + 1, *row.shape[1:]), 1), ranks)


def test_the_words_that_an_embedding_drops_are_those_of_all():
    layer = Embedding(7, 4, rate=0.5)
    layer.build((5,), 0, "float64")
    tokens = np.random.default_rng(0).integers(0, 7, (7, 5))
    assert check(layer, tokens, 3)


def test_layers_that_run_as_one_pass_cut_their_masks_too():
    model = Sequential([Dense(9), ReLU(), Dropout(0.5), Dense(3), Dropout(0.2)], dtype="float64")
    model.build((4,), 0)
    x = draw((11, 4), 2)
    assert check(model, x, 3)
    y = forward_of(model)(x, Context(True, MaskStream(0)))[0]
    for a, b, n in parts(len(x), 3):
        ctx = Context(True, MaskStream(0), workspace=Workspace(), rows=(a, b, n))
        np.testing.assert_allclose(forward_of(model)(x[a:b], ctx)[0], y[a:b], 1e-12)


def test_no_rows_at_all_move_the_stream_on():
    ctx = Context(True, MaskStream(0), rows=(2, 2, 5))
    assert Dropout(0.5).forward(np.ones((0, 3)), ctx)[0].shape == (0, 3)
    assert ctx.stream.next_draw == 1


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [((0, 2), TypeError, r"rows must be \(start, stop, total\) or None, not \(0, 2\)"),
     ((0, 6, 5), ValueError, "stop of rows.* 6"), ((3, 2, 5), ValueError, "start of rows.* 3"),
     ((0, 2, 2.5), TypeError, "total of rows.* 2.5")],
)
def test_rows_that_a_batch_does_not_have(rows, error, message):
    with pytest.raises(error, match=message):
        Context(rows=rows)


def test_sums_are_a_function():
    with pytest.raises(TypeError, match="sums of Context must be a function or None, not .*3"):
        Context(sums=3)


def test_a_mask_that_is_not_cut_like_the_batch():
    with pytest.raises(ValueError, match=r"shape \(3, 4\) .* rows 0 to 2 .* Context.whole"):
        Context(True, MaskStream(0), rows=(0, 2, 4)).draw((3, 4), 0.5)


def test_what_draws_by_itself_is_refused_by_name():
    layer = built(ROWS["Standout"])
    x = draw(ROWS["Standout"].shape, 0)
    with pytest.raises(ValueError, match=f"{layer.path} cannot draw for some rows"):
        layer.forward(x, Context(True, MaskStream(0), rows=(0, len(x), len(x))))


def test_a_forward_of_others_says_itself_that_rows_are_enough():
    class Own(Layer):
        def forward(self, x, ctx):
            return x - x.mean(0), lambda dy: dy - dy.mean(0)

    class Said(Own):
        by_rows = True

    kinds = Own, Said, BatchNorm, Dense
    assert [kind.by_rows for kind in kinds] == [False, True, False, True]
