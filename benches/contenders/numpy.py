"""NumPy: raw words of its fastest generator, compared and multiplied chunk by chunk in cache."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from contenders import Base, pipeline, refuse

CHUNK = 2**15  # elements that stay in a second-level cache, with their random numbers


def words(rng, count):
    """Return random 32-bit words: cheaper than floats, and finer."""
    return rng.random_raw((count + 1) // 2).view("u4")[:count]


def word_threshold(rates):
    """Return what a word of a kept element is below."""
    return np.asarray((1 - np.asarray(rates)) * 2**32).astype("u4")


class Contender(Base):
    """Serial, or over a pool of threads, each with a generator and chunks of its own."""

    versions = (("NumPy", np.__version__),)

    def __init__(self, variant, threads):
        self.threaded, self.nothing = variant == "threads", variant == "nothing"
        self.threads = threads if self.threaded else 1
        self.pool = ThreadPoolExecutor(self.threads)
        seeds = np.random.SeedSequence(0).spawn(self.threads)
        self.rngs = [np.random.SFC64(seed) for seed in seeds]

    def _check(self, case):
        whole = case.per_neuron or case.shared_axes
        refuse(self.threaded and (whole or self.threads == 1), "the serial form is NumPy's")
        refuse(case.dtype == "bfloat16", "NumPy has no bfloat16 of its own")

    def _over(self, size, work):
        """Return a run of work(generator, slice) over chunks of each thread's share."""
        edges = [size * i // self.threads for i in range(self.threads + 1)]

        def share(i):
            for begin in range(edges[i], edges[i + 1], CHUNK):
                work(self.rngs[i], slice(begin, min(begin + CHUNK, edges[i + 1])))

        if self.threads == 1:
            return lambda: share(0)
        return lambda: list(self.pool.map(share, range(self.threads)))

    def _dropout(self, case, pairs, size):
        """Return a run of out = keep * x / q for each pair, with one mask."""
        self._check(case)
        q = 1 - case.rates
        if case.per_neuron or case.shared_axes:
            return self._whole(case, pairs, q)
        flat = [(x.reshape(-1), out.reshape(-1)) for x, out in pairs]
        threshold, scale = word_threshold(case.rate), pairs[0][0].dtype.type(1 / q)

        def work(rng, part):
            keep = words(rng, part.stop - part.start) < threshold
            for x, out in flat:
                np.multiply(x[part], scale, out=out[part])
                np.multiply(out[part], keep, out=out[part])

        return self._over(size, work)

    def _whole(self, case, pairs, q):
        """The same for rates or masks that broadcast, in kept buffers of the whole mask."""
        threshold, scale = word_threshold(case.rates), np.asarray(1 / q, pairs[0][0].dtype)
        keep = np.empty(case.mask_shape, "?")

        def run():
            np.less(words(self.rngs[0], keep.size).reshape(keep.shape), threshold, out=keep)
            for x, out in pairs:
                np.multiply(x, scale, out=out)
                np.multiply(out, keep, out=out)

        return run

    def copy(self, case, x):
        self._check(case)
        y, two = np.empty_like(x), x.dtype.type(2)
        flat, out = x.reshape(-1), y.reshape(-1)
        if self.threads == 1:
            return lambda: np.multiply(x, two, out=y)
        run = self._over(x.size, lambda rng, part: np.multiply(flat[part], two, out=out[part]))
        return lambda: (run(), y)[1]

    def forward(self, case, x):
        y = np.empty_like(x)
        run = self._dropout(case, [(x, y)], x.size)
        return lambda: (run(), y)[1]

    def forward_backward(self, case, x, dy):
        y, dx = np.empty_like(x), np.empty_like(dy)
        if case.per_neuron or case.shared_axes:
            run = self._dropout(case, [(x, y), (dy, dx)], x.size)
            return lambda: (run(), (y, dx))[1]
        self._check(case)
        q = 1 - case.rate
        keep = np.empty(x.size, "?")
        threshold, scale = word_threshold(case.rate), x.dtype.type(1 / q)
        xs, ys, dys, dxs = (a.reshape(-1) for a in (x, y, dy, dx))

        def forward(rng, part):
            np.less(words(rng, part.stop - part.start), threshold, out=keep[part])
            np.multiply(xs[part], scale, out=ys[part])
            np.multiply(ys[part], keep[part], out=ys[part])

        def backward(rng, part):
            np.multiply(dys[part], scale, out=dxs[part])
            np.multiply(dxs[part], keep[part], out=dxs[part])

        first, second = self._over(x.size, forward), self._over(x.size, backward)
        return lambda: (first(), second(), (y, dx))[2]

    def mask(self, case):
        self._check(case)
        keep, threshold = np.empty(case.size, "?"), word_threshold(case.rate)
        refuse(case.per_neuron, "not written")

        def work(rng, part):
            np.less(words(rng, part.stop - part.start), threshold, out=keep[part])

        run = self._over(case.size, work)
        return lambda: (run(), keep)[1]

    def ready_mask(self, case, x):
        self._check(case)
        y, keep = np.empty_like(x), words(self.rngs[0], x.size) < word_threshold(case.rate)
        mask = (keep / (1 - case.rate)).astype(x.dtype)
        flat, out = x.reshape(-1), y.reshape(-1)
        run = self._over(
            x.size, lambda rng, part: np.multiply(flat[part], mask[part], out=out[part])
        )
        return lambda: (run(), y)[1]

    def separate(self, case, z, b):
        y = np.empty_like(z)
        dropout = self._dropout(case, [(y, y)], z.size)

        def run():
            np.add(z, b, out=y)
            np.maximum(y, 0, out=y)
            dropout()
            return y

        return run

    def _keep(self, case, shape):
        draws = words(self.rngs[0], shape[0] * shape[1]).reshape(shape)
        return draws < word_threshold(case.rate)

    def after_product(self, case, a, b):
        scale = np.float32(1 / (1 - case.rate))

        def dropout(x, out):
            np.multiply(x, scale, out=out)
            np.multiply(out, self._keep(case, x.shape), out=out)

        return pipeline.after_product(case, a, b, None if self.nothing else dropout)

    def training_loop(self, case, x, labels):
        scale = np.float32(1 / (1 - case.rate))

        def draw(h):
            if self.nothing:
                return h, lambda dy: dy
            mask = self._keep(case, h.shape) * scale
            return h * mask, lambda dy: dy * mask

        return pipeline.training_loop(case, x, labels, draw)
