"""RegionLayer: what the layers that drop regions of feature maps share."""

from __future__ import annotations

from typing import Any, ClassVar

from cydropout.layers._layer import Context, Shape
from cydropout.layers._maps import (
    DataFormat,
    channel_axis,
    check_data_format,
    check_maps,
    space_axes,
)
from cydropout.layers.dropout._masked import MaskedLayer
from cydropout.masks.regions import Rescale, check_rescale


class RegionLayer(MaskedLayer):
    """A layer whose mask, a `RegionMask`, drops regions along `spatial` axes of space.

    A subclass draws it in `region`.
    """

    spatial: ClassVar[int] = 2

    def __init__(
        self,
        rate: Any,
        *,
        data_format: DataFormat,
        scaling: Rescale,
        shared_channels: bool = True,
        name: str | None,
    ) -> None:
        super().__init__(rate, name=name)
        self.data_format = check_data_format(data_format)
        self.scaling = check_rescale(scaling)
        self.shared_channels = bool(shared_channels)

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

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"rate": self.rate, "data_format": self.data_format, "scaling": self.scaling}
