"""SpatialDropout1D, 2D and 3D: drop whole feature maps."""

from __future__ import annotations

from typing import ClassVar

from cydropout.layers._layer import Shape
from cydropout.layers._maps import check_data_format, check_maps, space_axes
from cydropout.layers._settings import Checked, Rate
from cydropout.layers.dropout._shared import SharedDropout


class _SpatialDropout(SharedDropout):
    """Dropout of whole maps over `spatial` axes."""

    spatial: ClassVar[int]
    rate = Rate()
    data_format = Checked(check_data_format, "channels_first")

    def along(self, shape: Shape) -> tuple[int, ...]:
        """Return the axes of space."""
        check_maps(shape, self.spatial, self.path)
        return space_axes(self.data_format, self.spatial)

class SpatialDropout1D(_SpatialDropout):
    """Zero each feature of a sequence with probability ``rate``; the rest times ``1 / (1 - rate)``.

    The input has shape (batch, channels, steps) or (batch, steps, channels). Parameters and paper
    are those of `SpatialDropout2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layers.SpatialDropout1D(0.5).forward(np.ones((1, 4, 3), "f4"), ctx)
    >>> y[0]
    array([[2., 2., 2.],
           [2., 2., 2.],
           [0., 0., 0.],
           [0., 0., 0.]], dtype=float32)
    """

    spatial = 1


class SpatialDropout2D(_SpatialDropout):
    """Zero each feature map with probability ``rate``, and scale the rest by ``1 / (1 - rate)``.

    The input has shape (batch, channels, height, width) or (batch, height, width, channels). At
    inference nothing is drawn, and with inverted scaling the input itself is returned.

    Parameters
    ----------
    rate : float
        Probability of dropping a map.
    data_format : {"channels_first", "channels_last"}
        Whether the channels come right after the batch axis, or last.
    scaling, storage, name
        As for `Dropout`.

    References
    ----------
    Tompson, Goroshin, Jain, LeCun, Bregler, "Efficient object localization using convolutional
    networks", CVPR 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layers.SpatialDropout2D(0.5).forward(np.ones((1, 4, 2, 2), "f4"), ctx)
    >>> y[0, :, 0, 0]
    array([2., 2., 0., 0.], dtype=float32)
    """

    spatial = 2


class SpatialDropout3D(_SpatialDropout):
    """Zero each volume with probability ``rate``; scale the rest by ``1 / (1 - rate)``.

    The input has shape (batch, channels, depth, height, width), or with the channels last.
    Parameters and paper are those of `SpatialDropout2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> x = np.ones((1, 4, 2, 2, 2), "f4")
    >>> y, backward = layers.SpatialDropout3D(0.5).forward(x, ctx)
    >>> y[0, :, 0, 0, 0]
    array([2., 2., 0., 0.], dtype=float32)
    """

    spatial = 3
