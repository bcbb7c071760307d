"""Layers: parameters and settings; ``forward(x, ctx)`` returns ``(y, backward)``."""

from .activations import GELU, SELU, Activation, ReLU, Sigmoid, Softplus, Tanh
from .alpha import AlphaDropout, FeatureAlphaDropout
from .attention import SoftmaxDropout
from .base import Context, Layer, Parameter
from .batchwise import BatchwiseDropout
from .concrete import ConcreteDropout
from .cutout import CutoutDropout
from .dense import Dense
from .drop_block import DropBlock1D, DropBlock2D, DropBlock3D
from .drop_connect import DropConnect
from .drop_head import DropHead
from .drop_walk import DropWalk2D
from .dropout import Dropout
from .embedding import Embedding, EmbeddingDropout
from .feature import FeatureDropout
from .flatten import Flatten
from .gaussian import GaussianDropout
from .layer_drop import LayerDrop
from .layer_norm import LayerNorm
from .locked import LockedDropout
from .multi_head_attention import MultiHeadAttention
from .patch import PatchDropout
from .positional_embedding import PositionalEmbedding
from .recurrent import RecurrentDropout
from .residual import Residual
from .sequential import Sequential
from .spatial import SpatialDropout1D, SpatialDropout2D, SpatialDropout3D
from .standout import Standout
from .stochastic_depth import StochasticDepth, depth_rates
from .transformer_block import TransformerBlock
from .variational import VariationalGaussianDropout
from .weight_dropout import WeightDropout
from .zoneout import Zoneout

__all__ = [
    "GELU",
    "SELU",
    "Activation",
    "AlphaDropout",
    "BatchwiseDropout",
    "ConcreteDropout",
    "Context",
    "CutoutDropout",
    "Dense",
    "DropBlock1D",
    "DropBlock2D",
    "DropBlock3D",
    "DropConnect",
    "DropHead",
    "DropWalk2D",
    "Dropout",
    "Embedding",
    "EmbeddingDropout",
    "FeatureAlphaDropout",
    "FeatureDropout",
    "Flatten",
    "GaussianDropout",
    "Layer",
    "LayerDrop",
    "LayerNorm",
    "LockedDropout",
    "MultiHeadAttention",
    "Parameter",
    "PatchDropout",
    "PositionalEmbedding",
    "ReLU",
    "RecurrentDropout",
    "Residual",
    "Sequential",
    "Sigmoid",
    "SoftmaxDropout",
    "Softplus",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "Standout",
    "StochasticDepth",
    "Tanh",
    "TransformerBlock",
    "VariationalGaussianDropout",
    "WeightDropout",
    "Zoneout",
    "depth_rates",
]
