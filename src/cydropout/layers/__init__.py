"""Layers: parameters and settings; ``forward(x, ctx)`` returns ``(y, backward)``."""

from .activations import GELU, SELU, Activation, ReLU, Sigmoid, Softplus, Tanh
from .alpha import AlphaDropout, FeatureAlphaDropout
from .base import Context, Layer, Parameter
from .concrete import ConcreteDropout
from .dense import Dense
from .dropout import Dropout
from .flatten import Flatten
from .gaussian import GaussianDropout
from .sequential import Sequential
from .spatial import SpatialDropout1D, SpatialDropout2D, SpatialDropout3D
from .standout import Standout
from .stochastic_depth import StochasticDepth, depth_rates
from .variational import VariationalGaussianDropout

__all__ = [
    "GELU",
    "SELU",
    "Activation",
    "AlphaDropout",
    "ConcreteDropout",
    "Context",
    "Dense",
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
    "Standout",
    "StochasticDepth",
    "Tanh",
    "VariationalGaussianDropout",
    "depth_rates",
]
