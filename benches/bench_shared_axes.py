"""Forward dropout where axes share a random number: whole maps, sequences, one mask a batch."""

from suite.case import Case


def cases(full):
    yield Case("forward", (32, 32, 32, 32), shared_axes=(2, 3))
    if full:
        yield Case("forward", (32, 128, 256), shared_axes=(1,))
        yield Case("forward", (1024, 1024), shared_axes=(0,))
        yield Case("forward", (1024, 256, 4, 4), shared_axes=(2, 3))
