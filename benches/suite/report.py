"""The results as files: RESULTS.md, results.json and plots."""

import importlib
import json
from datetime import date

from suite import plots, tables, targets
from suite.machine import describe

FILL = (
    "What to know of PyTorch: on CPUs that are not Intel's it fills its masks with a serial "
    "generator, on Intel's with parallel code of MKL (about 1.6 ns an element, published). Its "
    "figures differ by that. This CPU is {}."
)
HEAD = (
    "Made by `python benches/run.py {}`, never by hand. Lower is faster. Figures are medians of "
    "interleaved rounds, each contender in its best form, with the same threads, in a process of "
    "its own; each result was checked. The limit is the fastest scale copy `y = c x` of any "
    "contender: what the memory traffic alone costs."
)


def summary(pool, results, seconds):
    """Return machine, versions and targets as Markdown."""
    facts, versions = describe(), dict(pool.versions)
    caches = ", ".join(f"{name} {size}" for name, size in facts["caches"].items())
    ours = f"cydropout {versions.pop('cydropout', '')}, build {versions.pop('build', '')}"
    others = ", ".join(f"{name} {version}" for name, version in versions.items())
    took = f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
    parts = [
        f"{facts['cpu']}, {facts['cores']} cores ({caches}), {facts['system']}; "
        f"{pool.threads} threads. {ours}; Python {facts['python']}; {others}. "
        f"{date.today()}, {took}.",
        FILL.format(facts["vendor"]),
    ]
    if pool.missing:
        parts.append(f"Not installed here: {', '.join(pool.missing)}.")
    if table := targets.table(results):
        parts += ["## Targets", table]
    return "\n\n".join(parts)


def write(directory, full, pool, results, text):
    """Write the files into the directory; return what they are."""
    directory.mkdir(parents=True, exist_ok=True)
    fields = describe() | {"threads": pool.threads, "versions": pool.versions,
                           "missing": pool.missing, "full": full}
    fields["benches"] = {name: list(map(tables.as_json, found)) for name, found in results.items()}
    (directory / "results.json").write_text(json.dumps(fields, indent=1) + "\n")
    pictures = plots.draw(results, directory)
    parts = ["# Results", HEAD.format("--full" if full else "--quick"), text]
    parts += [f"![{caption}]({name})" for name, caption in pictures]
    for name, found in results.items():
        parts.append(f"## {importlib.import_module(f'bench_{name}').__doc__.splitlines()[0]}")
        parts += map(tables.table, found)
    (directory / "RESULTS.md").write_text("\n\n".join(parts) + "\n")
    return ["RESULTS.md", "results.json", *(name for name, _ in pictures)]
