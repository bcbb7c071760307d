"""Layers: parameters and settings; ``forward(x, ctx)`` returns ``(y, backward)``."""

from .activations import GELU, SELU, Activation, ReLU, Sigmoid, Softplus, Tanh
from .base import Context, Layer, Parameter
from .dense import Dense
from .dropout import Dropout
from .flatten import Flatten
from .sequential import Sequential

__all__ = [
    "GELU",
    "SELU",
    "Activation",
    "Context",
    "Dense",
    "Dropout",
    "Flatten",
    "Layer",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softplus",
    "Tanh",
]
