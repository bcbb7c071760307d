"""TensorFlow: the layers of Keras."""

import tensorflow as tf

layers = tf.keras.layers


def _keras(kind, **options):
    def make(case):
        layer = kind(case.rate, **options)
        return lambda x: layer(x, training=True)

    return make


def _shared(shape):
    def make(case):
        return lambda x: tf.nn.dropout(x, case.rate, noise_shape=shape(case.shape))

    return make


Dropout = _keras(layers.Dropout)
GaussianDropout = _keras(layers.GaussianDropout)
AlphaDropout = _keras(layers.AlphaDropout)
SpatialDropout1D = _shared(lambda shape: (*shape[:2], 1))
SpatialDropout2D = _keras(layers.SpatialDropout2D, data_format="channels_first")
SpatialDropout3D = _keras(layers.SpatialDropout3D, data_format="channels_first")
BatchwiseDropout = _shared(lambda shape: (1, shape[1]))
LockedDropout = _shared(lambda shape: (shape[0], 1, shape[2]))
StochasticDepth = _shared(lambda shape: (shape[0], 1, 1))


def SoftmaxDropout(case):
    return lambda s: tf.nn.dropout(tf.nn.softmax(s), case.rate)
