"""Layers that drop blocks, walks and holes: how they hand their settings to the masks."""

import numpy as np
import pytest
from test_regions import DRAW, KEY, stream

from cydropout import MaskStream
from cydropout.layers import (
    Context,
    CutoutDropout,
    DropBlock1D,
    DropBlock2D,
    DropBlock3D,
    DropWalk2D,
)
from cydropout.masks import BlockMask, CutoutMask, WalkMask


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize(
    "make, ndim", [(DropBlock1D, 1), (DropBlock2D, 2), (DropBlock3D, 3), (DropWalk2D, 2)]
)
def test_channels_may_share_and_stand_last(make, ndim, data_format):
    first = data_format == "channels_first"
    shape = (4, 5, *(9, 8, 7)[:ndim]) if first else (4, *(9, 8, 7)[:ndim], 5)
    ctx = Context(training=True, stream=stream())
    for shared in (False, True):
        layer = make(0.4, data_format=data_format, shared_channels=shared)
        keep = np.moveaxis(layer.mask(shape, ctx).keep, 1 if first else -1, 0)
        assert (keep == keep[:1]).all() == shared


def test_a_layer_passes_its_settings_on():
    ctx = Context(training=True, stream=stream())
    mask = DropBlock2D(0.2, (2, 3), gamma="paper", scaling="batch").mask((6, 5, 12, 12), ctx)
    expected = stream().make(BlockMask, (6, 5, 12, 12), 0.2, (2, 3), gamma="paper", scaling="batch")
    assert repr(mask) == repr(expected) and mask.gamma == expected.gamma
    np.testing.assert_array_equal(mask.bits, expected.bits)
    mask = DropWalk2D(0.2, walks=3, scaling="sample").mask((6, 5, 12, 12), ctx)
    other = MaskStream.from_state(KEY, DRAW + 1)
    expected = other.make(WalkMask, (6, 5, 12, 12), 0.2, walks=3, scaling="sample")
    np.testing.assert_array_equal(mask.bits, expected.bits)
    layer = CutoutDropout(size=4, holes=2, scaling="inverted", data_format="channels_last")
    mask, other = layer.mask((6, 12, 12, 5), ctx), MaskStream.from_state(KEY, DRAW + 2)
    expected = other.make(
        CutoutMask, (6, 12, 12, 5), size=4, holes=2, scaling="inverted", axes=(1, 2)
    )
    np.testing.assert_array_equal(mask.bits, expected.bits)
    assert mask.scale == expected.scale > 1


def test_a_layer_of_a_size_has_no_rate():
    layer = CutoutDropout(size=(3, 4))
    assert layer.rate is None and layer.get_config()["size"] == (3, 4)
    for make in (
        lambda: setattr(layer, "rate", 0.5), CutoutDropout, lambda: CutoutDropout(0.5, size=3)
    ):
        with pytest.raises(ValueError, match="either a rate or a size"):
            make()


@pytest.mark.parametrize("kind", [DropBlock1D, DropBlock2D, DropBlock3D, DropWalk2D, CutoutDropout])
def test_a_layer_can_be_made_again_from_its_settings(kind):
    layer = kind(0.3)
    assert kind(**layer.get_config()).get_config() == layer.get_config()
    with pytest.raises(ValueError, match="'NCHW'"):
        kind(0.3, data_format="NCHW")
    with pytest.raises(ValueError, match=f"{kind.spatial + 2} axes"):
        layer.forward(np.ones((2, 3)), Context())


def test_rates_may_change_between_passes():
    layer, x = DropBlock2D(0.0, 3), np.ones((8, 4, 20, 20))
    ctx = Context(training=True, stream=stream())
    shares = []
    for rate in (0.0, 0.1, 0.6, 1.0):
        layer.rate = rate
        shares.append((layer.forward(x, ctx)[0] == 0).mean())
    np.testing.assert_allclose(shares, [0, 0.1, 0.6, 1], atol=0.05)
