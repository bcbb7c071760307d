"""What was drawn: maps that are their own adjoint, forward for x, backward for the gradient."""

from cydropout.masks.alpha import AlphaMask
from cydropout.masks.bernoulli import InferenceMask, Mask, inference_mask
from cydropout.masks.bits import BitMask, as_shape
from cydropout.masks.concrete import ConcreteMask
from cydropout.masks.cutout import CutoutMask
from cydropout.masks.drop_block import BlockMask
from cydropout.masks.drop_head import HeadMask, head_axis, inside_heads
from cydropout.masks.drop_walk import WalkMask
from cydropout.masks.gaussian import GaussianMask
from cydropout.masks.given import FactorMask, KeepMask, ScaleMask
from cydropout.masks.noise import NoiseMask
from cydropout.masks.regions import RegionMask
from cydropout.masks.subset import TokenMask, column_mask, subset

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
