"""A mask that was drawn before, applied."""

from suite.case import Case


def cases(full):
    for power in (20, 24) if full else (20,):
        yield Case("ready_mask", (2**power,))
