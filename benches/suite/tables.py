"""Outcomes as tables: Markdown, which reads well in a terminal too."""

from suite.case import BYTES_PER_ELEMENT, TEST_ERROR, Case
from suite.race import Entry, Outcome


def table(outcome):
    """Return the head line, the table, fastest first, and who was left out."""
    case = outcome.case
    lines = [f"### {case.title()}", ""]
    many = len(case.threads) > 1
    once = case.unit in (BYTES_PER_ELEMENT, TEST_ERROR)
    lines += _once(outcome) if once else _times(outcome, many)
    if outcome.left_out:
        reasons = {}
        for name, why in outcome.left_out.items():
            reasons.setdefault(why, []).append(name)
        left_out = "; ".join(f"{', '.join(names)} ({why})" for why, names in reasons.items())
        lines += ["", f"Not here: {left_out}."]
    return "\n".join(lines)


def _once(outcome):
    lines = [f"| contender | {outcome.case.unit} |", "|---|---|"]
    ordered = sorted(outcome.entries, key=lambda e: e.median)
    return lines + [f"| {entry.contender} | {entry.median:.2f} |" for entry in ordered]


def _times(outcome, many):
    case, lines = outcome.case, []
    reference = outcome.limit()
    heads = ["contender", *(["threads"] if many else []), f"{case.unit}, median", "10 to 90 %"]
    if case.operation == "mask":
        heads.append("elements/s")
    heads += [*(["to the limit"] if reference else []), "to cydropout"]
    lines += [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    shown = [e for e in outcome.entries if e.operation == case.operation]
    if reference:
        limits = [outcome.limit(t) for t in sorted({e.threads for e in outcome.entries})]
        shown += [entry for entry in limits if entry is not None]
    for entry in sorted(shown, key=lambda e: e.median):
        name = entry.contender
        if entry.operation == "copy":
            name = f"*the limit: scale copy by {name}*"
        low, high = entry.spread
        cells = [name, *([str(entry.threads)] if many else []), number(entry.median),
                 f"{number(low)} to {number(high)}"]
        if case.operation == "mask":
            cells.append(f"{1e9 / entry.median:.2g}")
        if reference:
            cells.append(f"{entry.median / outcome.limit(entry.threads).median:.2f}")
        ours = outcome.find("cydropout", entry.threads)
        cells.append(f"{entry.median / ours.median:.2f}" if ours else "")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def matrix(outcomes, contenders):
    """Return all cases of a bench side by side: a row for each contender, times over the limit."""
    columns = [(o, threads) for o in outcomes
               for threads in sorted({e.threads for e in o.entries} or {0})]
    names = [o.case.fields() for o, _ in columns]
    shared = [len(set(values)) == 1 for values in zip(*names, strict=True)]
    many = len({threads for _, threads in columns}) > 1
    heads = []
    for (_, threads), fields in zip(columns, names, strict=True):
        words = [f for f, same in zip(fields, shared, strict=True) if f and not same]
        heads.append(", ".join([*words, *([f"threads: {threads}"] if many else [])]))
    common = [f for f, same in zip(names[0], shared, strict=True) if f and same]
    lines = ["; ".join(filter(None, (", ".join(common), outcomes[0].case.unit))), "",
             f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    if any(o.limit() for o in outcomes):
        limits = [o.limit(threads) for o, threads in columns]
        cells = [f"{number(e.median)} ({e.contender})" if e else "" for e in limits]
        lines.append(f"| *the limit* | {' | '.join(cells)} |")
    for name in contenders:
        found = [o.find(name, threads) for o, threads in columns]
        if any(found):
            cells = [_cell(o, e) for (o, _), e in zip(columns, found, strict=True)]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(outcome, entry):
    if entry is None:
        return ""
    limit = outcome.limit(entry.threads)
    return number(entry.median) + (f" ({entry.median / limit.median:.2f})" if limit else "")


def number(value):
    """Return three digits that count."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.{2 if value >= 10 else 3}f}" if value >= 0.01 else f"{value:.4f}"


def as_json(outcome):
    """Return the outcome as plain fields."""
    return {
        "operation": outcome.case.operation, "shape": outcome.case.shape,
        "dtype": outcome.case.dtype, "rate": outcome.case.rate,
        "per_neuron": outcome.case.per_neuron, "shared_axes": outcome.case.shared_axes,
        "variant": outcome.case.variant, "hidden": outcome.case.hidden,
        "batch": outcome.case.batch, "neighbour": outcome.case.neighbour,
        "unit": outcome.case.unit, "threads": sorted({e.threads for e in outcome.entries}),
        "limits": {t: outcome.limit(t).median for t in sorted({e.threads for e in outcome.entries})
                   if outcome.limit(t)},
        "entries": [
            {"contender": e.contender, "operation": e.operation, "threads": e.threads,
             "median": float(f"{e.median:.5g}"), "p10": float(f"{e.spread[0]:.5g}"),
             "p90": float(f"{e.spread[1]:.5g}"), "samples": len(e.samples)}
            for e in outcome.entries
        ],
        "left_out": outcome.left_out,
    }


def from_json(fields):
    """Return the Outcome that `as_json` described; of the samples only the median is left."""
    case = Case.from_json({name: fields[name] for name in (
        "operation", "shape", "dtype", "rate", "per_neuron", "shared_axes", "unit", "threads",
        "variant", "hidden", "batch", "neighbour") if name in fields})
    entries = [Entry(e["contender"], e["operation"], e["threads"], [e["median"]])
               for e in fields["entries"]]
    return Outcome(case, entries, fields["left_out"])
