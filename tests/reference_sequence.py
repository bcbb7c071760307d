"""Zoneout, the gated update, rows of a table and exact subsets once more, in plain NumPy."""

import numpy as np
from reference import ONE, dropout, words


def subset(key, draw, rows, size, count, offset=0):
    """Selection sampling, item by item."""
    u = words(key, draw, offset, rows * size).reshape(rows, size).tolist()
    chosen = []
    for row in u:
        taken = []
        for j, word in enumerate(row):
            if word * (size - j) < (count - len(taken)) * ONE:
                taken.append(j)
        chosen.append(taken)
    return np.array(chosen, np.int64).reshape(rows, count)


def zoneout(new, previous, kept):
    return np.where(kept, new, previous)


def zoneout_backward(dy, kept):
    zero = np.zeros((), dy.dtype)
    return np.where(kept, dy, zero), np.where(kept, zero, dy)


def gated_update(previous, forget, gate, candidate, kept, scale):
    return forget * previous + gate * dropout(candidate, kept, scale)


def gated_update_backward(dy, previous, forget, gate, candidate, kept, scale):
    return (forget * dy, previous * dy, dropout(candidate, kept, scale) * dy,
            dropout(gate * dy, kept, scale))


def scatter_add(dy, index, out, kept, scale):
    """In the order of the index, one product and one sum at a time."""
    for row, at in zip(dy.reshape(-1, out.shape[1]), index.ravel(), strict=True):
        if kept[at]:
            out[at] = out[at] + row * out.dtype.type(np.broadcast_to(scale, len(out))[at])
