"""What a whole call costs when there is little to do."""

from suite.case import US_PER_CALL, Case


def cases(full):
    for size in (1, 128, 4096):
        yield Case("forward", (size,), unit=US_PER_CALL)
