"""TensorFlow: its dropout in a tf.function, with its stateful Philox generator."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import tensorflow as tf

from contenders import Base, refuse, variant_of
from contenders.networks import tensorflow as networks
from contenders.training import fastest
from contenders.training import tensorflow as training
from contenders.variants import tensorflow as variants


class Contender(Base):
    versions = (("TensorFlow", tf.__version__),)

    def __init__(self, variant, threads):
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)

    def numpy(self, result):
        if isinstance(result, tuple):
            return tuple(map(self.numpy, result))
        return result.numpy()

    def _dropout(self, case):
        refuse(case.per_neuron, "one rate for all")
        return lambda x: tf.nn.dropout(x, case.rate, noise_shape=case.mask_shape)

    def _run(self, function, *inputs):
        inputs = tuple(map(tf.constant, inputs))
        compiled = tf.function(function)
        return lambda: compiled(*inputs)

    def copy(self, case, x):
        return self._run(lambda x: x * tf.constant(2, x.dtype), x)

    def forward(self, case, x):
        return self._run(self._dropout(case), x)

    def forward_backward(self, case, x, dy):
        dropout = self._dropout(case)

        def both(x, dy):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = dropout(x)
            return y, tape.gradient(y, x, dy)

        return self._run(both, x, dy)

    def mask(self, case):
        return self._run(lambda: tf.random.uniform(case.shape) < 1 - case.rate)

    def ready_mask(self, case, x):
        q = 1 - case.rate
        keep = tf.cast(tf.random.uniform(x.shape) < q, tf.as_dtype(x.dtype)) / q
        return self._run(lambda x, mask: x * mask, x, keep)

    def fused(self, case, z, b):
        dropout = self._dropout(case)
        return self._run(lambda z, b: dropout(tf.nn.relu(z + b)), z, b)

    def variant(self, case, *inputs):
        layer = variant_of(variants, case)(case)
        x, dy = inputs

        def both(x, dy):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x)
            return y, tape.gradient(y, x, dy)

        return self._run(both, x, dy)

    def epoch(self, case, x, labels):
        return training.epoch(case, x, labels)

    def network(self, case, x, labels):
        network = variant_of(networks, case)
        return fastest(training.fit(case, x, labels, network(case), jit_compile)
                       for jit_compile in (False, "auto"))
