"""What was drawn: maps that are their own adjoint, forward for x, backward for the gradient."""

from .alpha import AlphaMask
from .bernoulli import InferenceMask, Mask, inference_mask
from .bits import BitMask, as_shape
from .gaussian import GaussianMask
from .given import FactorMask, KeepMask
from .head import HeadMask, head_axis, inside_heads

__all__ = [
    "AlphaMask",
    "BitMask",
    "FactorMask",
    "GaussianMask",
    "HeadMask",
    "InferenceMask",
    "KeepMask",
    "Mask",
    "as_shape",
    "head_axis",
    "inference_mask",
    "inside_heads",
]
