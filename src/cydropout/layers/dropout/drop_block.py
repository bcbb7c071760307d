"""DropBlock1D, 2D and 3D: drop blocks of feature maps."""

from __future__ import annotations

from typing import Any

from cydropout.layers._layer import Context, Shape
from cydropout.layers._settings import Checked, Flag, Lengths
from cydropout.layers.dropout._region import RegionLayer
from cydropout.masks import BlockMask
from cydropout.masks.drop_block import check_gamma


class _DropBlock(RegionLayer):
    """Blocks over `spatial` axes."""

    positional = "rate block_size"
    block_size = Lengths(7)
    shared_channels = Flag(False)
    gamma = Checked(check_gamma, "exact")

    def region(self, shape: Shape, ctx: Context, **options: Any) -> Any:
        """Draw the blocks of one pass."""
        shared = self.common_axes()
        return ctx.draw_as(
            BlockMask, shape, self.rate, self.block_size, shared_axes=shared, gamma=self.gamma,
            **options,
        )

class DropBlock1D(_DropBlock):
    """Zero random stretches of sequences, ``rate`` of all, and scale the rest.

    The input has shape (batch, channels, steps) or (batch, steps, channels). Parameters and paper
    are those of `DropBlock2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> x = np.ones((1, 2, 8), "f4")
    >>> y, backward = layers.DropBlock1D(0.4, 3, scaling="none").forward(x, ctx)
    >>> y[0]
    array([[1., 1., 0., 0., 0., 0., 0., 0.],
           [1., 0., 0., 0., 0., 1., 1., 1.]], dtype=float32)
    """

    spatial = 1


class DropBlock2D(_DropBlock):
    """Zero random blocks of feature maps, ``rate`` of all, and scale the rest.

    y = keep x numel / kept. Each block begins at a seed, drawn with probability gamma where a
    block lies within the map as a whole; see `cydropout.masks.BlockMask`. The input has shape
    (batch, channels, height, width) or (batch, height, width, channels). At inference nothing is
    drawn, and the input itself is returned.

    Parameters
    ----------
    rate : float
        The expected share of dropped elements, where gamma is "exact". At 1 all is 0.
    block_size : int or sequence of ints
        Lengths of a block, one for all axes of space or one for each; even or odd. A block
        larger than the map is cut to its size.
    data_format : {"channels_first", "channels_last"}
        Whether the channels come right after the batch axis, or last.
    shared_channels : bool
        Whether all channels of a sample have the same blocks.
    gamma : {"exact", "paper"}
        Whether overlaps count, so that the share is ``rate``, or the published formula ``rate
        prod(s) / prod(b) / prod(s - b + 1)`` is taken, for maps ``s`` and blocks ``b``, which
        drops less.
    scaling : {"sample", "batch", "inverted", "none"}
        The factor numel / kept is that of each sample; of the whole batch, as in the paper; or
        that of the expected share; or 1. A sample of which all is dropped is 0.
    name : str, optional
        Name within a `Sequential`.

    References
    ----------
    Ghiasi, Lin, Le, "DropBlock: a regularization method for convolutional networks",
    NeurIPS 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> x = np.ones((1, 1, 5, 5), "f4")
    >>> y, backward = layers.DropBlock2D(0.4, 2, scaling="none").forward(x, ctx)
    >>> y[0, 0]
    array([[1., 1., 0., 0., 1.],
           [1., 0., 0., 0., 0.],
           [0., 0., 0., 0., 0.],
           [0., 0., 1., 1., 1.],
           [1., 1., 1., 1., 1.]], dtype=float32)
    """

    spatial = 2


class DropBlock3D(_DropBlock):
    """Zero random cuboids of volumes, ``rate`` of all, and scale the rest.

    The input has shape (batch, channels, depth, height, width), or with the channels last.
    Parameters and paper are those of `DropBlock2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> x = np.ones((1, 1, 2, 4, 4), "f4")
    >>> y, backward = layers.DropBlock3D(0.4, 2, scaling="none").forward(x, ctx)
    >>> y[0, 0, 0]
    array([[1., 1., 0., 0.],
           [1., 1., 0., 0.],
           [1., 0., 0., 0.],
           [1., 0., 0., 0.]], dtype=float32)
    """

    spatial = 3
