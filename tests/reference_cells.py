"""Recurrent cells once more, step by step in plain NumPy; backward is left to differences."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def at(mask, x, t):
    """The mask of step ``t``, given as (keep, scale), or None for none."""
    if mask is None:
        return x
    keep, scale = mask
    return np.where(keep[:, t], x * x.dtype.type(scale), 0)


def zoned(mask, new, old, t):
    """``mask`` is (keep, None), or (None, share) for the mean."""
    if mask is None:
        return new
    keep, share = mask
    return share * new + (1 - share) * old if keep is None else np.where(keep[:, t], new, old)


def run(cell, z, weight, bias, inner_bias, h, c, hidden, update, zone_h, zone_c):
    """Return the states h and c of all steps; z is (n, steps, gates * units)."""
    states, cells = [], []
    for t in range(z.shape[1]):
        product = at(hidden, h, t) @ weight
        s = z[:, t] + product + bias
        if cell in ("tanh", "relu"):
            new = np.tanh(s) if cell == "tanh" else np.maximum(s, 0)
        elif cell == "lstm":
            i, f, g, o = np.split(s, 4, axis=1)
            new_c = sigmoid(f) * c + sigmoid(i) * at(update, np.tanh(g), t)
            new, c = sigmoid(o) * np.tanh(new_c), zoned(zone_c, new_c, c, t)
        else:
            r, u, _ = np.split(s, 3, axis=1)
            (_, _, z_n), (_, _, inner) = np.split(z[:, t] + bias, 3, 1), np.split(product, 3, 1)
            n = np.tanh(z_n + sigmoid(r) * (inner + inner_bias))
            new = (1 - sigmoid(u)) * at(update, n, t) + sigmoid(u) * h
        h = zoned(zone_h, new, h, t)
        states.append(h)
        cells.append(c)
    return np.stack(states, 1), np.stack(cells, 1)
