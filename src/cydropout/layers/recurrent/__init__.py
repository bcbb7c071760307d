"""Recurrent layers: `SimpleRNN`, `LSTM` and `GRU`."""

from cydropout.layers.recurrent.gru import GRU
from cydropout.layers.recurrent.lstm import LSTM
from cydropout.layers.recurrent.simple_rnn import SimpleRNN

__all__ = [
    "GRU",
    "LSTM",
    "SimpleRNN",
]
