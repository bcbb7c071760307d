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


HEAD = """What dropout adds to what stands before it, in the same unit, and as a share of that.

| | before it | {} |
|---|---|{}"""


def _more(whole, alone):
    more = whole - alone
    return f"{'-' * (more < 0)}{number(abs(more))} ({more / alone:.1%})"


def added(outcomes):
    """Return the table of what each contender adds, as Markdown."""
    names = list(dict.fromkeys(e.contender for o in outcomes for e in o.entries))
    names = [name for name in names if name != ALONE]
    rows = []
    for outcome in outcomes:
        alone = outcome.find(ALONE)
        if alone is None:
            continue
        cells = [", ".join(filter(None, outcome.case.fields())), number(alone.median)]
        for name in names:
            entry = outcome.find(name)
            cells.append(_more(entry.median, alone.median) if entry else "")
        rows.append(f"| {' | '.join(cells)} |")
    head = HEAD.format(" | ".join(names), "---|" * len(names))
    return "\n".join([head, *rows]) if rows else ""
