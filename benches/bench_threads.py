"""Forward dropout on one thread and on all, side by side."""

from suite.case import Case

QUICK = ("cydropout", "NumPy", "PyTorch")


def cases(full):
    for power in (18, 20) if full else (20,):
        for rate in (0.5, 0.1) if full else (0.5,):
            yield Case("forward", (2**power,), rate=rate, threads=(1, 0),
                       contenders=() if full else QUICK)
