"""Layers: parameters and settings; ``forward(x, ctx)`` returns ``(y, backward)``."""

from .activations import GELU, SELU, Activation, ReLU, Sigmoid, Softplus, Tanh
from .alpha import AlphaDropout, FeatureAlphaDropout
from .base import Context, Layer, Parameter
from .batch_norm import BatchNorm
from .batchwise import BatchwiseDropout
from .concrete import ConcreteDropout
from .conv import Conv2D
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
from .gru import GRU
from .layer_drop import LayerDrop
from .layer_norm import LayerNorm
from .locked import LockedDropout
from .lstm import LSTM
from .multi_head_attention import MultiHeadAttention
from .patch import PatchDropout
from .pooling import AveragePool2D, GlobalAveragePool2D, MaxPool2D
from .positional_embedding import PositionalEmbedding
from .recurrent_dropout import RecurrentDropout
from .residual import Residual
from .sequential import Sequential
from .simple_rnn import SimpleRNN
from .softmax_dropout import SoftmaxDropout
from .spatial import SpatialDropout1D, SpatialDropout2D, SpatialDropout3D
from .standout import Standout
from .stochastic_depth import StochasticDepth, depth_rates
from .transformer_block import TransformerBlock
from .variational import VariationalGaussianDropout
from .weight_dropout import WeightDropout
from .zoneout import Zoneout

__all__ = [
    "GELU",
    "GRU",
    "LSTM",
    "SELU",
    "Activation",
    "AlphaDropout",
    "AveragePool2D",
    "BatchNorm",
    "BatchwiseDropout",
    "ConcreteDropout",
    "Context",
    "Conv2D",
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
    "GlobalAveragePool2D",
    "Layer",
    "LayerDrop",
    "LayerNorm",
    "LockedDropout",
    "MaxPool2D",
    "MultiHeadAttention",
    "Parameter",
    "PatchDropout",
    "PositionalEmbedding",
    "ReLU",
    "RecurrentDropout",
    "Residual",
    "Sequential",
    "Sigmoid",
    "SimpleRNN",
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
