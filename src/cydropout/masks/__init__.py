"""What was drawn, from a key, a draw and a shape: `apply` forward, `backward` for the gradient."""

from cydropout.masks.alpha import AlphaMask
from cydropout.masks.base import BaseMask
from cydropout.masks.bernoulli import InferenceMask, Mask
from cydropout.masks.bits import BitMask
from cydropout.masks.concrete import ConcreteMask
from cydropout.masks.cutout import CutoutMask
from cydropout.masks.drop_block import BlockMask
from cydropout.masks.drop_head import HeadMask, head_axis, inside_heads
from cydropout.masks.drop_walk import WalkMask
from cydropout.masks.gaussian import GaussianMask
from cydropout.masks.given import FactorMask, KeepMask, ScaleMask
from cydropout.masks.noise import NoiseMask
from cydropout.masks.regions import RegionMask
from cydropout.masks.subset import ColumnMask, TokenMask, subset

__all__ = [
    "AlphaMask",
    "BaseMask",
    "BitMask",
    "BlockMask",
    "ColumnMask",
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
    "head_axis",
    "inside_heads",
    "subset",
]
