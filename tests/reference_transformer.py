"""Layer normalization, its backward and self-attention, once more in plain NumPy."""

import numpy as np
import reference_attention


def layer_norm(x, weight, bias, epsilon):
    x = x.astype("f8")
    mean = x.mean(axis=-1, keepdims=True)
    z = (x - mean) / np.sqrt(((x - mean) ** 2).mean(axis=-1, keepdims=True) + epsilon)
    return z * weight + bias, z


def layer_norm_backward(dy, x, weight, epsilon):
    x, dy, last = x.astype("f8"), dy.astype("f8"), x.shape[-1]
    _, z = layer_norm(x, weight, 0, epsilon)
    scale = 1 / np.sqrt(x.var(axis=-1, keepdims=True) + epsilon)
    g = dy * weight
    along = (g * z).mean(axis=-1, keepdims=True)
    dx = scale * (g - g.mean(axis=-1, keepdims=True) - z * along)
    return dx, (dy * z).reshape(-1, last).sum(axis=0), dy.reshape(-1, last).sum(axis=0)


def attention(x, parameters, heads, allowed, kept=None, factor=1.0, heads_kept=None):
    """Head by head; ``kept`` is of the weights, ``heads_kept`` (samples, heads)."""
    qkv = x @ parameters["qkv_weight"] + parameters.get("qkv_bias", 0)
    q, k, v = np.split(qkv, 3, axis=-1)
    size = x.shape[-1] // heads
    mixed = np.zeros(x.shape)
    for n in range(len(x)):
        for h in range(heads):
            part = slice(h * size, (h + 1) * size)
            scores = q[n, :, part] @ k[n, :, part].T / np.sqrt(size)
            weights = reference_attention.softmax(scores, allowed)
            if kept is not None:
                weights = np.where(kept[n, h], weights * factor, 0)
            mixed[n, :, part] = weights @ v[n, :, part]
        if heads_kept is not None:
            alive = heads_kept[n].repeat(size)
            mixed[n] *= alive * heads / max(1, heads_kept[n].sum())
    return mixed @ parameters["out_weight"] + parameters.get("out_bias", 0)
