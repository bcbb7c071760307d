"""Forward dropout by the builds for other instruction sets, forced by CYDROPOUT_ISA."""

from suite.case import Case

BUILDS = ("cydropout", "cydropout x86_64_v3", "cydropout baseline")


def cases(full):
    for rate in (0.5, 0.1) if full else (0.5,):
        yield Case("forward", (2**20,), rate=rate, contenders=(*BUILDS, "NumPy", "PyTorch"))
