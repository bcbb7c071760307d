"""JAX: one jitted step, with the buffers of parameters and state given back to it."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np


def epoch(case, key, x, labels):
    sizes = [case.shape[1], *case.hidden, 10]
    rng = np.random.default_rng(0)
    weights = [
        (jnp.asarray(rng.standard_normal((m, n), "f4") * (2 / m) ** 0.5), jnp.zeros(n, "f4"))
        for m, n in itertools.pairwise(sizes)
    ]
    zeros = jax.tree.map(jnp.zeros_like, weights)
    q, b1, b2 = 1 - case.rate, 0.9, 0.999

    def loss_of(weights, key, batch, target):
        for w, b in weights[:-1]:
            batch = jax.nn.relu(batch @ w + b)
            if case.rate:
                key, own = jax.random.split(key)
                batch = jnp.where(
                    jax.random.bernoulli(own, q, batch.shape), batch / np.float32(q), 0)
        w, b = weights[-1]
        logits = jax.nn.log_softmax(batch @ w + b)
        return -jnp.take_along_axis(logits, target[:, None], 1).mean()

    def step(weights, first, second, count, batch, target):
        loss, gradients = jax.value_and_grad(loss_of)(
            weights, jax.random.fold_in(key, count), batch, target)
        count = count + 1
        lr = jnp.float32(0.001) * jnp.sqrt(1 - jnp.float32(b2) ** count) / (
            1 - jnp.float32(b1) ** count)
        first = jax.tree.map(lambda m, g: b1 * m + np.float32(1 - b1) * g, first, gradients)
        second = jax.tree.map(lambda v, g: b2 * v + np.float32(1 - b2) * g * g, second, gradients)
        weights = jax.tree.map(
            lambda w, m, v: w - lr * m / (jnp.sqrt(v) + np.float32(1e-8)), weights, first, second)
        return weights, first, second, loss

    step = jax.jit(step, donate_argnums=(0, 1, 2))
    # A copy: the zeros of both means would be one buffer, which can be given away once.
    state = [weights, zeros, jax.tree.map(jnp.copy, zeros)]
    counts = itertools.count()

    def run():
        losses = []
        order = rng.permutation(len(x))
        for start in range(0, len(x), case.batch):
            rows = order[start : start + case.batch]
            *state[:], loss = step(*state, np.int32(next(counts)), x[rows], labels[rows])
            losses.append(loss)
        return float(np.mean(jax.device_get(losses)))

    return run
