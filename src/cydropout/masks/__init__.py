"""What was drawn: maps that are their own adjoint, forward for x, backward for the gradient."""

from .alpha import AlphaMask
from .bernoulli import InferenceMask, Mask, inference_mask
from .bits import BitMask, as_shape
from .gaussian import GaussianMask
from .given import FactorMask, KeepMask
from .subset import TokenMask, column_mask, subset

__all__ = [
    "AlphaMask",
    "BitMask",
    "FactorMask",
    "GaussianMask",
    "InferenceMask",
    "KeepMask",
    "Mask",
    "TokenMask",
    "as_shape",
    "column_mask",
    "inference_mask",
    "subset",
]
