"""Dropout where a user calls it: behind the products of another library, in a loop."""

import contextlib
import subprocess
import sys

import numpy as np

from suite.tables import number

INNER = 784  # of the product (m, INNER) @ (INNER, n)
ALONE, ONE = "NumPy, no dropout", "cydropout, one thread"


def inputs(case):
    """Return the two factors of a product of the case's shape."""
    rng = np.random.default_rng(0)
    rows, columns = case.shape
    return rng.standard_normal((rows, INNER), "f4"), rng.standard_normal((INNER, columns), "f4")


@contextlib.contextmanager
def neighbour(case):
    """Keep one core busy with another process while the case is timed, if it says so."""
    if not case.neighbour:
        yield
        return
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


HEAD = """What dropout adds to a step, timed beside the step without it in one process; in brackets
over what it adds on one thread.

| | µs/step before it | {} |
|---|---|{}"""


def added(outcomes):
    """Return the table of what each contender adds behind another library, as Markdown."""
    outcomes = [o for o in outcomes if o.case.operation == "after_product" and o.find(ALONE)]
    names = list(dict.fromkeys(e.contender for o in outcomes for e in o.entries))
    names = [name for name in names if name != ALONE]
    rows = []
    for outcome in outcomes:
        one = outcome.find(ONE)
        cells = [", ".join(filter(None, outcome.case.fields())),
                 number(outcome.find(ALONE).median)]
        cells += [_cell(outcome.find(name), one) for name in names]
        rows.append(f"| {' | '.join(cells)} |")
    head = HEAD.format(" | ".join(names), "---|" * len(names))
    return "\n".join([head, *rows]) if rows else ""


def _cell(entry, one):
    if entry is None:
        return ""
    text = number(abs(entry.median))
    return f"-{text}" if entry.median < 0 else f"{text} ({entry.median / one.median:.2f})"
