"""Forward dropout at every rate, drawn and applied in one call."""

from suite.case import Case

RATES = (0.5, 0.25, 0.1, 0.01, 0.3)


def cases(full):
    for rows in (2048, 32768) if full else (2048,):
        for rate in RATES if full else (0.5, 0.1):
            yield Case("forward", (rows * 512,), rate=rate)
        yield Case("forward", (rows, 512), per_neuron=True)
