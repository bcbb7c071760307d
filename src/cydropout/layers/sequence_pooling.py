"""GlobalAveragePool1D and GlobalMaxPool1D: one vector for each sequence."""

from __future__ import annotations

from typing import Any

import numpy as np

from cydropout.layers._layer import Array, Backward, Context, Layer, Shape, as_float, as_gradient


class _GlobalPool1D(Layer):
    """Base of the layers that pool over time; float16 and bfloat16 are computed in float32."""

    with_lengths = "end"
    unit_axis = -1

    def pool(self, x: Array, real: Array) -> tuple[Array, Backward]:
        """Return what the positions give that are ``real``, and its backward."""
        raise NotImplementedError(f"{type(self).__name__} defines no pool")

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return ``y``, and the function from ``dy`` to ``dx``."""
        x = as_float(x, self.path)
        self.output_shape(x.shape[1:])
        real = ctx.real(x.shape)
        if real is None:
            real = np.ones(x.shape[:2], np.bool_)
        wide = np.dtype("float64" if x.dtype == np.float64 else "float32")
        y, back = self.pool(x.astype(wide, copy=False), real[..., None])

        def backward(dy: Array) -> Array:
            dy = as_gradient(dy, y.shape, wide)
            return back(dy[:, None]).astype(x.dtype, copy=False)

        return y.astype(x.dtype, copy=False), backward

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the features."""
        if len(input_shape) != 2 or not input_shape[0]:
            raise ValueError(
                f"{self.path} needs sequences of shape (time, features), of one position or more, "
                f"got {tuple(input_shape)}"
            )
        return tuple(input_shape[1:])

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Check ``input_shape``."""
        self.output_shape(input_shape)


class GlobalAveragePool1D(_GlobalPool1D):
    """``y[n, f] = mean_t x[n, t, f]``, over the positions that are no padding.

    The input is (n, time, features), as recurrent layers give it; `Context.lengths` says what is
    padding.

    Parameters
    ----------
    name : str, optional
        Name within a `Sequential`.

    Raises
    ------
    ValueError
        For an input without three axes, or without a position.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> x = np.arange(6.0).reshape(1, 3, 2)
    >>> y, backward = layers.GlobalAveragePool1D().forward(x, layers.Context(lengths=[2]))
    >>> y
    array([[1., 2.]])
    """

    def pool(self, x: Array, real: Array) -> tuple[Array, Backward]:
        """Return the means."""
        share = np.where(real, x.dtype.type(1), x.dtype.type(0)) / real.sum(axis=1, keepdims=True)
        share = share.astype(x.dtype, copy=False)
        y: Array = np.where(real, x, x.dtype.type(0)).sum(axis=1) / real.sum(axis=1, dtype=x.dtype)
        return y, lambda dy: dy * share


class GlobalMaxPool1D(_GlobalPool1D):
    """``y[n, f] = max_t x[n, t, f]``, over the positions that are no padding.

    The gradient goes to the first of several that are largest; a NaN counts as the largest. Input,
    parameters and errors are those of `GlobalAveragePool1D`.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> x = np.arange(6.0).reshape(1, 3, 2)
    >>> y, backward = layers.GlobalMaxPool1D().forward(x, layers.Context(lengths=[2]))
    >>> y
    array([[2., 3.]])
    """

    def pool(self, x: Array, real: Array) -> tuple[Array, Backward]:
        """Return the largest."""
        at = np.where(real, x, x.dtype.type(-np.inf)).argmax(axis=1)[:, None]
        y: Array = np.take_along_axis(x, at, axis=1)[:, 0]
        places = np.arange(x.shape[1])[:, None]
        return y, lambda dy: np.where(places == at, dy, x.dtype.type(0))
