"""StochasticDepth: drop the whole branch of a residual block."""

from __future__ import annotations

from cydropout._validate import check_count, check_one_rate
from cydropout.layers._layer import Context, Shape
from cydropout.layers._settings import OneOf
from cydropout.layers.dropout._masked import MaskedLayer
from cydropout.masks import Mask

SPANS = ("sample", "batch")


class StochasticDepth(MaskedLayer):
    """y[n] = b[n] x[n] / (1 - rate), with b[n] = 0 with probability ``rate``, else 1.

    It stands at the end of a residual branch, ``x + StochasticDepth(branch(x))``, and is also
    called DropPath. With ``per="sample"`` each sample n, along the first axis, has a b[n] of its
    own: some samples of a batch take the branch, others the shortcut alone. With ``per="batch"``
    one b holds for the whole batch: the block is there in this pass, or it is not. At inference
    nothing is drawn, and the input itself is returned; the paper's rule, branches unscaled in
    training and times ``1 - rate`` at inference, is the same network with other weights.

    The branch has been computed when it gets here. `LayerDrop` stands around a block and skips it.

    Parameters
    ----------
    rate : float
        Probability of dropping the branch; `depth_rates` gives one for each block.
    per : {"sample", "batch"}
        For what one decision holds.
    name : str, optional
        Name within a `Sequential`.

    References
    ----------
    Huang, Sun, Liu, Sedra, Weinberger, "Deep networks with stochastic depth", ECCV 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layers.StochasticDepth(0.5).forward(np.ones((4, 3), "f4"), ctx)
    >>> y
    array([[2., 2., 2.],
           [2., 2., 2.],
           [0., 0., 0.],
           [0., 0., 0.]], dtype=float32)
    """

    per = OneOf(SPANS, "sample")

    def mask(self, shape: Shape, ctx: Context) -> Mask:
        """Draw the mask of one pass."""
        first = 1 if self.per == "sample" else 0
        return ctx.draw(shape, self.rate, shared_axes=tuple(range(first, len(shape))))

def depth_rates(depth: int, rate: float) -> list[float]:
    """Return ``rate * l / depth`` for the blocks l from 1 to depth: the linear decay of the paper.

    Parameters
    ----------
    depth : int
        How many blocks there are.
    rate : float
        The rate of the last one.

    Examples
    --------
    >>> from cydropout.layers import depth_rates
    >>> [round(rate, 2) for rate in depth_rates(4, 0.2)]
    [0.05, 0.1, 0.15, 0.2]
    """
    check_count("depth", depth)
    last = check_one_rate(rate, "depth_rates")
    return [last * block / depth for block in range(1, depth + 1)]
