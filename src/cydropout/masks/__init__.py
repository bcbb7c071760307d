"""What was drawn: maps that are their own adjoint, forward for x, backward for the gradient."""

from .alpha import AlphaMask
from .bernoulli import InferenceMask, Mask, inference_mask
from .bits import BitMask, as_shape
from .gaussian import GaussianMask
from .given import FactorMask, KeepMask

__all__ = [
    "AlphaMask",
    "BitMask",
    "FactorMask",
    "GaussianMask",
    "InferenceMask",
    "KeepMask",
    "Mask",
    "as_shape",
    "inference_mask",
]
