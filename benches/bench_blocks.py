"""DropBlock, forward and backward: 7 x 7 blocks of feature maps, with the published gamma."""

from suite.case import Case


def cases(full):
    yield Case("blocks", (32, 64, 28, 28), rate=0.1)
    if full:
        yield Case("blocks", (64, 64, 56, 56), rate=0.1)
        yield Case("blocks", (32, 64, 28, 28), rate=0.3)
