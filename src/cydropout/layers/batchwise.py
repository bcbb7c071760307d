"""BatchwiseDropout: the same mask for all samples of a batch."""

from __future__ import annotations

from .base import Shape
from .shared import SharedDropout


class BatchwiseDropout(SharedDropout):
    """Zero each unit in all samples of a batch with probability ``rate``.

    What is kept is scaled by ``1 / (1 - rate)``. The input has shape (batch, ...), and the first
    axis shares one mask. At inference nothing is drawn, and the input itself is returned. One
    switch for a whole training batch is ``StochasticDepth(rate, mode="batch")``.

    Parameters
    ----------
    rate : float or array
        Probability of dropping; an array gives one rate per element of the trailing axes.
    scaling, storage, name
        As for `Dropout`.

    References
    ----------
    Graham, Reizenstein, Robinson, "Efficient batchwise dropout training using submatrices", 2015.
    """

    def along(self, shape: Shape) -> tuple[int, ...]:
        """Return the first axis."""
        if not shape:
            raise ValueError(f"{self.path} needs a batch axis; x has shape {shape}")
        return (0,)
