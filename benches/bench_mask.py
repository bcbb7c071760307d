"""The mask alone, one bit or one byte an element, applied to nothing."""

from suite.case import Case


def cases(full):
    for power in (20, 24) if full else (20,):
        for rate in (0.5, 0.1) if full else (0.5,):
            yield Case("mask", (2**power,), rate=rate, limit=False)
