"""A training epoch: products, passes and optimizer, on one batch size after the other."""

from suite.case import SECONDS_PER_EPOCH, Case

PEERS = ("cydropout", "PyTorch", "PyTorch compiled", "JAX threefry", "JAX rbg", "TensorFlow",
         "scikit-learn")
NETS = ((512,), (1024, 1024, 1024))


def cases(full):
    for hidden in NETS if full else NETS[:1]:
        for batch in (32, 128) if hidden == NETS[0] and full else (128,):
            shape = (64 * batch, 784)
            options = {"unit": SECONDS_PER_EPOCH, "hidden": hidden, "batch": batch, "limit": False}
            yield Case("epoch", shape, contenders=PEERS, **options)
            yield Case("products", shape, contenders=PEERS[:1], **options)
