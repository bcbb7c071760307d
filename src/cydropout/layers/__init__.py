"""Layers: parameters and settings; ``forward(x, ctx)`` returns ``(y, backward)``."""

from .activations import GELU, SELU, Activation, ReLU, Sigmoid, Softplus, Tanh
from .alpha import AlphaDropout, FeatureAlphaDropout
from .base import Context, Layer, Parameter
from .batchwise import BatchwiseDropout
from .dense import Dense
from .dropout import Dropout
from .embedding import Embedding, EmbeddingDropout
from .feature import FeatureDropout
from .flatten import Flatten
from .gaussian import GaussianDropout
from .locked import LockedDropout
from .patch import PatchDropout
from .recurrent import RecurrentDropout
from .sequential import Sequential
from .spatial import SpatialDropout1D, SpatialDropout2D, SpatialDropout3D
from .stochastic_depth import StochasticDepth, depth_rates
from .zoneout import Zoneout

__all__ = [
    "GELU",
    "SELU",
    "Activation",
    "AlphaDropout",
    "BatchwiseDropout",
    "Context",
    "Dense",
    "Dropout",
    "Embedding",
    "EmbeddingDropout",
    "FeatureAlphaDropout",
    "FeatureDropout",
    "Flatten",
    "GaussianDropout",
    "Layer",
    "LockedDropout",
    "Parameter",
    "PatchDropout",
    "ReLU",
    "RecurrentDropout",
    "Sequential",
    "Sigmoid",
    "Softplus",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "StochasticDepth",
    "Tanh",
    "Zoneout",
    "depth_rates",
]
