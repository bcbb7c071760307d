"""Blocks, walks and holes once more, in plain NumPy: what the kernels must equal to the bit."""

import itertools

import numpy as np
import reference


def seeds(key, draw, count, sizes, lengths, inner, q):
    """Where blocks begin: (count, *(sizes - lengths + 1), inner)."""
    valid = [s - b + 1 for s, b in zip(sizes, lengths, strict=True)]
    shape = (count, *valid, inner)
    return reference.uniforms(key, draw, 0, int(np.prod(shape))).reshape(shape) >= q


def without_blocks(seeds, lengths):
    """What is kept: (count, *sizes, inner)."""
    count, *valid, inner = seeds.shape
    sizes = [v + b - 1 for v, b in zip(valid, lengths, strict=True)]
    keep = np.ones((count, *sizes, inner), bool)
    for corner in itertools.product(*map(range, lengths)):
        places = tuple(slice(c, c + v) for c, v in zip(corner, valid, strict=True))
        keep[(slice(None), *places)] &= ~seeds
    return keep


def dropped_share(sizes, lengths, gamma):
    """The mean over the places of the probability that some seed's block covers them."""
    one = [np.ones(s - b + 1) for s, b in zip(sizes, lengths, strict=True)]
    each = [np.convolve(v, np.ones(b)) for v, b in zip(one, lengths, strict=True)]
    counts = each[0]
    for axis in each[1:]:
        counts = np.multiply.outer(counts, axis)
    return (1 - (1 - gamma) ** counts).mean()


def walks(key, draw, count, height, width, inner, rate, walkers):
    """What is kept: (count, height, width, inner)."""
    cells = height * width
    keep = np.ones((count * inner, cells), bool)
    for m, cell in enumerate(keep):
        need = reference.words(key, draw, m * 2**26, 1 + walkers).tolist()
        k = (round(rate * cells * 2**32) + need[0]) // 2**32
        places = []
        for word in need[1 : 1 + walkers]:
            if (~cell).sum() < k:
                places.append(list(divmod(word * cells // 2**32, width)))
                cell[places[-1][0] * width + places[-1][1]] = False
        t = 0
        while (~cell).sum() < k:
            if len(need) == 1 + walkers + t // 16:
                need += reference.words(key, draw, m * 2**26 + len(need), 64).tolist()
            way = need[1 + walkers + t // 16] >> 2 * (t % 16) & 3
            place = places[t % walkers]
            place[way // 2] += 1 - 2 * (way % 2)
            place[0] %= height
            place[1] %= width
            cell[place[0] * width + place[1]] = False
            t += 1
    return keep.reshape(count, inner, height, width).transpose(0, 2, 3, 1)


def holes(key, draw, count, height, width, rows, columns, number):
    """What is kept: (count, height, width)."""
    keep = np.ones((count, height, width), bool)
    need = reference.words(key, draw, 0, 2 * count * number).tolist()
    for h in range(count * number):
        top = need[2 * h] * height // 2**32 - rows // 2
        left = need[2 * h + 1] * width // 2**32 - columns // 2
        keep[h // number, max(0, top) : max(0, top + rows),
             max(0, left) : max(0, left + columns)] = False
    return keep
