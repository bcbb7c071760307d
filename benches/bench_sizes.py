"""Forward dropout from 1 Ki to 256 Mi elements."""

from suite.case import Case


def cases(full):
    powers = range(10, 29, 2) if full else (12, 20, 24)
    for rate in (0.5, 0.1) if full else (0.5,):
        for power in powers if rate == 0.5 else range(10, 25, 2):
            yield Case("forward", (2**power,), rate=rate)
