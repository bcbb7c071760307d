"""A page for each row of the library's table of variants, and one that shows them all."""

import importlib
import inspect
import re
import shutil

import faces
import names
import numpy as np

from cydropout.layers.dropout._variants import VARIANTS

KINDS = {
    "element": "Each element decides for itself.",
    "feature": "A whole feature goes or stays: a channel, or a column of a table.",
    "space": "Neighbouring places go together.",
    "unit": "A unit goes for a whole batch, so that products can leave it out.",
    "weight": "Weights are dropped, not activations.",
    "sequence": "For steps, words and tokens.",
    "depth": "Whole layers are skipped.",
    "attention": "For attention: its weights, or whole heads.",
    "training": "No layer, but part of training: losses, prediction, schedules, data.",
}
SYMBOLS = ("m is the mask, p the rate, q = 1 - p, s the logistic function and B(q) a draw that is "
           "1 with probability q.")


def formulas():
    """Return the formula of each variant; "the same" is that of the row above it."""
    found, last = {}, ""
    for name, row in VARIANTS.items():
        text, (same, here, rest) = row.formula, row.formula.partition("the same")
        if here and not same:
            text = (last.partition(", m for ")[0] if ", m for " in rest else last) + rest
        else:
            last = text
        found[name] = text
    return found


def measured(root):
    """Return the cells of benches/VARIANTS.md by variant, and the line that names the machine."""
    text = (root / "benches/VARIANTS.md").read_text(encoding="utf-8")
    rows = [re.split(r"(?<!\\) ?\| ?", line)[1:-1] for line in text.splitlines()
            if line.startswith("| ")]
    machine = re.search(r"^(.* threads, \d{4}-\d\d-\d\d)\.$", text, re.MULTILINE).group(1)
    return {row[1]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}, machine


def draw(source):
    """Draw the mask of each variant; return the names of those that have a picture."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    pictures = importlib.import_module("gallery").pictures()
    colors = colormaps["viridis"].with_extremes(bad="white")
    (source / "variants").mkdir()
    for name, picture in pictures.items():
        values = np.asarray(picture(), float)
        figure = Figure(figsize=(3, 3))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.imshow(values, cmap=colors, interpolation="nearest", vmin=min(0, np.nanmin(values)))
        figure.savefig(source / "variants" / f"{slug(name)}.png", dpi=80)
    shutil.copy(source / "variants/Dropout.png", source / "_static/mask.png")
    return set(pictures)


def slug(name):
    """Return the file name of a variant's page."""
    return name.replace(" ", "_")


def short(name):
    """Return a name of another library without its modules."""
    path, bracket, rest = name.partition("(")
    return path.rpartition(".")[2] + bracket + rest


def example(name, full, value):
    """Return the examples of a docstring, and what its first paragraph says."""
    doc = inspect.getdoc(value)
    found = re.search(r"^Examples\n-+\n((.|\n)*?)(?=\n\n\w[\w ]*\n---|\Z)", doc, re.MULTILINE)
    code, module = found.group(1).strip(), full.rpartition(".")[0]
    if not re.search(rf"import.*\b{name}\b|\.{name}\(", code):  # its own module has the name
        code = f">>> from {module} import {name}\n{code}"
    return code, doc.partition("\n\n")[0]


