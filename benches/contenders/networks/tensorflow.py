"""Keras: its layers, channels last."""

import tensorflow as tf

from contenders.networks import HEADS, SPATIAL

layers = tf.keras.layers


def images(case):
    *filters, units = case.hidden
    stack = [tf.keras.Input(case.shape[1:])]
    for count in filters:
        stack += [layers.Conv2D(count, 3, use_bias=False), layers.BatchNormalization(),
                  layers.ReLU(), layers.MaxPool2D(2), layers.SpatialDropout2D(SPATIAL * case.rate)]
    return tf.keras.Sequential([
        *stack, layers.Flatten(), layers.Dense(units, activation="relu"),
        layers.Dropout(case.rate), layers.Dense(case.classes),
    ])


def characters(case):
    return tf.keras.Sequential([
        layers.Embedding(case.classes, 64), layers.Dropout(case.rate),
        layers.LSTM(case.hidden[0], return_sequences=True), layers.Dropout(case.rate),
        layers.Dense(case.classes),
    ])


class Positions(layers.Layer):
    """Add an embedding of the positions."""

    def build(self, shape):
        self.table = self.add_weight(shape=shape[1:], initializer="uniform")

    def call(self, x):
        return x + self.table


def sentences(case):
    rate = case.rate
    x = tf.keras.Input(case.shape[1:], dtype="int64")
    h = layers.Embedding(case.classes, case.hidden[0])(x)
    h = layers.Dropout(rate)(Positions()(h))
    for units in case.hidden:
        part = layers.LayerNormalization()(h)
        attention = layers.MultiHeadAttention(HEADS, units // HEADS, dropout=rate)
        h += layers.Dropout(rate)(attention(part, part, use_causal_mask=True))
        part = layers.Dense(4 * units, activation="gelu")(layers.LayerNormalization()(h))
        h += layers.Dropout(rate)(layers.Dense(units)(layers.Dropout(rate)(part)))
    return tf.keras.Model(x, layers.Dense(case.classes)(layers.LayerNormalization()(h)))
