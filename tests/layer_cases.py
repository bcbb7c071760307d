"""The rows of the contract that every layer keeps; a dropout has its row in its own table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from cydropout import MaskStream, layers
from cydropout.layers import (
    GELU,
    GRU,
    LSTM,
    SELU,
    AveragePool2D,
    BatchNorm,
    BatchwiseDropout,
    Context,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    Layer,
    LayerNorm,
    MaxPool2D,
    MultiHeadAttention,
    PositionalEmbedding,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    SimpleRNN,
    Softplus,
    Tanh,
    TransformerBlock,
    WeightDropout,
)
from cydropout.layers.dropout import _variants


@dataclass(frozen=True)
class Row:
    """A layer, the shape of its input, and what it claims to be."""

    make: Callable[[], Layer]
    shape: tuple[int, ...]
    linear: bool = False  # the map from x to y, for fixed noise
    random: bool = False  # draws from the stream in training
    keeps_dtype: bool = True  # float16 in, float16 out
    exact: bool = True  # the gradient, in training too
    shortens: bool = False  # its output has another shape in training


ROWS = {
    "Dense": Row(lambda: Dense(3), (4, 5), keeps_dtype=False),
    "Dense-no-bias": Row(lambda: Dense(3, bias=False), (4, 5), linear=True, keeps_dtype=False),
    "Dense-sequence": Row(lambda: Dense(3, activation="tanh"), (2, 3, 5), keeps_dtype=False),
    "Dense-relu-dropout": Row(
        lambda: Sequential([Dense(6, activation="relu", init="he"), Dropout(0.5)]),
        (4, 5), False, True, False,
    ),
    "Dense-gelu-dropout": Row(
        lambda: Sequential([Dense(6, activation="gelu"), Dropout(0.25)]),
        (3, 2, 5), False, True, False,
    ),
    "Dense-dropout": Row(
        lambda: Sequential([Dense(6, bias=False), Dropout(0.5)]), (4, 5), True, True, False
    ),
    "LayerNorm": Row(lambda: LayerNorm(), (4, 5), keeps_dtype=False),
    "LayerNorm-sequence": Row(lambda: LayerNorm(epsilon=0.1), (2, 3, 33), keeps_dtype=False),
    "MultiHeadAttention": Row(
        lambda: MultiHeadAttention(2, rate=0.3), (2, 5, 6), False, True, False
    ),
    "MultiHeadAttention-causal": Row(
        lambda: MultiHeadAttention(3, causal=True, bias=False), (2, 4, 6), keeps_dtype=False
    ),
    "MultiHeadAttention-heads": Row(
        lambda: MultiHeadAttention(4, rate=0.2, head_rate=0.4, init="lecun", causal=True),
        (3, 3, 8), False, True, False,
    ),
    "PositionalEmbedding": Row(
        lambda: PositionalEmbedding(7), (2, 4, 5), keeps_dtype=False
    ),
    "PositionalEmbedding-sinusoidal": Row(
        lambda: PositionalEmbedding(4, encoding="sinusoidal"), (2, 4, 5), keeps_dtype=False
    ),
    "Residual": Row(lambda: Residual(Dense(5), Tanh()), (4, 5), keeps_dtype=False),
    "Residual-depth": Row(
        lambda: Residual(LayerNorm(), Dense(5), Dropout(0.3), rate=0.4), (4, 5), False, True, False
    ),
    "Residual-batch": Row(
        lambda: Residual(Dense(5, bias=False), rate=0.4, per="batch"), (4, 5), True, True, False
    ),
    "Residual-nested": Row(
        lambda: Residual(Residual(Dense(5)), Sequential([Tanh(), Dense(5)])), (2, 3, 5),
        keeps_dtype=False,
    ),
    "TransformerBlock": Row(
        lambda: TransformerBlock(6, 2, 7, rate=0.2, depth_rate=0.3, causal=True),
        (2, 4, 6), False, True, False,
    ),
    "TransformerBlock-0": Row(
        lambda: TransformerBlock(4, 1, 3, activation="tanh"), (3, 2, 4), keeps_dtype=False
    ),
    "Sequential-batchwise": Row(
        lambda: Sequential(
            [BatchwiseDropout(0.3), Dense(8, activation="tanh"), BatchwiseDropout(0.5), Dense(3)],
            dtype="float64",
        ),
        (6, 7), False, True, False,
    ),
    "SimpleRNN": Row(lambda: SimpleRNN(5), (2, 4, 3), keeps_dtype=False),
    "SimpleRNN-relu-dropout": Row(
        lambda: SimpleRNN(5, activation="relu", dropout=0.4, recurrent_dropout=0.4, zoneout=0.2),
        (2, 4, 3), False, True, False,
    ),
    "LSTM": Row(lambda: LSTM(5, return_sequences=False), (2, 4, 3), keeps_dtype=False),
    "LSTM-dropout": Row(
        lambda: LSTM(5, dropout=0.4, recurrent_dropout=0.4, zoneout=0.3, zoneout_cell=0.3),
        (2, 4, 3), False, True, False,
    ),
    "LSTM-semeniuta": Row(
        lambda: LSTM(
            5, dropout=0.4, dropout_per="step", recurrent_dropout=0.4, recurrent_per="step",
            recurrent_mode="semeniuta", bias=False, return_sequences=False,
        ),
        (2, 4, 3), False, True, False,
    ),
    "LSTM-weights": Row(
        lambda: WeightDropout(LSTM(5), 0.4, ["recurrent_weight"]), (2, 4, 3), False, True, False
    ),
    "GRU": Row(lambda: GRU(5, return_sequences=False, bias=False), (2, 4, 3), keeps_dtype=False),
    "GRU-dropout": Row(
        lambda: GRU(5, recurrent_dropout=0.4, recurrent_per="step", zoneout=0.3),
        (2, 4, 3), False, True, False,
    ),
    "GRU-semeniuta": Row(
        lambda: GRU(5, dropout=0.4, recurrent_dropout=0.4, recurrent_mode="semeniuta"),
        (2, 4, 3), False, True, False,
    ),
    "Conv2D": Row(lambda: Conv2D(4, 3), (2, 3, 5, 6), keeps_dtype=False),
    "Conv2D-strides": Row(
        lambda: Conv2D(4, (3, 2), strides=(2, 1), padding=(1, 0), bias=False), (2, 3, 6, 4),
        linear=True, keeps_dtype=False,
    ),
    "Conv2D-groups": Row(
        lambda: Conv2D(6, 3, groups=3, padding="same", data_format="channels_last"),
        (2, 4, 3, 6), keeps_dtype=False,
    ),
    "Conv2D-relu": Row(
        lambda: Conv2D(3, 2, strides=2, activation="tanh", init="he", padding="same"),
        (2, 2, 5, 5), keeps_dtype=False,
    ),
    "Conv2D-weights": Row(
        lambda: WeightDropout(Conv2D(4, 3, groups=2), 0.4, ["weight", "bias"]), (2, 4, 4, 4),
        False, True, False,
    ),
    "MaxPool2D": Row(MaxPool2D, (2, 3, 5, 6)),
    "MaxPool2D-last": Row(
        lambda: MaxPool2D(3, strides=2, padding="same", data_format="channels_last"), (2, 6, 5, 3)
    ),
    "AveragePool2D": Row(AveragePool2D, (2, 3, 5, 6), True),
    "AveragePool2D-last": Row(
        lambda: AveragePool2D((3, 2), strides=1, padding=1, data_format="channels_last"),
        (2, 4, 5, 3), True,
    ),
    "GlobalAveragePool2D": Row(GlobalAveragePool2D, (2, 3, 4, 5), True),
    "GlobalAveragePool1D": Row(layers.GlobalAveragePool1D, (2, 4, 3), True),
    "GlobalMaxPool1D": Row(layers.GlobalMaxPool1D, (2, 4, 3)),
    "BatchNorm": Row(BatchNorm, (5, 3, 2, 3), keeps_dtype=False),
    "BatchNorm-last": Row(lambda: BatchNorm(axis=-1), (4, 3, 2, 5), keeps_dtype=False),
    "BatchNorm-features": Row(lambda: BatchNorm(0.5, 1e-3), (7, 4), keeps_dtype=False),
    "Flatten": Row(Flatten, (2, 3, 4), True),
    "Flatten-checked": Row(lambda: Flatten(3, 4), (2, 3, 4), True),
    "ReLU": Row(ReLU, (3, 4), False),
    "Sigmoid": Row(Sigmoid, (3, 4)),
    "Tanh": Row(Tanh, (2, 3, 4)),
    "Softplus": Row(Softplus, (3, 4)),
    "Softplus-sharp": Row(lambda: Softplus(a=7.0), (3, 4)),
    "SELU": Row(SELU, (3, 4)),
    "GELU": Row(GELU, (12,)),
    "Sequential": Row(
        lambda: Sequential([Flatten(), Dense(5), SELU(), Dropout(0.3), Dense(2)], dtype="float64"),
        (3, 2, 4),
        random=True,
        keeps_dtype=False,
    ),
}
CLAIMS = ("linear", "random", "keeps_dtype", "exact", "shortens")
ROWS |= {
    name: Row(partial(_variants.make, layers, variant, case), case.shape,
              **{claim: getattr(case, claim) for claim in CLAIMS})
    for name, (variant, case) in _variants.cases("contract").items()
}


def built(row: Row, dtype: str = "float64") -> Layer:
    layer = row.make()
    layer.build(row.shape[1:], np.random.default_rng(3), dtype)
    for parameter in layer.parameters():  # biases start at 0, which hides mistakes
        parameter.value += np.linspace(-0.3, 0.2, parameter.value.size).reshape(
            parameter.value.shape
        )
    return layer


def draw(shape: tuple[int, ...], seed: int, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def training(draws: int = 5) -> Context:
    """The same noise at every call."""
    return Context(training=True, stream=MaskStream.from_state(0x1234567890ABCDEF, draws))
