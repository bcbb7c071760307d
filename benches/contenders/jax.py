"""JAX: jitted, with one of its two generators; every call takes a new key."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from contenders import Base, refuse, variant_of
from contenders.training import jax as training
from contenders.variants import jax as variants


class Contender(Base):
    versions = (("JAX", jax.__version__),)

    def __init__(self, variant, threads):
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_enable_x64", True)
        self.key, self.default = jax.random.key(0, impl=variant), variant == "threefry2x32"
        self.draws = map(np.uint32, itertools.count())

    def numpy(self, result):
        return tuple(map(np.asarray, result)) if isinstance(result, tuple) else np.asarray(result)

    def _keep(self, case, key):
        q = jnp.asarray(1 - case.rates, "float32")
        return jax.random.bernoulli(key, q, case.mask_shape)

    def _dropout(self, case):
        q = np.asarray(1 - case.rates, "float32")
        return lambda key, x: jnp.where(self._keep(case, key), x / q.astype(x.dtype), 0)

    def _run(self, function, *inputs):
        """Return a run of function(a new key, inputs), jitted, that waits for the result."""
        inputs, key, draws = tuple(map(jnp.asarray, inputs)), self.key, self.draws
        jitted = jax.jit(lambda i, *inputs: function(jax.random.fold_in(key, i), *inputs))
        return lambda: jax.block_until_ready(jitted(next(draws), *inputs))

    def copy(self, case, x):
        refuse(not self.default, "no random number in it")
        return self._run(lambda key, x: x * x.dtype.type(2), x)

    def forward(self, case, x):
        return self._run(self._dropout(case), x)

    def forward_backward(self, case, x, dy):
        dropout = self._dropout(case)

        def both(key, x, dy):
            y, back = jax.vjp(lambda x: dropout(key, x), x)
            return y, back(dy)[0]

        return self._run(both, x, dy)

    def mask(self, case):
        return self._run(lambda key: self._keep(case, key))

    def ready_mask(self, case, x):
        refuse(not self.default, "no random number in it")
        q = 1 - case.rate
        keep = np.random.default_rng(0).random(x.shape) < q
        return self._run(lambda key, x, keep: jnp.where(keep, x / x.dtype.type(q), 0), x, keep)

    def fused(self, case, z, b):
        dropout = self._dropout(case)
        return self._run(lambda key, z, b: dropout(key, jax.nn.relu(z + b)), z, b)

    def variant(self, case, *inputs):
        layer = variant_of(variants, case)(case)
        floats = [i for i, x in enumerate(inputs[:-1]) if x.dtype.kind == "f"]

        def both(key, *inputs):
            *inputs, dy = inputs

            def of(*wanted):
                for i, x in zip(floats, wanted, strict=True):
                    inputs[i] = x
                return layer(key, *inputs)

            y, back = jax.vjp(of, *(inputs[i] for i in floats))
            return y, *back(dy)

        return self._run(both, *inputs)

    def epoch(self, case, x, labels):
        return training.epoch(case, self.key, x, labels)
