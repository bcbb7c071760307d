"""Calls of functions, masks and layers over sizes of 0, in a process that may crash.

``python zero_sizes.py NAME...`` runs the calls of these names, and prints a line of JSON for each.
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import functional_cases
import numpy as np
from mask_cases import MASKS

from cydropout import MaskStream, layers

CASES = {**functional_cases.CASES, **{f"mask {k}": v for k, v in MASKS.items()}}


def layer_rows() -> dict[str, Any]:
    """Return the rows of the contract of layers."""
    from layer_cases import ROWS

    return ROWS


def names() -> Iterator[str]:
    """Iterate over all calls: a case and the size that is 0, a layer and the axis."""
    for name, case in CASES.items():
        yield from (f"{name}/{size}" for size in case.sizes())
    for name, row in layer_rows().items():
        yield from (f"layer {name}/{axis}" for axis in range(len(row.shape)))


def shapes_and_finite(found: list[np.ndarray]) -> dict[str, Any]:
    """Return what a test has to know of results."""
    return {"shapes": [one.shape for one in found],
            "finite": all(bool(np.isfinite(one).all()) for one in found)}


def run(name: str) -> dict[str, Any]:
    """Return what came of one call."""
    name, _, size = name.rpartition("/")
    if name.startswith("layer "):
        return run_layer(name.removeprefix("layer "), int(size))
    case = CASES[name]
    found = case.call(**case.make(**{size: 0}))
    if name.startswith("mask "):
        y = found.apply(np.ones(found.shape))
        assert np.isfinite([found.dropped_fraction, found.nbytes]).all()
        return {**shapes_and_finite([y, found.backward(y)]), "of": [y.shape, found.shape]}
    wanted = []
    for length in (12, 24):
        other = functional_cases.results(case.call(**case.make(**{size: length})))
        wanted.append([one.shape for one in other])
    # A length that grows with the size is 0, or what is left of it, where the size is 0.
    lengths = [
        [max(2 * a - b, 0) for a, b in zip(first, second, strict=True)]
        for first, second in zip(*wanted, strict=True)
    ]
    return {**shapes_and_finite(functional_cases.results(found)), "of": lengths}


def run_layer(name: str, axis: int) -> dict[str, Any]:
    """Return what came of one training pass, and one of inference."""
    row = layer_rows()[name]
    shape = tuple(0 if a == axis else n for a, n in enumerate(row.shape))
    layer = row.make()
    layer.build(shape[1:], 0)
    found = []
    for training in (False, True):
        ctx = layers.Context(training, MaskStream(0))
        y, backward = layer.forward(np.ones(shape, "f4"), ctx)
        dx = backward(np.ones_like(y))
        found += [y, dx]
    grads = [p.grad for p in layer.parameters() if p.grad is not None]
    wanted = (shape[0], *layer.output_shape(shape[1:]))
    y, dx = found[:2]
    return {**shapes_and_finite([y, dx]), "of": [wanted, shape],
            "gradients": all(bool(np.isfinite(grad).all()) for grad in grads)}


def outcomes() -> dict[str, dict[str, Any]]:
    """Run all calls in processes of their own; a crash takes the call that it came in alone."""
    left, found = [*names()], {}
    while left:
        done = subprocess.run(
            [sys.executable, __file__, *left], capture_output=True, text=True, check=False
        )
        for line in done.stdout.splitlines():
            found.update(json.loads(line))
        left = [name for name in left if name not in found]
        if left:
            found[left.pop(0)] = {"error": f"exit {done.returncode}", "says": done.stderr[-300:]}
    return found


def main(wanted: list[str]) -> None:
    """Run these calls."""
    warnings.simplefilter("error")
    for name in wanted:
        try:
            outcome = run(name)
        except Exception as error:
            outcome = {"error": type(error).__name__, "says": str(error)}
        print(json.dumps({name: outcome}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
