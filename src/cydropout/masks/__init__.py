"""What was drawn: maps that are their own adjoint, forward for x, backward for the gradient."""

from .alpha import AlphaMask
from .bernoulli import InferenceMask, Mask, inference_mask
from .gaussian import GaussianMask

__all__ = ["AlphaMask", "GaussianMask", "InferenceMask", "Mask", "inference_mask"]
