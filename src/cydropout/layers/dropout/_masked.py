"""NoisyLayer and MaskedLayer: what all layers whose noise is one mask share."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np

from cydropout.layers._layer import Array, Backward, Context, Layer, Shape, as_float
from cydropout.layers._settings import Rate
from cydropout.random import MaskStream


class NoisyLayer(Layer):
    """A layer that uses one mask in a pass, which `Context.mask_for` gives.

    A subclass says in `mask` what is drawn, and in `given` what an array stands for.
    """

    def mask(self, shape: Shape, ctx: Context) -> Any:
        """Draw the mask of one pass over an input of ``shape``; at inference, its mean."""
        raise NotImplementedError(f"{type(self).__name__} defines no mask")

    def given(self, array: Any, shape: Shape) -> Any:
        """Return the mask that ``array`` stands for."""
        raise NotImplementedError(f"{type(self).__name__} takes no array for a mask")

    def fitted(self, mask: Any, shape: Shape, ctx: Context) -> Any:
        """Return a mask that is supplied, or that an array describes, for inputs of ``shape``."""
        if isinstance(mask, (np.ndarray, list)):
            return self.given(mask, shape)
        if not hasattr(mask, "over"):
            raise TypeError(f"mask of {self.path} must be a mask or an array, not {mask!r}")
        return mask.over(shape)


class MaskedLayer(NoisyLayer):
    """y = mask(x), with a mask that is drawn, or that the caller supplies, and can be had back.

    A subclass says in `mask` what is drawn.

    Parameters
    ----------
    rate : float or array
        Probability of dropping; may be set again at any time.
    name : str, optional
        Name within a `Sequential`.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream
    >>> from cydropout.layers import Context, MaskedLayer
    >>> class RowDropout(MaskedLayer):
    ...     def mask(self, shape, ctx):
    ...         return ctx.draw(shape, self.rate, shared_axes=(2,))
    >>> ctx = Context(training=True, stream=MaskStream(2))
    >>> RowDropout(0.5).forward(np.ones((1, 5, 2)), ctx)[0][0, :, 0]
    array([0., 2., 0., 0., 0.])
    """

    positional = "rate"
    with_lengths: Any = "keep"
    rate = Rate()
    keeps_shape: ClassVar[bool] = True

    def given(self, array: Any, shape: Shape) -> Any:
        """Return the mask of this rate and scale that keeps what ``array``, of bool, says."""
        return self.like(shape).with_keep(array)

    def like(self, shape: Shape) -> Any:
        """Return a mask of the layer's rate and scale, whose decisions do not count."""
        return self.mask(shape, Context(training=True, stream=MaskStream.from_state(0, 0)))

    def forward(self, x: Array, ctx: Context, mask: Any = None) -> tuple[Array, Backward]:
        """Return ``mask(x)`` and the mask's backward.

        Parameters
        ----------
        x : array
            float16, bfloat16, float32 or float64.
        ctx : Context
            Of the pass.
        mask : mask or array of bool, optional
            Used instead of one that is drawn. An array says what is kept, at the layer's own
            rate and scale.
        """
        x = as_float(x, self.path)
        first = None if ctx.stream is None or mask is not None else ctx.stream.next_draw
        held = ctx.workspace is not None and ctx.training and self.keeps_shape
        used = None
        try:
            used = ctx.mask_for(self, x.shape, mask)
            out = {"out": ctx.room(x.shape, x.dtype)} if held else {}
            y = used.apply(x, **out, num_threads=ctx.num_threads)
        except BaseException:
            drawn = getattr(used, "draw", None)  # by this pass, not another thread
            if ctx.stream is not None and drawn is not None and drawn == first:
                ctx.stream.give_back(drawn)
            raise
        if not held:
            return y, partial(used.backward, num_threads=ctx.num_threads)

        def backward(dy: Array) -> Array:
            out = ctx.room(x.shape, dy.dtype)
            dx: Array = used.backward(dy, out=out, num_threads=ctx.num_threads)
            return dx

        return y, backward
