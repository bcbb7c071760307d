"""Layers: parameters and settings; ``forward(x, ctx)`` returns ``(y, backward)``."""

from .activations import GELU, SELU, Activation, ReLU, Sigmoid, Softplus, Tanh
from .alpha import AlphaDropout, FeatureAlphaDropout
from .attention import SoftmaxDropout
from .base import Context, Layer, Parameter
from .dense import Dense
from .drop_head import DropHead
from .dropout import Dropout
from .flatten import Flatten
from .gaussian import GaussianDropout
from .layer_drop import LayerDrop
from .sequential import Sequential
from .spatial import SpatialDropout1D, SpatialDropout2D, SpatialDropout3D
from .stochastic_depth import StochasticDepth, depth_rates

__all__ = [
    "GELU",
    "SELU",
    "Activation",
    "AlphaDropout",
    "Context",
    "Dense",
    "DropHead",
    "Dropout",
    "FeatureAlphaDropout",
    "Flatten",
    "GaussianDropout",
    "Layer",
    "LayerDrop",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "SoftmaxDropout",
    "Softplus",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "StochasticDepth",
    "Tanh",
    "depth_rates",
]
