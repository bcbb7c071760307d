"""What layers share that slide a window over maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from cydropout._validate import check_lengths
from cydropout.functional import Windows
from cydropout.layers._layer import Array, Layer, Shape
from cydropout.layers._maps import DataFormat, channel_axis, check_data_format, check_maps

Padding: TypeAlias = Literal["valid", "same"] | int | Sequence[int]


class Sliding(Layer):
    """A layer over maps (n, channels, height, width) or (n, height, width, channels).

    Inside, channels come last. With channels first, what is returned is a view of such memory, so
    that the next layer of this kind finds it as it wants it.

    Parameters
    ----------
    size, strides : int or pair of ints
        Of a window, and from one to the next; along height and width.
    padding : "valid", "same", int or pair of ints
        So many rows and columns of padding at both ends, none for "valid". With "same" there are
        ``ceil(length / stride)`` windows along an axis, and of an odd padding the end has more.
    data_format : {"channels_first", "channels_last"}
        Whether the channels come right after the batch axis, or last.
    name : str, optional
        Name within a `Sequential`.

    Raises
    ------
    ValueError
        For a map that is smaller than a window.
    """

    def __init__(
        self, size: Any, strides: Any, padding: Padding, data_format: DataFormat, name: str | None
    ) -> None:
        super().__init__(name=name)
        self.size = check_lengths("size of a window", size, 2)
        self.strides = check_lengths("strides", strides, 2)
        self.padding = check_padding(padding)
        self.data_format = check_data_format(data_format)
        self.unit_axis = channel_axis(self.data_format, 2)

    def windows(self, maps: Shape) -> Windows:
        """Return the windows over maps (height, width)."""
        before, counts = [], []
        for axis, (length, size, stride) in enumerate(
            zip(maps, self.size, self.strides, strict=True)
        ):
            if self.padding == "same":
                counts.append(-(-length // stride))
                before.append(max((counts[-1] - 1) * stride + size - length, 0) // 2)
                continue
            pad = 0 if self.padding == "valid" else self.padding[axis]
            counts.append((length + 2 * pad - size) // stride + 1)
            before.append(pad)
            if length + 2 * pad < size:
                raise ValueError(
                    f"{self.path} has windows of {self.size}, but maps of {tuple(maps)}"
                )
        return Windows(
            (maps[0], maps[1]), (self.size[0], self.size[1]), (self.strides[0], self.strides[1]),
            (before[0], before[1]), (counts[0], counts[1]),
        )

    def channels_last(self, array: Array) -> Array:
        """Return maps with their channels last, in C order; the array itself if it is that."""
        if self.data_format == "channels_first":
            array = array.transpose(0, 2, 3, 1)
        return np.require(array, array.dtype.newbyteorder("="), ["C", "A"])

    def as_given(self, array: Array) -> Array:
        """Return maps with their channels last as the layer's own format has them: a view."""
        return array.transpose(0, 3, 1, 2) if self.data_format == "channels_first" else array

    def maps_shape(self, input_shape: Shape) -> Shape:
        """Return (height, width, channels) of a sample's shape."""
        check_maps((0, *input_shape), 2, self.path)
        if self.data_format == "channels_first":
            return (*input_shape[1:], input_shape[0])
        return tuple(input_shape)

    def shape_out(self, input_shape: Shape, channels: int | None = None) -> Shape:
        """Return the shape of a sample of the windows, with as many channels or others."""
        *maps, own = self.maps_shape(input_shape)
        counts, depth = self.windows(tuple(maps)).counts, channels or own
        return (depth, *counts) if self.data_format == "channels_first" else (*counts, depth)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that layers of this kind share."""
        return {
            "strides": self.strides, "padding": self.padding, "data_format": self.data_format,
        }


def check_padding(padding: Any) -> Any:
    """Return "valid", "same", or a pair."""
    if isinstance(padding, str):
        if padding not in ("valid", "same"):
            raise ValueError(f"padding {padding!r} is unknown; use 'valid', 'same' or integers")
        return padding
    pair = tuple(padding) if isinstance(padding, (list, tuple)) else (padding, padding)
    whole = all(isinstance(p, (int, np.integer)) and not isinstance(p, bool) for p in pair)
    if len(pair) != 2 or not whole or min(pair) < 0:
        raise ValueError(
            f"padding must be 'valid', 'same', or one or two integers from 0 on, not {padding!r}"
        )
    return tuple(int(p) for p in pair)
