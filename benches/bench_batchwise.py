"""A training epoch with one mask for a minibatch, whose products are smaller.

No dropout, ordinary dropout and the layouts of `BatchwiseDropout`, behind each hidden layer.
"""

from contenders import BATCHWISE
from suite.case import SECONDS_PER_EPOCH, Case

OURS = ("cydropout, no dropout", "cydropout", *BATCHWISE)
NETS = (((512,), 64), ((1024, 1024, 1024), 16), ((8192, 8192), 3))
RATES = (0.1, 0.3, 0.7, 0.9)


def cases(full):
    options = {"unit": SECONDS_PER_EPOCH, "batch": 128, "limit": False, "contenders": OURS}
    for hidden, steps in NETS if full else NETS[:1]:
        yield Case("epoch", (steps * 128, 784), rate=0.5, hidden=hidden, **options)
    for rate in RATES if full else ():
        yield Case("epoch", (16 * 128, 784), rate=rate, hidden=NETS[1][0], **options)
