"""SpatialDropout1D, 2D and 3D: drop whole feature maps."""

from __future__ import annotations

from typing import Any, ClassVar

from cydropout.layers._layer import Shape
from cydropout.layers._maps import DataFormat, check_data_format, check_maps, space_axes
from cydropout.layers.dropout._shared import SharedDropout


class _SpatialDropout(SharedDropout):
    """Dropout of whole maps over `spatial` axes."""

    one_rate = True
    spatial: ClassVar[int]

    def __init__(
        self, rate: float, *, data_format: DataFormat = "channels_first", **options: Any
    ) -> None:
        super().__init__(rate, **options)
        self.data_format = check_data_format(data_format)

    def along(self, shape: Shape) -> tuple[int, ...]:
        """Return the axes of space."""
        check_maps(shape, self.spatial, self.path)
        return space_axes(self.data_format, self.spatial)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return super().get_config() | {"data_format": self.data_format}


class SpatialDropout1D(_SpatialDropout):
    """Zero each feature of a sequence with probability ``rate``; the rest times ``1 / (1 - rate)``.

    The input has shape (batch, channels, steps) or (batch, steps, channels). Parameters and paper
    are those of `SpatialDropout2D`.
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
    """

    spatial = 2


class SpatialDropout3D(_SpatialDropout):
    """Zero each volume with probability ``rate``; scale the rest by ``1 / (1 - rate)``.

    The input has shape (batch, channels, depth, height, width), or with the channels last.
    Parameters and paper are those of `SpatialDropout2D`.
    """

    spatial = 3
