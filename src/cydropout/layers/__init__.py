"""Layers: parameters and settings; ``forward(x, ctx)`` returns ``(y, backward)``."""

from .activations import GELU, SELU, Activation, ReLU, Sigmoid, Softplus, Tanh
from .alpha import AlphaDropout, FeatureAlphaDropout
from .base import Context, Layer, Parameter
from .cutout import CutoutDropout
from .dense import Dense
from .dropblock import DropBlock1D, DropBlock2D, DropBlock3D
from .dropout import Dropout
from .dropwalk import DropWalk2D
from .flatten import Flatten
from .gaussian import GaussianDropout
from .sequential import Sequential
from .spatial import SpatialDropout1D, SpatialDropout2D, SpatialDropout3D
from .stochastic_depth import StochasticDepth, depth_rates

__all__ = [
    "GELU",
    "SELU",
    "Activation",
    "AlphaDropout",
    "Context",
    "CutoutDropout",
    "Dense",
    "DropBlock1D",
    "DropBlock2D",
    "DropBlock3D",
    "DropWalk2D",
    "Dropout",
    "FeatureAlphaDropout",
    "Flatten",
    "GaussianDropout",
    "Layer",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softplus",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "StochasticDepth",
    "Tanh",
    "depth_rates",
]
