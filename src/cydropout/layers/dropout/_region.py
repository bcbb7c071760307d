"""RegionLayer: what the layers that drop regions of feature maps share."""

from __future__ import annotations

from typing import Any, ClassVar

from cydropout.layers._layer import Context, Shape
from cydropout.layers._maps import (
    channel_axis,
    check_data_format,
    check_maps,
    space_axes,
)
from cydropout.layers._settings import Checked
from cydropout.layers.dropout._masked import MaskedLayer
from cydropout.masks.regions import check_rescale


class RegionLayer(MaskedLayer):
    """A layer whose mask, a `RegionMask`, drops regions along `spatial` axes of space.

    A subclass draws it in `region`.
    """

    spatial: ClassVar[int] = 2
    data_format = Checked(check_data_format, "channels_first")
    scaling = Checked(check_rescale, "sample")
    shared_channels: Any = True

    def region(self, shape: Shape, ctx: Context, **options: Any) -> Any:
        """Draw the mask of one pass, of the axes, the scaling and the threads in ``options``."""
        raise NotImplementedError(f"{type(self).__name__} defines no region")

    def mask(self, shape: Shape, ctx: Context) -> Any:
        """Draw the mask of one pass."""
        check_maps(shape, self.spatial, self.path)
        return self.region(
            shape,
            ctx,
            axes=space_axes(self.data_format, self.spatial),
            scaling=self.scaling,
            num_threads=ctx.num_threads,
        )

    def common_axes(self) -> tuple[int, ...]:
        """Return the axes along which all maps are one."""
        shared = self.shared_channels
        return (channel_axis(self.data_format, self.spatial),) if shared else ()
