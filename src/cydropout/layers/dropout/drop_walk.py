"""DropWalk2D: drop the trace of a random walk over each feature map."""

from __future__ import annotations

from typing import Any

from cydropout.layers._layer import Context, Shape
from cydropout.layers._settings import Checked, Flag
from cydropout.layers.dropout._region import RegionLayer
from cydropout.masks import WalkMask
from cydropout.masks.drop_walk import check_walks
from cydropout.masks.regions import check_rescale


class DropWalk2D(RegionLayer):
    """Zero what random walks over a feature map visit, and scale the rest by ``1 / (1 - rate)``.

    A map is a torus; its walkers go from cell to neighbouring cell until ``rate`` of it is
    visited, rounded to a whole cell up or down at random; see `cydropout.masks.WalkMask` for each
    step. As a torus looks alike from all its cells, each is dropped with probability ``rate``, at
    the border as within. The input has shape (batch, channels, height, width) or (batch, height,
    width, channels). At inference nothing is drawn, and the input itself is returned.

    This variant is our own: regions as connected as the blocks of DropBlock, without their shape.
    No publication of it is known to us. The time to draw grows with the rate: to visit nearly
    all of a map takes many steps.

    Parameters
    ----------
    rate : float
        Probability of dropping. At 1 all is 0.
    walks : int
        How many walkers a map has, each starting anywhere; they take turns.
    data_format : {"channels_first", "channels_last"}
        Whether the channels come right after the batch axis, or last.
    shared_channels : bool
        Whether all channels of a sample have the same walks.
    scaling : {"inverted", "sample", "batch", "none"}
        The factor is that of the rate, numel / kept of each sample or of the batch, or 1.
    name : str, optional
        Name within a `Sequential`.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> x = np.ones((1, 1, 5, 5), "f4")
    >>> y, backward = layers.DropWalk2D(0.3, scaling="none").forward(x, ctx)
    >>> y[0, 0]
    array([[0., 1., 1., 1., 0.],
           [1., 1., 1., 1., 1.],
           [1., 1., 1., 0., 0.],
           [1., 1., 1., 0., 0.],
           [1., 1., 1., 1., 0.]], dtype=float32)
    """

    walks = Checked(check_walks, 1)
    shared_channels = Flag(False)
    scaling = Checked(check_rescale, "inverted")

    def region(self, shape: Shape, ctx: Context, **options: Any) -> Any:
        """Draw the walks of one pass."""
        shared = self.common_axes()
        return ctx.draw_as(
            WalkMask, shape, self.rate, walks=self.walks, shared_axes=shared, **options
        )
