"""Every variant of dropout, one file each."""

from cydropout.layers.dropout.alpha import AlphaDropout, FeatureAlphaDropout
from cydropout.layers.dropout.batchwise import BatchwiseDropout
from cydropout.layers.dropout.concrete import ConcreteDropout
from cydropout.layers.dropout.cutout import CutoutDropout
from cydropout.layers.dropout.drop_block import DropBlock1D, DropBlock2D, DropBlock3D
from cydropout.layers.dropout.drop_connect import DropConnect
from cydropout.layers.dropout.drop_head import DropHead
from cydropout.layers.dropout.drop_walk import DropWalk2D
from cydropout.layers.dropout.dropout import Dropout
from cydropout.layers.dropout.feature import FeatureDropout
from cydropout.layers.dropout.gaussian import GaussianDropout
from cydropout.layers.dropout.layer_drop import LayerDrop
from cydropout.layers.dropout.locked import LockedDropout
from cydropout.layers.dropout.patch import PatchDropout
from cydropout.layers.dropout.recurrent_dropout import RecurrentDropout
from cydropout.layers.dropout.softmax_dropout import SoftmaxDropout
from cydropout.layers.dropout.spatial import SpatialDropout1D, SpatialDropout2D, SpatialDropout3D
from cydropout.layers.dropout.standout import Standout
from cydropout.layers.dropout.stochastic_depth import StochasticDepth, depth_rates
from cydropout.layers.dropout.variational import VariationalGaussianDropout
from cydropout.layers.dropout.weight_dropout import WeightDropout
from cydropout.layers.dropout.zoneout import Zoneout

__all__ = [
    "AlphaDropout",
    "BatchwiseDropout",
    "ConcreteDropout",
    "CutoutDropout",
    "DropBlock1D",
    "DropBlock2D",
    "DropBlock3D",
    "DropConnect",
    "DropHead",
    "DropWalk2D",
    "Dropout",
    "FeatureAlphaDropout",
    "FeatureDropout",
    "GaussianDropout",
    "LayerDrop",
    "LockedDropout",
    "PatchDropout",
    "RecurrentDropout",
    "SoftmaxDropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "Standout",
    "StochasticDepth",
    "VariationalGaussianDropout",
    "WeightDropout",
    "Zoneout",
    "depth_rates",
]
