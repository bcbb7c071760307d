"""SpatialDropout1D, 2D and 3D: drop whole feature maps."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from ..masks import Mask
from .base import Context, Shape
from .dropout import Dropout
from .maps import DataFormat, check_data_format, check_maps, space_axes


class _SpatialDropout(Dropout):
    """Dropout of whole maps over `spatial` axes."""

    one_rate = True
    spatial: ClassVar[int]

    def __init__(
        self,
        rate: float,
        *,
        data_format: DataFormat = "channels_first",
        scaling: Any = "inverted",
        storage: Literal["bits", "seed"] = "bits",
        name: str | None = None,
    ) -> None:
        super().__init__(rate, scaling=scaling, storage=storage, name=name)
        self.data_format = check_data_format(data_format)
        self.shared_axes = space_axes(self.data_format, self.spatial)

    def mask(self, shape: Shape, ctx: Context) -> Mask:
        """Draw the mask of one pass."""
        check_maps(shape, self.spatial, self.path)
        return super().mask(shape, ctx)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config()
        del config["shared_axes"]
        return config | {"data_format": self.data_format}


class SpatialDropout1D(_SpatialDropout):
    """Zero each feature of a sequence with probability ``rate``; the rest times ``1 / (1 - rate)``.

    The input has shape (batch, channels, steps) or (batch, steps, channels). Parameters and paper
    are those of `SpatialDropout2D`.
    """

    spatial = 1


class SpatialDropout2D(_SpatialDropout):
    """Zero each feature map with probability ``rate``, and scale the rest by ``1 / (1 - rate)``.

    The input has shape (batch, channels, height, width) or (batch, height, width, channels). At
    inference nothing is drawn, and the input itself is returned.

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
