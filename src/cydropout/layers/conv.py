"""Conv2D: a matrix product with the windows of maps, block by block."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from cydropout import functional
from cydropout.functional import convolve
from cydropout.layers._fused import check_activation, finish
from cydropout.layers._initializers import check_init, initial
from cydropout.layers._layer import (
    NO_GRADIENT,
    Array,
    Backward,
    Context,
    Layer,
    Shape,
    as_float,
    as_gradient,
    in_order,
    native_dtype,
)
from cydropout.layers._maps import check_maps
from cydropout.layers._penalties import Weighted
from cydropout.layers._settings import Checked, Count, Flag, Lengths
from cydropout.layers._sliding import Sliding
from cydropout.layers._state import Entries, Entry

BLOCK = 1 << 21  # bytes of windows at once, which stay in a cache until they are multiplied


class Conv2D(Sliding, Weighted):
    """``y[n, f, i, j] = act(b[f] + sum_ckl W[k, l, c, f] x[n, c, i s - p + k, j s - p + l])``.

    ``x`` is (n, channels, height, width) or (n, height, width, channels), 0 outside; ``s`` and
    ``p`` are strides and padding; ``W`` is ``(*kernel_size, channels / groups, filters)``. The
    dtype is that of the parameters. From 8 samples on, filters (and for ``dx`` channels) that are a
    multiple of 32, of float64 of 16, meet the maps where these lie. Otherwise the windows of some
    samples at a time are laid out as the rows of a matrix: memory does not grow with them.

    Parameters
    ----------
    filters : int
        Channels of the output.
    kernel_size, strides : int or pair of ints
        Along height and width.
    padding : "valid", "same", int or pair of ints
        So many rows and columns of zeros at both ends, none for "valid". With "same" the output
        has ``ceil(length / stride)`` rows and columns, and of an odd padding the end has more.
    groups : int
        Into so many groups channels and filters are split; a filter sees the channels of its own.
    activation : str, optional
        As for `Dense`.
    bias : bool
        Whether ``b`` exists.
    init : str
        As for `Dense`; a filter's inputs are the elements of its window.
    data_format : {"channels_first", "channels_last"}
        Whether the channels come right after the batch axis, or last, which is faster.
    max_norm, l1, l2
        As for `Dense`; ``max_norm`` bounds a filter.
    name : str, optional
        Name within a `Sequential`.

    Raises
    ------
    TypeError
        For an input that is no float.
    ValueError
        For an input of other than four axes, of another number of channels, or with maps smaller
        than the kernel.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> layer = layers.Conv2D(8, 3, padding="same")
    >>> layer.build((3, 5, 5), 0)
    >>> y, backward = layer.forward(np.ones((1, 3, 5, 5), "f4"), layers.Context())
    >>> y.shape
    (1, 8, 5, 5)
    """

    positional = "filters kernel_size"
    filters = Count(shapes=True)
    size = Lengths(key="kernel_size", shapes=True)
    groups = Count(1, shapes=True)
    activation = Checked(check_activation, "linear")
    bias = Flag(True, shapes=True)
    init = Checked(check_init, "glorot")

    def check_settings(self) -> None:
        """Refuse filters that cannot be split into the groups."""
        if self.filters % self.groups:
            raise ValueError(
                f"filters must be a multiple of groups, not {self.filters} for {self.groups}"
            )

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Draw the weights from the NumPy generator ``rng``."""
        self.output_shape(input_shape)
        if self._parameters:
            return
        first, middle, last = input_shape
        if (self.data_format == "channels_first" and last <= 4 and min(first, middle) >= 8
                and self.size[1] > 1):
            warnings.warn(
                f"{self.path} takes {first} channels of {middle} x {last} pixels; if these are "
                "images with their channels last, say data_format='channels_last'", stacklevel=2
            )
        kind = native_dtype(dtype or "float32")
        area = self.size[0] * self.size[1]
        channels = self.maps_shape(input_shape)[2] // self.groups
        matrix = initial(
            self.init, area * channels, area * self.filters // self.groups,
            np.random.default_rng(rng), kind, columns=self.filters,
        )
        weight = matrix.reshape(*self.size, channels, self.filters)
        self._add("weight", weight)
        if self.bias:
            self._add("bias", np.zeros(self.filters, kind))

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return ``y``, and the function that adds up ``dW`` and ``db`` and returns ``dx``."""
        return self.run(x, ctx)

    def run(
        self, x: Array, ctx: Context, unit: Layer | None = None, dropout: Layer | None = None
    ) -> tuple[Array, Backward]:
        """Run the layer, and an activation and a dropout that share its pass."""
        if unit is not None and self.activation != "linear":  # set since it was planned
            return in_order([layer for layer in (self, unit, dropout) if layer], x, ctx)
        if not self._parameters:
            raise RuntimeError(f"{self.path} has no weights yet: call build(input_shape) first")
        weight, bias = self._parameters["weight"], self._parameters.get("bias")
        x = as_float(x, self.path).astype(weight.value.dtype, copy=False)
        check_maps(x.shape, 2, self.path)
        self.output_shape(x.shape[1:])
        maps = self.channels_last(x)
        windows = self.windows(maps.shape[1:3])
        matrix = weight.value.reshape(-1, self.filters)
        z = np.empty((len(maps), *windows.counts, self.filters), maps.dtype)
        sizes = (len(maps), windows, maps.shape[3], self.filters, maps.dtype)
        whole = self.groups == 1 and convolve.suits(*sizes)
        if whole:
            convolve.convolve(maps, weight.value, windows, z, num_threads=ctx.num_threads)
        for rows, own, columns, unfolded in () if whole else self._blocks(maps, windows, ctx):
            products = z[rows].reshape(-1, self.filters)[:, columns]
            functional.unfold(
                maps[rows], windows, unfolded, channels=own, num_threads=ctx.num_threads
            )
            table = unfolded.reshape(len(products), len(matrix))
            np.matmul(table, matrix[:, columns], out=products)
        shift = None if bias is None else bias.value
        y, back = finish(z, shift, self.activation, unit, dropout, ctx)
        out = self.as_given(y)

        def backward(dy: Array) -> Array:
            dz, dbias = back(self.channels_last(as_gradient(dy, out.shape)))
            if bias is not None and dbias is not None:
                bias.accumulate(dbias)
            dweight = np.empty_like(matrix)
            dx = np.empty_like(maps) if ctx.input_gradient else NO_GRADIENT
            of_weight, of_input = weight.trainable, ctx.input_gradient
            if self.groups == 1 and of_weight and convolve.suits_weight(*sizes):
                convolve.convolve_weight(maps, dz, windows, dweight.reshape(weight.value.shape),
                                         num_threads=ctx.num_threads)
                of_weight = False
            if self.groups == 1 and of_input and convolve.suits_input(*sizes):
                convolve.convolve_input(dz, weight.value, windows, dx, num_threads=ctx.num_threads)
                of_input = False
            if of_weight:
                dweight[...] = 0
            needed = of_weight or of_input
            for rows, own, columns, unfolded in self._blocks(maps, windows, ctx) if needed else ():
                drows = dz[rows].reshape(-1, self.filters)[:, columns]
                table = unfolded.reshape(len(drows), len(matrix))
                if of_weight:
                    functional.unfold(
                        maps[rows], windows, unfolded, channels=own, num_threads=ctx.num_threads
                    )
                    dweight[:, columns] += np.matmul(table.T, drows)
                if of_input:
                    np.matmul(drows, matrix[:, columns].T, out=table)
                    functional.fold(
                        unfolded, windows, dx[rows], channels=own, num_threads=ctx.num_threads
                    )
            weight.accumulate(dweight.reshape(weight.value.shape))
            return self.as_given(dx) if ctx.input_gradient else dx

        return out, backward

    def _blocks(
        self, maps: Array, windows: functional.Windows, ctx: Context
    ) -> Iterator[tuple[slice, slice, slice, Array]]:
        """Yield samples, channels and filters of each block, and where its windows may lie."""
        channels, filters = maps.shape[3] // self.groups, self.filters // self.groups
        shape = (*windows.counts, *windows.size, channels)
        count = max(1, BLOCK // max(1, int(np.prod(shape)) * maps.itemsize))
        room = np.empty((min(count, len(maps)), *shape), maps.dtype)
        for start in range(0, len(maps), count):
            rows = slice(start, min(start + count, len(maps)))
            for g in range(self.groups):
                yield (
                    rows,
                    slice(g * channels, (g + 1) * channels),
                    slice(g * filters, (g + 1) * filters),
                    room[: rows.stop - start],
                )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape with ``filters`` channels of as many elements as there are windows."""
        channels = self.maps_shape(input_shape)[2]
        weight = self._parameters.get("weight")
        expected = channels if weight is None else weight.value.shape[2] * self.groups
        if channels != expected or channels % self.groups:
            raise ValueError(
                f"{self.path} has {expected} input channels in {self.groups} groups, got {channels}"
            )
        return self.shape_out(input_shape, self.filters)

    def torch_entries(self) -> Entries:
        """Return the parameters as ``torch.nn.Conv2d`` holds them: filters first, then channels."""
        return {
            name: Entry(one, _filters_first if one.value.ndim == 4 else np.asarray)
            for name, one in self._parameters.items()
        }

def _filters_first(weight: Array) -> Array:
    turned: Array = weight.transpose(3, 2, 0, 1)
    return turned
