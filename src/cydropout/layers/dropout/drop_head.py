"""DropHead: drop whole heads of attention."""

from __future__ import annotations

from typing import Any

from cydropout.layers._layer import Context, Shape
from cydropout.layers._settings import Integer, OneOf
from cydropout.layers.dropout._masked import MaskedLayer
from cydropout.masks import HeadMask, head_axis, inside_heads

SCALINGS = ("heads", "inverted")


class DropHead(MaskedLayer):
    """Zero each head with probability ``rate``; scale those kept of a sample by ``heads / kept``.

    The input has shape (samples, heads, queries, features), or any with the samples first and the
    heads along ``axis``. A sample of which no head is kept is 0. As the paper drops a head for
    each sample, so does this layer; at inference nothing is drawn, and the input itself is
    returned. A mask that is brought as an array of bool is scaled by the heads it keeps.

    Parameters
    ----------
    rate : float
        Probability of dropping a head.
    axis : int
        Along which the heads lie: any but the first.
    scaling : {"heads", "inverted"}
        Scale by ``heads / kept``, the count of each sample, as published, or by ``1 / (1 - rate)``.
    name : str, optional
        Name within a `Sequential`.

    References
    ----------
    Zhou, Ge, Wei, Zhou, Xu, "Scheduled DropHead: a regularization method for transformer models",
    Findings of EMNLP 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layers.DropHead(0.5).forward(np.ones((1, 4, 1, 3), "f4"), ctx)
    >>> y[0, :, 0]
    array([[2., 2., 2.],
           [2., 2., 2.],
           [0., 0., 0.],
           [0., 0., 0.]], dtype=float32)
    """

    axis = Integer(1)
    scaling = OneOf(SCALINGS, "heads")

    def check_settings(self) -> None:
        """Refuse the axis of the samples."""
        if self.axis == 0:
            raise ValueError("axis 0 is that of the samples; the heads lie along another one")

    def mask(self, shape: Shape, ctx: Context) -> Any:
        """Draw the mask of one pass."""
        axis = head_axis(self.axis, shape)
        if self.scaling == "heads":
            return ctx.draw_as(HeadMask, shape, self.rate, axis=axis)
        return ctx.draw(shape, self.rate, shared_axes=inside_heads(axis, shape))
