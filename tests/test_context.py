"""Which mask a pass uses: one supplied before one replayed before a new one, for every variant."""

import inspect

import numpy as np
import pytest
from layer_cases import ROWS, built, draw

from cydropout import MaskStream
from cydropout.layers import Context
from cydropout.layers._context import Masks

NOISY = [name for name, row in ROWS.items() if row.random]


def training(masks, draws=0):
    return Context(True, MaskStream.from_state(99, draws), masks=masks)


def two_passes(name):
    """Return a layer, its input, and outputs and masks of two passes that differ."""
    layer, x, found = built(ROWS[name]), draw(ROWS[name].shape, 1), []
    for draws in range(40):
        masks = {}
        found.append((layer.forward(x, training(masks, 10 * draws))[0], masks))
        if not np.array_equal(found[0][0], found[-1][0]):
            return layer, x, found[0], found[-1]
    raise AssertionError("every pass gave the same")


@pytest.mark.parametrize("name", NOISY)
def test_a_mask_from_the_context_wins(name):
    layer, x, (y, masks), (other, others) = two_passes(name)
    held = dict(others)
    ctx = training(held, 5)
    np.testing.assert_array_equal(layer.forward(x, ctx)[0], other)
    np.testing.assert_array_equal(layer.forward(x, ctx.supplying(masks))[0], y)
    assert ctx.stream.next_draw == 5
    # What was used is what stands there now.
    np.testing.assert_array_equal(layer.forward(x, training(held, 5))[0], y)


@pytest.mark.parametrize("name", NOISY)
def test_the_mask_of_a_forward_wins(name):
    layer, x, (y, masks), (_, others) = two_passes(name)
    if "mask" not in inspect.signature(layer.forward).parameters:
        pytest.skip("takes no mask of its own")
    names = {noise: attribute for attribute, noise in layer.children().items()}
    if layer in masks:
        mask, theirs = masks[layer], {layer: others[layer]}
    elif hasattr(layer, "return_sequences"):
        mask = {names[noise]: one for noise, one in masks.items()}
        theirs = {noise: others[noise] for noise in names if noise in others}
    else:
        mask, theirs = masks[layer.dropout], {layer.dropout: others[layer.dropout]}
    inside = {one: masks[one] for one in masks if one not in theirs}
    ctx = training({**theirs, **inside}, 5).supplying({**theirs, **inside})
    np.testing.assert_array_equal(layer.forward(x, ctx, mask=mask)[0], y)
    assert ctx.stream.next_draw == 5


@pytest.mark.parametrize("name", NOISY)
def test_a_record_gives_nothing_back(name):
    layer, x, (y, _), (_, others) = two_passes(name)
    again = layer.forward(x, training(Masks(dict(others), "record"), 0))[0]
    np.testing.assert_array_equal(again, y)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Masks({}, "rewind"), ValueError, "mode.*rewind.*replay"),
        (lambda: Context(masks=[1]), TypeError, r"masks.*\[1\]"),
    ],
)
def test_what_is_no_record_is_named(make, error, words):
    with pytest.raises(error, match=words):
        make()


FLAGS = ("training", "input_gradient", "backward", "batch_statistics")


@pytest.mark.parametrize("name, wrong, words", [
    *((name, wrong, "must be True or False") for name in FLAGS for wrong in (1, "no", None)),
    ("stream", 0, "must be a MaskStream or None, not the int 0"),
    ("stream", np.random.default_rng(0), "must be a MaskStream"),
    ("states", [], "must be a dict or None"), ("workspace", {}, "must be a Workspace or None"),
])
def test_what_a_pass_knows_is_checked(name, wrong, words):
    with pytest.raises(TypeError, match=f"{name}.* {words}"):
        Context(**{name: wrong})
    assert Context(**dict.fromkeys(FLAGS, np.True_)).backward is True
