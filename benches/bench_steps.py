"""A training epoch: with dropout, without, and its products and Adam's pass alone."""

from suite.case import SECONDS_PER_EPOCH, Case

PEERS = ("cydropout", "cydropout, no dropout", "cydropout, products alone", "PyTorch",
         "PyTorch compiled", "JAX threefry", "JAX rbg", "TensorFlow", "scikit-learn")
#: Units of the hidden layers, and samples of a batch.
NETS = (((512,), 128), ((64,), 32), ((128,), 32), ((512,), 32), ((1024, 1024, 1024), 128))


def cases(full):
    for hidden, batch in NETS if full else NETS[:1]:
        yield Case("epoch", (64 * batch, 784), contenders=PEERS, unit=SECONDS_PER_EPOCH,
                   hidden=hidden, batch=batch, limit=False)
