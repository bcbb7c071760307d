"""Bias, ReLU and dropout in one pass, and in separate operations."""

from suite.case import Case


def cases(full):
    for rows in (1024, 16384) if full else (1024,):
        yield Case("fused", (rows, 1024))
        yield Case("separate", (rows, 1024))
