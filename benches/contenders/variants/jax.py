"""JAX: the formula of the paper, as a function of a key and the inputs."""

import jax
import jax.numpy as jnp
from jax import random


def _masked(shape):
    def make(case):
        q = 1 - case.rate

        def dropout(key, x):
            return jnp.where(random.bernoulli(key, q, shape(case.shape)), x / x.dtype.type(q), 0)

        return dropout

    return make


Dropout = _masked(lambda shape: shape)
SpatialDropout1D = SpatialDropout2D = SpatialDropout3D = _masked(
    lambda shape: shape[:2] + (1,) * (len(shape) - 2))
BatchwiseDropout = _masked(lambda shape: (1, shape[1]))
LockedDropout = _masked(lambda shape: (shape[0], 1, shape[2]))
StochasticDepth = _masked(lambda shape: (shape[0], 1, 1))


def GaussianDropout(case):
    sigma = (case.rate / (1 - case.rate)) ** 0.5
    return lambda key, x: x * (1 + x.dtype.type(sigma) * random.normal(key, x.shape, x.dtype))


def _alpha(shape):
    def make(case):
        lower, q = -1.7580993408473766, 1 - case.rate
        a = (q * (1 + case.rate * lower**2)) ** -0.5
        b = -a * case.rate * lower

        def dropout(key, x):
            f = x.dtype.type
            return jnp.where(
                random.bernoulli(key, q, shape(x.shape)), f(a) * x + f(b), f(a * lower + b))

        return dropout

    return make


AlphaDropout = _alpha(lambda shape: shape)
FeatureAlphaDropout = _alpha(lambda shape: (*shape[:2], 1, 1))


def Standout(case):
    def standout(key, z):
        keep = jax.nn.sigmoid(z)
        mask = random.bernoulli(key, keep).astype(z.dtype)
        return jax.nn.relu(z) * (keep + jax.lax.stop_gradient(mask - keep))  # straight through

    return standout


def ConcreteDropout(case):
    def concrete(key, x, logit):
        noise = random.logistic(key, x.shape, x.dtype)
        z = jax.nn.sigmoid((logit + noise) / x.dtype.type(0.1))
        return x * (1 - z) / (1 - jax.nn.sigmoid(logit))

    return concrete


def VariationalGaussianDropout(case):
    return lambda key, x, log_alpha: x * (
        1 + jnp.exp(log_alpha / 2) * random.normal(key, x.shape, x.dtype))


def _drop_block(case, block=7):
    size = case.shape[2:]
    gamma = case.rate
    for n in size:
        gamma *= n / (block * (n - block + 1))
    window, pad = (1, 1, *[block] * len(size)), [(0, 0)] * 2 + [(block - 1, block - 1)] * len(size)

    def drop_block(key, x):
        valid = (*x.shape[:2], *(n - block + 1 for n in size))
        seeds = random.bernoulli(key, gamma, valid).astype(x.dtype)
        keep = 1 - jax.lax.reduce_window(
            seeds, x.dtype.type(0), jax.lax.max, window, (1,) * x.ndim, pad)
        kept = keep.sum(tuple(range(1, x.ndim)), keepdims=True)
        return x * keep * (x[0].size / kept)

    return drop_block


DropBlock1D = DropBlock2D = DropBlock3D = _drop_block


def CutoutDropout(case):
    n, _, height, width = case.shape
    h, w = round(case.rate**0.5 * height), round(case.rate**0.5 * width)

    def cutout(key, x):
        down, along = random.split(key)
        top = random.randint(down, (n, 1), 0, height) - h // 2
        left = random.randint(along, (n, 1), 0, width) - w // 2
        rows, columns = jnp.arange(height), jnp.arange(width)
        inside = ((rows >= top) & (rows < top + h))[:, None, :, None]
        inside &= ((columns >= left) & (columns < left + w))[:, None, None, :]
        return jnp.where(inside, 0, x)

    return cutout


def FeatureDropout(case):
    features = case.shape[1]
    kept = features - round(case.rate * features)

    def feature_dropout(key, x):
        chosen = random.permutation(key, features)[:kept]
        return x * jnp.zeros(features, x.dtype).at[chosen].set(features / kept)

    return feature_dropout


def DropConnect(case):
    return lambda key, x, w: x @ jnp.where(
        random.bernoulli(key, 1 - case.rate, w.shape), w / w.dtype.type(1 - case.rate), 0)


WeightDropout = DropConnect


def DropConnect_per_sample(case):
    def drop_connect(key, x, w):
        keep = random.bernoulli(key, 1 - case.rate, (len(x), *w.shape))
        return jnp.einsum("ni,nio->no", x, jnp.where(keep, w / w.dtype.type(1 - case.rate), 0))

    return drop_connect


def RecurrentDropout(case):
    drop = Dropout(case)
    return lambda key, c, f, i, g: f * c + i * drop(key, g)


def Zoneout(case):
    return lambda key, new, previous: jnp.where(
        random.bernoulli(key, case.rate, new.shape), previous, new)


def EmbeddingDropout(case):
    def embedding(key, tokens, table):
        keep = random.bernoulli(key, 1 - case.rate, (len(table), 1))
        return jnp.where(keep, table / table.dtype.type(1 - case.rate), 0)[tokens]

    return embedding


def PatchDropout(case):
    n, tokens, _ = case.shape
    kept = tokens - round(case.rate * tokens)

    def patch_dropout(key, x):
        index = jnp.argsort(random.uniform(key, (n, tokens)), axis=1)[:, :kept]
        return jnp.take_along_axis(x, index[..., None], 1)

    return patch_dropout


def SoftmaxDropout(case):
    drop = Dropout(case)
    return lambda key, s: drop(key, jax.nn.softmax(s, -1))


def DropHead(case):
    def drop_head(key, x):
        mask = random.bernoulli(key, 1 - case.rate, (*x.shape[:2], 1, 1)).astype(x.dtype)
        return x * (mask * (x.shape[1] / mask.sum(1, keepdims=True)))

    return drop_head


def RDropLoss(case):
    def loss(key, logits, labels):
        a, b = jnp.split(jax.nn.log_softmax(logits), 2)
        divergence = ((jnp.exp(a) - jnp.exp(b)) * (a - b)).sum(axis=1) / 2
        right = jnp.take_along_axis(a + b, labels[:, None], 1)[:, 0]
        return (divergence - right).mean()

    return loss