def page(name, row, formula, cells, machine, pictured):
    """Return the page of one variant."""
    full, value = faces.home(name.split()[0])
    code, summary = example(name.split()[0], full, value)
    summary = re.sub(r"(?<!`)`([\w.]+)`(?!`)", r"{py:obj}`\1`", summary.replace("``", "\0"))
    lines = [f"# {name}", "", summary.replace("\0", "`").replace("\n", " "), "",
             f"**Kind:** {row.kind}. {KINDS[row.kind]}", "", f"`{formula}`", ""]
    if "=" in formula:
        lines += [f"Here {SYMBOLS}", ""]
    if " " in name:
        per = row.contract[""].options["per"]
        lines += [f'It is made as `{name.split()[0]}(..., per="{per}")`.', ""]
    if pictured:
        lines += [f"```{{image}} {slug(name)}.png", f":alt: the mask of {name}", ":width: 240px",
                  ":class: mask", "```", "",
                  "What one pass leaves of an input: the darker, the less.", ""]
    lines += [f"**Paper:** {'none; it is ours' if row.paper == 'ours' else row.paper}.", "",
              "## Example", "", "```pycon", code, "```", "", f"Reference: {{py:obj}}`{full}`.", ""]
    lines += ["## Measured", "", _ratio(row, cells, machine), "",
              "## Elsewhere", ""]
    peers = dict(names.PEERS.get(name, {}))
    torch = importlib.import_module("cydropout.torch")
    if name in torch._MODULES:
        lines += ["For PyTorch models here: "
                  f"{{py:obj}}`cydropout.torch.{getattr(torch, name).__name__}`.", ""]
    for library, other in peers.items():
        lines.append(f"- {library}: `{other}`")
    if not peers:
        lines.append("No name for it in PyTorch, Keras, Flax or timm that we know of.")
    return "\n".join(lines) + "\n"


def _ratio(row, cells, machine):
    if not cells or not cells["ns/element"]:
        return "It has no time of its own."
    what = "One call" if row.kind == "training" else "Forward and backward together"
    text = (f"{what}, of {cells['shape']} elements of float32: {cells['ns/element']} ns an element")
    if cells["copies"]:
        copies = float(cells["copies"].split()[0])
        shown = f"{copies:.0f}" if copies >= 100 else f"{copies:.3g}"
        text += f", {shown} times two scale copies"
    faster = re.match(r"([\d.]+) x (.*?)(?: \(|$)", cells["faster"])
    if faster:
        text += f". The fastest peer, {faster[2]}, takes {faster[1]} times as long"
    else:
        text += ". No peer has it"
    return f"{text}.\n({machine}; [all figures](../benchmarks/results.md).)"


def write_all(source, root):
    """Write the pages of all variants and the page that lists them."""
    pictured, formula, (cells, machine) = draw(source), formulas(), measured(root)
    parts = ["# Every variant", "",
             "Each is a layer under its published name, with one contract: the same edge cases, "
             "dtypes and reproducible masks. " + f"In the formulas {SYMBOLS}", ""]
    for kind in dict.fromkeys(row.kind for row in VARIANTS.values()):
        parts += [f"## {kind.capitalize()}", "", KINDS[kind], "",
                  "::::{grid} 1 2 3 3",
                  ":gutter: 3", ""]
        for name, row in VARIANTS.items():
            if row.kind != kind:
                continue
            parts += [f":::{{grid-item-card}} {name}", f":link: {slug(name)}", ":link-type: doc"]
            if name in pictured:
                parts += [f":img-bottom: {slug(name)}.png"]
            parts += ["", f"`{formula[name]}`", ":::", ""]
        parts += ["::::", ""]
    parts += ["```{toctree}", ":hidden:", "", *(slug(name) for name in VARIANTS), "```", ""]
    (source / "variants/index.md").write_text("\n".join(parts), encoding="utf-8")
    libraries = list(dict.fromkeys(key for row in names.PEERS.values() for key in row))
    table = [f"| here | {' | '.join(libraries)} |", "|---" * (1 + len(libraries)) + "|"]
    for name, row in names.PEERS.items():
        cells_ = [f"`{short(row[key])}`" if key in row else "" for key in libraries]
        table.append(f"| [{name}](variants/{slug(name)}.md) | {' | '.join(cells_)} |")
    (source / "_variants_elsewhere.md").write_text("\n".join(table) + "\n", encoding="utf-8")
    for name, row in VARIANTS.items():
        text = page(name, row, formula[name], cells.get(name), machine, name in pictured)
        (source / "variants" / f"{slug(name)}.md").write_text(text, encoding="utf-8")
