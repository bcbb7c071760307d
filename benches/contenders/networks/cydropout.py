"""This library: its layers, channels last."""

from contenders.networks import HEADS, SPATIAL
from cydropout.layers import (
    LSTM,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    MaxPool2D,
    PositionalEmbedding,
    ReLU,
    Sequential,
    SpatialDropout2D,
    TransformerBlock,
)

LAST = {"data_format": "channels_last"}


def images(case):
    *filters, units = case.hidden
    layers = []
    for count in filters:
        layers += [Conv2D(count, 3, bias=False, init="he", **LAST), BatchNorm(axis=-1), ReLU(),
                   MaxPool2D(2, **LAST)]
        layers += [SpatialDropout2D(SPATIAL * case.rate, **LAST)] if case.rate else []
    layers += [Flatten(), Dense(units, activation="relu", init="he"), *_dropout(case)]
    return Sequential([*layers, Dense(case.classes)])


def characters(case):
    return Sequential([
        Embedding(case.classes, 64), LSTM(case.hidden[0], dropout=case.rate, dropout_per="step"),
        *_dropout(case), Dense(case.classes),
    ])


def sentences(case):
    units = case.hidden[0]
    blocks = [TransformerBlock(n, HEADS, 4 * n, rate=case.rate, causal=True) for n in case.hidden]
    return Sequential([
        Embedding(case.classes, units), PositionalEmbedding(case.shape[1]), *_dropout(case),
        *blocks, LayerNorm(), Dense(case.classes),
    ])


def _dropout(case):
    return [Dropout(case.rate)] if case.rate else []
