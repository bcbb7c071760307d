"""Zoneout: leave some units of the state as they were."""

from __future__ import annotations

from functools import partial
from typing import Any

from cydropout import functional
from cydropout.functional.zoneout import alike
from cydropout.layers._layer import Array, Context, Shape, as_float, as_gradient, restoring_draws
from cydropout.layers.dropout._masked import MaskedLayer
from cydropout.masks import Mask


class Zoneout(MaskedLayer):
    """y = previous with probability ``rate``, else new: a step that some units do not take.

    Both states have one shape of any number of axes. At inference nothing is drawn and the mean
    is returned, ``y = rate * previous + (1 - rate) * new``; so, unlike the other layers of
    dropout, this one then gives back its input only at rate 0. At rate 1 every unit keeps its
    previous state.

    Parameters
    ----------
    rate : float
        Probability of keeping the previous state.
    name : str, optional
        Name within a `Sequential`.

    References
    ----------
    Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", ICLR
    2017.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> new, previous = np.full((2, 4), 7.0), np.zeros((2, 4))
    >>> y, backward = layers.Zoneout(0.5).forward(new, ctx, previous=previous)
    >>> y
    array([[7., 7., 0., 0.],
           [7., 0., 0., 0.]])
    """

    def mask(self, shape: Shape, ctx: Context) -> Mask:
        """Draw where the new state is taken; at inference, its mean."""
        return ctx.draw(shape, self.rate, scaling="classic")

    @restoring_draws
    def forward(
        self, x: Array, ctx: Context, mask: Any = None, previous: Array | None = None
    ) -> tuple[Array, Any]:
        """Return the state after the step and its backward.

        Parameters
        ----------
        x : array
            The new state: float16, bfloat16, float32 or float64.
        ctx : Context
            Of the pass.
        mask : mask or array of bool, optional
            Used instead of one that is drawn: where the new state is taken.
        previous : array, optional
            The state before the step, of the shape and dtype of ``x``. Without it, zeros stand
            for it: the initial state.

        Returns
        -------
        y : array
        backward : callable
            Takes dy to dnew, or, with a previous state, to (dnew, dprevious).
        """
        x = as_float(x, self.path)
        if not ctx.training and self.rate == 0 and mask is None and previous is None:
            return x, lambda dy: as_gradient(dy, x.shape)
        if previous is None:
            return super().forward(x, ctx, mask)
        alike(x=x, previous=previous)
        used = ctx.mask_for(self, x.shape, mask)
        y = functional.zoneout(x, previous, used, num_threads=ctx.num_threads)
        return y, partial(functional.zoneout_backward, mask=used, num_threads=ctx.num_threads)
