"""Layers: parameters and settings; ``forward(x, ctx)`` returns ``(y, backward)``."""

from cydropout.layers._layer import Context, Layer, Parameter
from cydropout.layers._saved import load_model
from cydropout.layers._settings import register
from cydropout.layers.activations import GELU, SELU, Activation, ReLU, Sigmoid, Softplus, Tanh
from cydropout.layers.attention.multi_head_attention import MultiHeadAttention
from cydropout.layers.attention.positional_embedding import PositionalEmbedding
from cydropout.layers.attention.transformer_block import TransformerBlock
from cydropout.layers.batch_norm import BatchNorm
from cydropout.layers.conv import Conv2D
from cydropout.layers.dense import Dense
from cydropout.layers.dropout._masked import MaskedLayer
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
from cydropout.layers.embedding import Embedding, EmbeddingDropout
from cydropout.layers.flatten import Flatten
from cydropout.layers.layer_norm import LayerNorm
from cydropout.layers.pooling import AveragePool2D, GlobalAveragePool2D, MaxPool2D
from cydropout.layers.recurrent.gru import GRU
from cydropout.layers.recurrent.lstm import LSTM
from cydropout.layers.recurrent.simple_rnn import SimpleRNN
from cydropout.layers.residual import Residual
from cydropout.layers.sequence_pooling import GlobalAveragePool1D, GlobalMaxPool1D
from cydropout.layers.sequential import Sequential

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
    "GlobalAveragePool1D",
    "GlobalAveragePool2D",
    "GlobalMaxPool1D",
    "Layer",
    "LayerDrop",
    "LayerNorm",
    "LockedDropout",
    "MaskedLayer",
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
    "load_model",
    "register",
]
