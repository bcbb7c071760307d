"""SharedDropout: what layers have in common whose decisions hold along axes of their own."""

from __future__ import annotations

from cydropout.layers._layer import Context, Shape
from cydropout.layers.dropout.dropout import Dropout
from cydropout.masks import Mask


class SharedDropout(Dropout):
    """`Dropout` with one decision along the axes that the layer names by itself.

    A subclass defines `along`.
    """

    shared_axes = ()

    def along(self, shape: Shape) -> tuple[int, ...]:
        """Return the axes of an input of ``shape`` along which one decision holds."""
        raise NotImplementedError(f"{type(self).__name__} names no axes")

    def mask(self, shape: Shape, ctx: Context) -> Mask:
        """Draw the mask of one pass."""
        return ctx.draw(
            shape,
            self.rate,
            scaling=self.scaling,
            shared_axes=self.along(shape),
            storage=self.storage,
        )
