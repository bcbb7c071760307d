"""Forward and backward: the mask is drawn once and used twice, kept as bits or drawn again."""

from contenders import DEFAULT
from suite.case import Case


def cases(full):
    for power in (20, 24) if full else (20,):
        yield Case("forward_backward", (2**power,), contenders=("cydropout seed", *DEFAULT))
    if full:
        yield Case("forward_backward", (2**20,), rate=0.1,
                   contenders=("cydropout seed", *DEFAULT))
