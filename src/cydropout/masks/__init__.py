"""What was drawn: maps that are their own adjoint, forward for x, backward for the gradient."""

from .alpha import AlphaMask
from .bernoulli import InferenceMask, Mask, inference_mask
from .bits import BitMask, as_shape
from .blocks import BlockMask
from .concrete import ConcreteMask
from .cutout import CutoutMask
from .gaussian import GaussianMask
from .given import FactorMask, KeepMask, ScaleMask
from .head import HeadMask, head_axis, inside_heads
from .noise import NoiseMask
from .regions import RegionMask
from .subset import TokenMask, column_mask, subset
from .walk import WalkMask

__all__ = [
    "AlphaMask",
    "BitMask",
    "BlockMask",
    "ConcreteMask",
    "CutoutMask",
    "FactorMask",
    "GaussianMask",
    "HeadMask",
    "InferenceMask",
    "KeepMask",
    "Mask",
    "NoiseMask",
    "RegionMask",
    "ScaleMask",
    "TokenMask",
    "WalkMask",
    "as_shape",
    "column_mask",
    "head_axis",
    "inference_mask",
    "inside_heads",
    "subset",
]
