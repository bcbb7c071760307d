"""Layers: parameters and settings; ``forward(x, ctx)`` returns ``(y, backward)``."""

from cydropout.layers import dropout
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
from cydropout.layers.dropout import *  # noqa: F403
from cydropout.layers.dropout._masked import MaskedLayer
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
    "AveragePool2D",
    "BatchNorm",
    "Context",
    "Conv2D",
    "Dense",
    "Embedding",
    "EmbeddingDropout",
    "Flatten",
    "GlobalAveragePool1D",
    "GlobalAveragePool2D",
    "GlobalMaxPool1D",
    "Layer",
    "LayerNorm",
    "MaskedLayer",
    "MaxPool2D",
    "MultiHeadAttention",
    "Parameter",
    "PositionalEmbedding",
    "ReLU",
    "Residual",
    "Sequential",
    "Sigmoid",
    "SimpleRNN",
    "Softplus",
    "Tanh",
    "TransformerBlock",
    "load_model",
    "register",
]
__all__ += dropout.__all__
