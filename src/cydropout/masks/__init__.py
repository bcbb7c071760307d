"""What was drawn: maps that are their own adjoint, forward for x, backward for the gradient."""

from .alpha import AlphaMask
from .bernoulli import InferenceMask, Mask, inference_mask
from .bits import BitMask, as_shape
from .concrete import ConcreteMask
from .gaussian import GaussianMask
from .given import FactorMask, KeepMask
from .noise import NoiseMask

__all__ = [
    "AlphaMask",
    "BitMask",
    "ConcreteMask",
    "FactorMask",
    "GaussianMask",
    "InferenceMask",
    "KeepMask",
    "Mask",
    "NoiseMask",
    "as_shape",
    "inference_mask",
]
