"""Inputs of feature maps: (batch, channels, *space) or (batch, *space, channels)."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from cydropout._validate import check_choice
from cydropout.layers._layer import Shape

DataFormat: TypeAlias = Literal["channels_first", "channels_last"]
DATA_FORMATS = ("channels_first", "channels_last")


def check_data_format(data_format: Any) -> DataFormat:
    """Return ``data_format`` if there is one of that name."""
    found: DataFormat = check_choice("data_format", data_format, DATA_FORMATS)
    return found


def check_maps(shape: Shape, spatial: int, path: str) -> None:
    """Raise if ``shape`` does not have a batch axis, channels, and ``spatial`` axes of space."""
    if len(shape) != spatial + 2:
        lengths = ", ".join(map(str, shape if all(shape[:1]) else ("n", *shape[1:])))
        channel = "; of one channel make x[:, None]" if len(shape) == spatial + 1 else ""
        raise ValueError(
            f"{path} needs {spatial + 2} axes: batch, channels and "
            f"{spatial} of space; the input has shape ({lengths}){channel}"
        )


def space_axes(data_format: DataFormat, spatial: int) -> tuple[int, ...]:
    """Return the axes of space."""
    first = 2 if data_format == "channels_first" else 1
    return tuple(range(first, first + spatial))


def channel_axis(data_format: DataFormat, spatial: int) -> int:
    """Return the axis of the channels."""
    return 1 if data_format == "channels_first" else spatial + 1
