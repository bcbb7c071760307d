"""CutoutDropout: drop a rectangle of each sample."""

from __future__ import annotations

from typing import Any

from cydropout.layers._layer import Context, Shape
from cydropout.layers._settings import Checked, Lengths, Rate
from cydropout.layers.dropout._region import RegionLayer
from cydropout.masks import CutoutMask
from cydropout.masks.cutout import check_holes
from cydropout.masks.regions import check_rescale


class CutoutDropout(RegionLayer):
    """Zero a rectangle of each sample, the same in all channels, and leave the rest as it is.

    The centre is uniform over all pixels, and what lies beyond the border is cut off, so that
    less than the area of a hole is dropped in the mean: `CutoutMask.rate` tells the share. The
    input has shape (batch, channels, height, width) or (batch, height, width, channels). At
    inference nothing is drawn, and the input itself is returned.

    Parameters
    ----------
    rate : float, optional
        The share of the area that a hole has: its lengths are ``round(sqrt(rate) height)`` and
        ``round(sqrt(rate) width)``. At 1 all is 0. A layer with a size has None.
    size : int or pair of ints, optional
        The lengths of a hole instead, as published.
    holes : int
        How many holes a sample has, at most 1024.
    data_format : {"channels_first", "channels_last"}
        Whether the channels come right after the batch axis, or last.
    scaling : {"none", "inverted", "sample", "batch"}
        What is kept stays as it is, as published; or the factor is that of the expected share, or
        numel / kept of each sample or of the batch.
    name : str, optional
        Name within a `Sequential`.

    References
    ----------
    DeVries, Taylor, "Improved regularization of convolutional neural networks with Cutout", 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layers.CutoutDropout(size=2).forward(np.ones((1, 1, 4, 4), "f4"), ctx)
    >>> y[0, 0]
    array([[1., 0., 0., 1.],
           [1., 1., 1., 1.],
           [1., 1., 1., 1.],
           [1., 1., 1., 1.]], dtype=float32)
    """

    rate = Rate(None)
    size = Lengths(None)
    holes = Checked(check_holes, 1)
    scaling = Checked(check_rescale, "none")

    def check_settings(self) -> None:
        """Refuse a rate beside a size, and neither."""
        if (self.rate is None) == (self.size is None):
            raise ValueError(f"give either a rate or a size, not {self.rate=} and {self.size=}")

    def region(self, shape: Shape, ctx: Context, **options: Any) -> Any:
        """Draw the holes of one pass."""
        return ctx.draw_as(
            CutoutMask, shape, self.rate, size=self.size, holes=self.holes, **options
        )
