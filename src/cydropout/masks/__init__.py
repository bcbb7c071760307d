"""What was drawn: maps that are their own adjoint, forward for x, backward for the gradient."""

from .alpha import AlphaMask
from .bernoulli import InferenceMask, Mask, inference_mask
from .bits import BitMask, as_shape
from .blocks import BlockMask
from .cutout import CutoutMask
from .gaussian import GaussianMask
from .given import FactorMask, KeepMask
from .regions import RegionMask
from .walk import WalkMask

__all__ = [
    "AlphaMask",
    "BitMask",
    "BlockMask",
    "CutoutMask",
    "FactorMask",
    "GaussianMask",
    "InferenceMask",
    "KeepMask",
    "Mask",
    "RegionMask",
    "WalkMask",
    "as_shape",
    "inference_mask",
]
