"""What layers share that slide a window over maps."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from cydropout.functional import Windows
from cydropout.layers._layer import Array, Layer, Shape
from cydropout.layers._maps import channel_axis, check_data_format, check_maps
from cydropout.layers._settings import Checked, Lengths


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

    spatial: ClassVar[int] = 2
    size = Lengths()
    strides = Lengths(1)
    padding = Checked(check_padding, "valid")
    data_format = Checked(check_data_format, "channels_first", shapes=True)

    @property
    def unit_axis(self) -> int | None:  # type: ignore[override]
        """That of the channels."""
        return channel_axis(self.data_format, 2)

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
        if max(*self.size, *self.strides, *before, *counts) >= 2**31:
            raise ValueError(
                f"{self.path} has windows of {self.size}, strides {self.strides} and padding "
                f"{self.padding!r}; none of them may be 2**31 or more"
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
