"""The results as files: results.json, and what is written from it: RESULTS.md and plots."""

import importlib
import json
from datetime import date

from contenders import CONTENDERS
from suite import (
    family,
    hosted,
    networks,
    pipeline,
    plots,
    processes,
    sections,
    tables,
    targets,
)
from suite.machine import describe

FILL = (
    "What to know of PyTorch: on CPUs that are not Intel's it fills its masks with a serial "
    "generator, on Intel's with parallel code of MKL (about 1.6 ns an element, published). Its "
    "figures differ by that. This CPU is {}."
)
HEAD = (
    "Made by `python benches/run.py {}`, never by hand. Lower is faster. Figures are medians of "
    "interleaved rounds, in brackets over the limit; [results.json](results.json) has their "
    "spread. Each contender has its best form, the same threads and a process of its own; each "
    "result was checked. The limit is the fastest scale copy `y = c x` of any contender: what the "
    "memory traffic alone costs."
)
COLUMNS = 6  # of a table


def facts(full, pool, results, seconds):
    """Return all that a run found, as plain fields."""
    return describe() | {
        "threads": pool.threads, "versions": pool.versions, "missing": pool.missing, "full": full,
        "date": str(date.today()), "seconds": round(seconds),
        "benches": {name: list(map(tables.as_json, found)) for name, found in results.items()},
    }


def summary(fields, results):
    """Return machine, versions and targets as Markdown."""
    versions = dict(fields["versions"])
    caches = ", ".join(f"{name} {size}" for name, size in fields["caches"].items())
    ours = f"cydropout {versions.pop('cydropout', '')}, build {versions.pop('build', '')}"
    advice = versions.pop("faster products", "")
    others = ", ".join(f"{name} {version}" for name, version in versions.items())
    seconds = fields["seconds"]
    took = f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds} seconds"
    parts = [
        f"{fields['cpu']}, {fields['cores']} cores ({caches}), {fields['system']}; "
        f"{fields['threads']} threads. {ours}; Python {fields['python']}; {others}. "
        f"{fields['date']}, {took}.",
        FILL.format(fields["vendor"]),
    ]
    if advice:
        parts.append(f"**Products are slower than they need be**: {advice}.")
    if fields["missing"]:
        missing = "; ".join(f"{name} ({why})" for name, why in fields["missing"].items())
        parts.append(f"Not here: {missing}.")
    if table := targets.table(results):
        parts += ["## Targets", table]
    return "\n\n".join(parts)


def merged(directory, fields):
    """Return the fields of a run with the benches of the last one that it did not repeat."""
    path = directory / "results.json"
    dates = dict.fromkeys(fields["benches"], fields["date"])
    if not path.is_file():
        return fields | {"dates": dates}
    old = json.loads(path.read_text())
    same = all(old[key] == fields[key] for key in ("cpu", "cores", "threads", "full"))
    if not same:
        return fields | {"dates": dates}
    before = old.get("dates") or dict.fromkeys(old["benches"], old["date"])
    kept = {name: found for name, found in old["benches"].items() if name not in dates}
    return fields | {
        "benches": kept | fields["benches"],
        "dates": {name: before[name] for name in kept} | dates,
        "versions": dict(old["versions"]) | dict(fields["versions"]),
        "seconds": fields["seconds"] if not kept else old["seconds"] + fields["seconds"],
    }


def write_json(directory, fields):
    """Write results.json, a line for each case."""
    text = json.dumps({k: v for k, v in fields.items() if k != "benches"})[:-1]
    benches = [json.dumps(name) + ": [\n" + ",\n".join(map(json.dumps, found)) + "\n]"
               for name, found in fields["benches"].items()]
    text += ', "benches": {\n' + ",\n".join(benches) + "\n}}\n"
    (directory / "results.json").write_text(text)


#: What stands below the tables of some benches.
BELOW = {"networks": networks.profile, "pipeline": pipeline.added, "torch": hosted.added,
         "processes": processes.scaling}


def below(name, found):
    """Return what stands below the tables of a bench, if anything."""
    return BELOW[name](found) if name in BELOW else ""


def write_pages(directory):
    """Write RESULTS.md and the plots from results.json; return their names."""
    fields = json.loads((directory / "results.json").read_text())
    results = {name: list(map(tables.from_json, found))
               for name, found in fields["benches"].items()}
    pictures = plots.draw(results, directory)
    parts = ["# Results", HEAD.format("--full" if fields["full"] else "--quick"),
             summary(fields, results)]
    parts += [f"![{caption}]({name})" for name, caption in pictures]
    for name, found in results.items():
        parts.append(f"## {importlib.import_module(f'bench_{name}').__doc__.splitlines()[0]}")
        if (day := fields.get("dates", {}).get(name, fields["date"])) != fields["date"]:
            parts.append(f"Measured on {day}.")
        for unit in dict.fromkeys(outcome.case.unit for outcome in found):
            same = [outcome for outcome in found if outcome.case.unit == unit]
            for first in range(0, len(same), COLUMNS):
                parts.append(tables.matrix(same[first : first + COLUMNS], CONTENDERS))
        if text := below(name, found):
            parts.append(text)
        left_out = {name: why for o in found for name, why in o.left_out.items()}
        if left_out:
            reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
            parts.append(f"Where a cell is empty: {reasons}.")
    sections.rewrite(directory / "RESULTS.md", "\n\n".join(parts))
    pages = ["RESULTS.md"]
    if "variants" in results:
        measured = fields | {"date": fields.get("dates", {}).get("variants", fields["date"])}
        (directory / "VARIANTS.md").write_text(family.page(results["variants"], measured))
        pages.append("VARIANTS.md")
    return [*pages, *(name for name, _ in pictures)]
