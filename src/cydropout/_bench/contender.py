"""One library in a process of its own: ``python -m cydropout._bench.contender NAME THREADS``.

Requests and answers are lines of JSON. Idle workers of one pool of threads would hold the cores
that the next library wants, so each has its own process.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
#: A call that does the work once, and returns the result.
Run = Callable[[], Any]

CHUNK = 2**15  # elements that stay in a second-level cache, with their random numbers
SHORTEST = 2e-3  # seconds that a timed loop lasts at least


class Cydropout:
    """The library itself."""

    package = "cydropout"

    def __init__(self, threads: int) -> None:
        from cydropout import functional, masks, random

        functional.set_num_threads(threads)
        self.functional, self.masks, self.stream = functional, masks, random.MaskStream(0)

    def copy(self, x: Array) -> Run:
        """Return y = c x: an inference mask of classic scaling, by the same kernels."""
        mask = self.masks.InferenceMask(x.shape, 0.5, scaling="classic")
        y = np.empty_like(x)
        return lambda: mask.apply(x, out=y)

    def dropout(self, x: Array, rate: float) -> Run:
        """Return dropout of x, drawn and applied."""
        dropout, stream, y = self.functional.dropout, self.stream, np.empty_like(x)
        return lambda: dropout(x, rate, rng=stream, out=y)


class NumPy:
    """Raw words of NumPy's fastest generator, compared and multiplied chunk by chunk in cache."""

    package = "numpy"

    def __init__(self, threads: int) -> None:
        self.generator = np.random.SFC64(0)

    def copy(self, x: Array) -> Run:
        """Return y = c x."""
        y = np.empty_like(x)
        return lambda: np.multiply(x, np.float32(0.5), out=y)

    def dropout(self, x: Array, rate: float) -> Run:
        """Return dropout of x, drawn and applied."""
        y, scale = np.empty_like(x), np.float32(1 / (1 - rate))
        threshold = np.uint32((1 - rate) * 2**32)

        def run() -> Array:
            for begin in range(0, len(x), CHUNK):
                part = slice(begin, begin + CHUNK)
                count = len(x[part])
                words = self.generator.random_raw((count + 1) // 2).view("u4")[:count]
                np.multiply(x[part], scale, out=y[part])
                np.multiply(y[part], words < threshold, out=y[part])
            return y

        return run


class PyTorch:
    """PyTorch's own dropout."""

    package = "torch"

    def __init__(self, threads: int) -> None:
        self.torch: Any = importlib.import_module("torch")
        self.torch.set_num_threads(threads)

    def copy(self, x: Array) -> Run:
        """Return y = c x."""
        tensor = self.torch.from_numpy(x)
        y = self.torch.empty_like(tensor)
        return lambda: self.torch.mul(tensor, 0.5, out=y)

    def dropout(self, x: Array, rate: float) -> Run:
        """Return dropout of x, drawn and applied."""
        dropout, tensor = self.torch.nn.functional.dropout, self.torch.from_numpy(x)
        return lambda: dropout(tensor, rate)


class JAX:
    """JAX's default generator, jitted; every call takes a new key."""

    package = "jax"

    def __init__(self, threads: int) -> None:
        self.jax: Any = importlib.import_module("jax")
        self.jax.config.update("jax_platforms", "cpu")

    def copy(self, x: Array) -> Run:
        """Return y = c x."""
        jitted, given = self.jax.jit(lambda x: x * x.dtype.type(0.5)), self.jax.numpy.asarray(x)
        return lambda: jitted(given).block_until_ready()

    def dropout(self, x: Array, rate: float) -> Run:
        """Return dropout of x, drawn and applied."""
        jax, given, key = self.jax, self.jax.numpy.asarray(x), self.jax.random.key(0)
        draws = iter(range(2**31))

        @jax.jit  # type: ignore[untyped-decorator]
        def dropout(draw: Any, x: Any) -> Any:
            keep = jax.random.bernoulli(jax.random.fold_in(key, draw), 1 - rate, x.shape)
            return jax.numpy.where(keep, x / np.float32(1 - rate), 0)

        return lambda: dropout(next(draws), given).block_until_ready()


CONTENDERS: dict[str, Any] = {
    "cydropout": Cydropout, "NumPy": NumPy, "PyTorch": PyTorch, "JAX": JAX}


def is_dropout(x: Array, y: Array, rate: float) -> bool:
    """Whether y is x / (1 - rate) where kept, and a share of about ``rate`` is 0."""
    kept = y != 0
    right = np.allclose(y[kept], x[kept] / (1 - rate), rtol=1e-3)
    return bool(right and abs(1 - kept.mean() - rate) < 5 / len(x) ** 0.5)


def seconds(run: Run, calls: int) -> float:
    """Return the time of a call."""
    begin = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - begin) / calls


def serve(name: str, threads: int, requests: Any, answers: Any) -> None:
    """Answer requests: "prepare" a size and a rate, or take a "turn"."""
    def answer(**fields: Any) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    kind = CONTENDERS[name]
    try:
        contender = kind(threads)
    except ImportError as error:
        return answer(missing=str(error))
    answer(version=version(kind.package))
    runs: list[tuple[Run, int]] = []
    for line in requests:
        request = json.loads(line)
        if request["do"] == "prepare":
            size, rate = request["size"], request["rate"]
            x = np.random.default_rng(0).uniform(1, 2, size).astype(np.float32)
            both = contender.copy(x), contender.dropout(x, rate)
            right = is_dropout(x, np.asarray(both[1]()), rate)
            runs = [(run, max(1, round(SHORTEST / (seconds(run, 1) + 1e-9)))) for run in both]
            answer(right=right)
        else:
            answer(seconds=[min(seconds(run, calls) for _ in range(3)) for run, calls in runs])


if __name__ == "__main__":
    _answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not stand between the answers
    serve(sys.argv[1], int(sys.argv[2]), sys.stdin, _answers)
