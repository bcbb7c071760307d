"""What dropout adds to a step of a PyTorch model, beside PyTorch's own."""

from suite.tables import number

EAGER = ("PyTorch", "cydropout.torch", "PyTorch, no dropout")
COMPILED = ("PyTorch compiled", "cydropout.torch compiled", "PyTorch compiled, no dropout")
CONTENDERS = EAGER + COMPILED

HEAD = """Each step with dropout is timed beside the same step without, in one process. In ms: the
step without, what dropout adds to it, and in brackets the most that ours may be of PyTorch's.

| | without | PyTorch's adds | its share of the step | ours adds | ours over PyTorch's |
|---|---|---|---|---|---|"""


def added(outcomes):
    """Return the table as Markdown."""
    rows = []
    for outcome in outcomes:
        for names, most in ((EAGER, 0.1), (COMPILED, 0.2)):
            theirs, ours, alone = map(outcome.find, names)
            if not (theirs and ours and alone):
                continue
            kind = "compiled" if names is COMPILED else "eager"
            ratio = max(ours.median, 0) / theirs.median if theirs.median > 0 else float("nan")
            share = theirs.median / (theirs.median + alone.median)
            rows.append(
                f"| {outcome.case.variant}, batch {outcome.case.batch}, {kind} "
                f"| {number(alone.median)} | {number(theirs.median)} | {share:.0%} "
                f"| {ours.median:.3f} | {ratio:.2f} ({most}) |")
    return "\n".join([HEAD, *rows]) if rows else ""
