"""FeatureDropout: drop columns of a table, an exact number of them."""

from __future__ import annotations

from typing import Any

from cydropout._rates import feature_count, share_scale
from cydropout._validate import check_features
from cydropout.layers._layer import Context, Shape
from cydropout.layers._settings import Checked, OneOf, Rate
from cydropout.layers.dropout._masked import MaskedLayer
from cydropout.layers.dropout.dropout import SCALINGS
from cydropout.masks import ColumnMask, KeepMask

SPANS = ("batch", "sample")


class FeatureDropout(MaskedLayer):
    """y = x m / kept in ``kept`` of the m columns of a table, drawn without replacement, else 0.

    The input has shape (rows, m). It is how random forests draw features: an exact number, all
    subsets being equally likely. At inference nothing is drawn, and with inverted scaling the input
    itself is returned.

    Parameters
    ----------
    rate : float, optional
        Share of the columns that are dropped: ``round((1 - rate) * m)`` stay, and at least one
        unless the rate is 1. Not used where ``features`` is given.
    features : int or {"sqrt", "log2"}, optional
        How many columns stay: so many, or the root or the logarithm of their number.
    per : {"batch", "sample"}
        One subset for all rows, or one for each.
    scaling : {"inverted", "classic", "sqrt"}
        With ``q = kept / m``, training multiplies what is kept by ``1 / q``, ``1`` or
        ``q ** -0.5``, and inference multiplies everything by ``1``, ``q`` or ``q ** 0.5``.
    name : str, optional
        Name within a `Sequential`.

    Raises
    ------
    ValueError
        For a setting that is unknown or missing, or an input of fewer columns than ``features``.

    References
    ----------
    Ho, "The random subspace method for constructing decision forests", PAMI 20 (1998); Breiman,
    "Random forests", Machine Learning 45 (2001).

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layers.FeatureDropout(0.5).forward(np.ones((2, 6), "f4"), ctx)
    >>> y
    array([[2., 0., 0., 0., 2., 2.],
           [2., 0., 0., 0., 2., 2.]], dtype=float32)
    """

    rate = Rate(None)
    features = Checked(check_features, None)
    per = OneOf(SPANS, "batch")
    scaling = OneOf(SCALINGS, "inverted")

    def check_settings(self) -> None:
        """Refuse a rate beside a number of features, and neither."""
        if (self.rate is None) == (self.features is None):
            raise ValueError(
                f"{self.path} takes either features or a rate, not features={self.features} and "
                f"rate={self.rate}"
            )

    def _kept(self, shape: Shape) -> int:
        if len(shape) != 2:
            raise ValueError(f"{self.path} needs a table (rows, columns), not {shape}")
        return feature_count(self.features, self.rate or 0.0, shape[1])

    def mask(self, shape: Shape, ctx: Context) -> Any:
        """Draw the columns of one pass."""
        kept = self._kept(shape)
        if not ctx.training:
            rate = 1.0 - kept / shape[1] if shape[1] else 0.0
            return ctx.draw(shape, rate, scaling=self.scaling)
        scale = share_scale(kept, shape[1], self.scaling)
        apart = self.per == "sample"
        return ctx.draw_as(
            ColumnMask, shape, kept, scale, per_sample=apart, num_threads=ctx.num_threads
        )

    def given(self, array: Any, shape: Shape) -> KeepMask:
        """Return the mask of this scale that keeps what ``array``, of bool, says."""
        return KeepMask(shape, array, share_scale(self._kept(shape), shape[1], self.scaling))
