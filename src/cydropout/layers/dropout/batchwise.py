"""BatchwiseDropout: the same mask for all samples of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from cydropout._rates import kept_count, share_scale
from cydropout.layers._layer import Array, Context, Shape, restoring_draws
from cydropout.layers._settings import Count, Flag, OneOf
from cydropout.layers.dropout._shared import SharedDropout
from cydropout.masks import InferenceMask, KeepMask, Mask
from cydropout.masks.subset import subset

LAYOUTS = ("scattered", "slice")


class BatchwiseDropout(SharedDropout):
    """Zero each unit in all samples of a batch with probability ``rate``.

    What is kept is scaled by ``1 / (1 - rate)``. The input has shape (batch, ...), and the first
    axis shares one mask. At inference nothing is drawn, and with inverted scaling the input itself
    is returned. One switch for a whole training batch is ``StochasticDepth(rate, per="batch")``.

    In a `Sequential`, next to `Dense` layers and with inputs of shape (batch, units), the products
    of a training pass run on the kept rows and columns of the weights alone, unless all rates are
    below 0.15, where that does not pay; between the layers flow the kept units. The numbers are
    those of the whole computation, to rounding. Weights that take no part have a gradient of 0; so
    an optimizer with a momentum still moves them, unless ``lazy`` is asked for.

    Parameters
    ----------
    rate : float or array
        Probability of dropping; an array gives one rate per element of the trailing axes.
    block : int
        So many neighbours along the last axis share one decision; the last block may be shorter.
        Neighbours are faster to collect.
    layout : {"scattered", "slice"}
        "slice" keeps a run of ``round((1 - rate) * m)`` of the m blocks, at least one unless the
        rate is 1, the same for all places of the other axes. All starts are equally likely, so
        that units near the ends are kept less often. The scale is m / kept. Nothing is collected:
        the products run on a part of the weights as it lies.
    lazy : bool
        An optimizer's step leaves weights, biases and their moments that took no part as they
        are, if all such dropouts next to the weights ask for it, and nothing else, such as a
        penalty or another pass, adds to the gradient.
    scaling, storage, name
        As for `Dropout`.

    Raises
    ------
    ValueError
        For an unknown layout, a block below 1, or an array of rates with blocks or a slice.

    References
    ----------
    Graham, Reizenstein, Robinson, "Efficient batchwise dropout training using submatrices", 2015;
    Notin et al., "SliceOut: training transformers and CNNs faster while using less memory", 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layers.BatchwiseDropout(0.5).forward(np.ones((3, 4), "f4"), ctx)
    >>> y
    array([[2., 2., 0., 0.],
           [2., 2., 0., 0.],
           [2., 2., 0., 0.]], dtype=float32)
    """

    block = Count(1)
    layout = OneOf(LAYOUTS, "scattered")
    lazy = Flag(False)

    forward = restoring_draws(SharedDropout.forward)  # decisions take more than the draw alone

    def check_settings(self) -> None:
        """Refuse an array of rates with blocks or a slice."""
        if not isinstance(self.rate, float) and not self._plain:
            raise ValueError(f"blocks and slices take one rate, not {self.rate!r}")

    @property
    def _plain(self) -> bool:
        return bool(self.block == 1 and self.layout == "scattered")

    def along(self, shape: Shape) -> tuple[int, ...]:
        """Return the first axis."""
        if not shape:
            raise ValueError(f"{self.path} needs a batch axis; x has shape {shape}")
        return (0,)

    def mask(self, shape: Shape, ctx: Context) -> Any:
        """Draw the mask of one pass."""
        if self._plain:
            return super().mask(shape, ctx)
        self.along(shape)
        if ctx.training:
            keep, scale = self.decisions(shape, ctx)
            return KeepMask(shape, keep.reshape((1, *keep.shape[1:])[: len(shape)]), scale)
        rate, blocks = self.rate, self._blocks(shape)
        if self.layout == "slice" and blocks:
            rate = 1.0 - min(kept_count(rate, blocks), blocks) / blocks
        return InferenceMask(shape, rate, scaling=self.scaling)

    def decisions(self, shape: Shape, ctx: Context) -> tuple[Array, float]:
        """Draw which units of a training pass are kept, (1, ..., units) of bool, and their scale.

        The mask of the pass is made of these; the draw is the same.
        """
        width = shape[-1] if shape[1:] else 1
        if self.layout == "slice":
            first, last, scale = self.run(shape, ctx)
            keep = np.zeros((1, width), np.bool_)
            keep[:, first:last] = True
            return keep, scale
        drawn = ctx.whole.draw(
            (1, *shape[1:-1], self._blocks(shape)), self.rate, scaling=self.scaling)
        keep, scale = drawn.keep, float(drawn.scale)
        if self.block > 1:
            keep = np.repeat(keep, min(self.block, width), axis=-1)[..., :width]
        return keep, scale

    def run(self, shape: Shape, ctx: Context) -> tuple[int, int, float]:
        """Draw which run of the units a slice keeps: from which to which, and their scale."""
        blocks, width = self._blocks(shape), shape[-1] if shape[1:] else 1
        kept = min(kept_count(self.rate, blocks), blocks)
        places, stream, first = blocks - kept + 1, ctx.training_stream(), 0
        if kept and places > 1:
            first = int(subset(stream.key, stream.take(), 1, places, 1)[0, 0])
        last = min((first + kept) * self.block, width)
        return first * self.block, last, share_scale(kept, blocks, self.scaling)

    def _blocks(self, shape: Shape) -> int:
        return -(-(shape[-1] if len(shape) > 1 else 1) // int(self.block))

    def given(self, array: Any, shape: Shape) -> Mask | KeepMask:
        """Return the mask of this rate and scale that keeps what ``array``, of bool, says."""
        if self._plain:
            mask: Mask = super().given(array, shape)
            return mask
        return KeepMask(shape, array, self.like(shape).scale)
