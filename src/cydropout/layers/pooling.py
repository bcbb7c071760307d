"""MaxPool2D, AveragePool2D and GlobalAveragePool2D: one number for each window of a map."""

from __future__ import annotations

from typing import Any

import numpy as np

from cydropout import functional
from cydropout.layers._layer import Array, Backward, Context, Shape, as_float, as_gradient
from cydropout.layers._maps import check_maps
from cydropout.layers._settings import Lengths
from cydropout.layers._sliding import Sliding


class _Pool2D(Sliding):
    """Base of the layers that pool; float16 and bfloat16 are computed in float32."""

    positional = "pool_size"
    size = Lengths(2, key="pool_size")
    strides = Lengths(None)

    def check_settings(self) -> None:
        """Have the windows lie side by side by default; refuse a padding of whole windows."""
        if self.strides is None:
            self.strides = self.size
        if not isinstance(self.padding, str):
            for size, pad in zip(self.size, self.padding, strict=True):
                if pad > size // 2:
                    raise ValueError(
                        f"padding must be at most half of pool_size {self.size}, not "
                        f"{self.padding!r}"
                    )

    def pool(
        self, maps: Array, windows: functional.Windows, ctx: Context
    ) -> tuple[Array, Backward]:
        """Return what the windows give, and its backward."""
        raise NotImplementedError(f"{type(self).__name__} defines no pool")

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return ``y``, and the function from ``dy`` to ``dx``."""
        x = as_float(x, self.path)
        check_maps(x.shape, 2, self.path)
        wide = np.dtype("float64" if x.dtype == np.float64 else "float32")
        maps = self.channels_last(x.astype(wide, copy=False))
        y, back = self.pool(maps, self.windows(maps.shape[1:3]), ctx)
        out = self.as_given(y)

        def backward(dy: Array) -> Array:
            dz = self.channels_last(as_gradient(dy, out.shape, wide))
            return self.as_given(back(dz)).astype(x.dtype, copy=False)

        return out.astype(x.dtype, copy=False), backward

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape with as many rows and columns as there are windows."""
        return self.shape_out(input_shape)

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Check ``input_shape``."""
        self.output_shape(input_shape)

class MaxPool2D(_Pool2D):
    """``y[n, c, i, j] = max_kl x[n, c, i s - p + k, j s - p + l]``.

    The input is (n, channels, height, width) or (n, height, width, channels). What lies outside
    does not count. The gradient goes to the first of several that are largest; a NaN counts as
    the largest.

    Parameters
    ----------
    pool_size : int or pair of ints
        Of a window; at most 256 elements.
    strides : int or pair of ints, optional
        From one window to the next; ``pool_size`` by default.
    padding : "valid", "same", int or pair of ints
        So many rows and columns at both ends, none for "valid", at most half a window. With
        "same" there are ``ceil(length / stride)`` windows along an axis.
    data_format : {"channels_first", "channels_last"}
        Whether the channels come right after the batch axis, or last, which is faster.
    name : str, optional
        Name within a `Sequential`.

    Raises
    ------
    ValueError
        For an input of other than four axes, or with maps smaller than a window.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> y, backward = layers.MaxPool2D(2).forward(x, layers.Context())
    >>> y[0, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """

    def pool(
        self, maps: Array, windows: functional.Windows, ctx: Context
    ) -> tuple[Array, Backward]:
        """Return the largest element of each window; a byte each tells backward which."""
        threads = ctx.num_threads
        y, at = functional.max_pool(maps, windows, num_threads=threads)
        return y, lambda dy: functional.max_pool_backward(dy, at, windows, num_threads=threads)


class AveragePool2D(_Pool2D):
    """``y[n, c, i, j] = mean_kl x[n, c, i s - p + k, j s - p + l]``, of what lies in the map.

    PyTorch has the padding count unless told not to, by ``count_include_pad=False``. Parameters
    and errors are those of `MaxPool2D`, but windows may be of any size.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> y, backward = layers.AveragePool2D(2).forward(x, layers.Context())
    >>> y[0, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """

    def pool(
        self, maps: Array, windows: functional.Windows, ctx: Context
    ) -> tuple[Array, Backward]:
        """Return the mean of each window."""
        threads = ctx.num_threads
        y = functional.mean_pool(maps, windows, num_threads=threads)
        return y, lambda dy: functional.mean_pool_backward(dy, windows, num_threads=threads)


class GlobalAveragePool2D(Sliding):
    """``y[n, c] = mean_ij x[n, c, i, j]``.

    Parameters
    ----------
    data_format : {"channels_first", "channels_last"}
        Whether the channels come right after the batch axis, or last.
    name : str, optional
        Name within a `Sequential`.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> y, backward = layers.GlobalAveragePool2D().forward(x, layers.Context())
    >>> y
    array([[7.5]])
    """

    size = strides = (1, 1)
    padding = "valid"
    unit_axis = None

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return ``y``, and the function from ``dy`` to ``dx``."""
        x = as_float(x, self.path)
        check_maps(x.shape, 2, self.path)
        height, width, channels = self.maps_shape(x.shape[1:])
        if not height * width:
            raise ValueError(f"{self.path} has no mean of maps {(height, width)}")
        whole = AveragePool2D((height, width), data_format=self.data_format)
        y, back = whole.forward(x, ctx)
        return y.reshape(len(x), channels), lambda dy: back(
            as_gradient(dy, (len(x), channels)).reshape(y.shape)
        )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the channels."""
        return self.maps_shape(input_shape)[2:]
