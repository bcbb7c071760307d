"""Memory from forward to backward, at its peak: both results and the mask, not x and dy."""

from contenders import DEFAULT
from suite.case import BYTES_PER_ELEMENT, Case


def cases(full):
    yield Case("forward_backward", (2**26 if full else 2**24,), unit=BYTES_PER_ELEMENT,
               contenders=("cydropout seed", *DEFAULT))
