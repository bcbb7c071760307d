"""Write what is made from tables: variants, API, gallery, benches, inventories.

``python generate.py SOURCE``, with the checkout in ``CYDROPOUT_CHECKOUT``.
"""

import ast
import os
import re
import shutil
import sys
import zlib
from pathlib import Path

import faces
import variants

ROOT = Path(os.environ["CYDROPOUT_CHECKOUT"])


def write(path, text):
    """Write a page, in a folder that may be new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def api(source):
    """Write a page for each public module, and one that lists them."""
    found = faces.public()
    rows = []
    for face, meaning in faces.FACES.items():
        full = f"cydropout.{face}".rstrip(".")
        title = full
        names = sorted(found.get(face, {}), key=str.lower)
        other = [name for name in faces.names(face) if name not in names and name != "__version__"]
        text = (f"{title}\n{'=' * len(title)}\n\n.. py:module:: {full}\n"
                f".. currentmodule:: {full}\n\n{meaning}.\n\n")
        text += ".. autosummary::\n   :toctree: .\n\n" + "".join(f"   {name}\n" for name in names)
        if other:
            text += "\nAlso here: " + ", ".join(f"``{name}``" for name in other) + ".\n"
        write(source / f"api/{full}.rst", text)
        rows.append(f"{full}\n")
    title = "API reference"
    text = (f"{title}\n{'=' * len(title)}\n\nEverything public, by the module where it is looked "
            "for.\n\n.. toctree::\n   :maxdepth: 1\n\n   ")
    write(source / "api/index.rst", text + "   ".join(rows))


def gallery(source):
    """Copy the examples, with their docstrings as titled pages as a gallery."""
    to = source / "_examples"
    to.mkdir()
    write(to / "GALLERY_HEADER.rst",
          "Examples\n========\n\nShort scripts of ``examples/``. Those with a number, the "
          "regularisers, the masks and the band ran when these pages were built; the others "
          "need MNIST or a text, and show what they printed before.\n")
    for path in sorted((ROOT / "examples").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if not path.name.startswith("_"):
            doc = ast.get_docstring(ast.parse(text), clean=False)
            title = TITLES.get(path.stem, doc.strip().splitlines()[0].rstrip("."))
            head = f'"""{title}\n{"=" * len(title)}\n\n{doc.strip()}{printed(path, source)}\n"""'
            if path.stem in SHOWN:
                head += f"\n# sphinx_gallery_thumbnail_path = '_static/{path.stem}.png'\n"
            text = head + text[text.index('"""', 3) + 3 :]
            text = text.replace("parse(__doc__", f'parse("{title}"')
        write(to / path.name, text)


#: Titles that are shorter than the first lines of the docstrings.
TITLES = {
    "01_one_hot_labels": "A network with one-hot labels",
    "02_train_and_test_functions": "The training loop by hand",
    "03_validation_data": "Validation and a schedule",
    "04_rates_and_scalings": "A rate per neuron, three scalings",
    "05_numpy_pipeline": "Inside plain NumPy",
    "06_several_processes": "One run over several processes",
    "fashion_dropouts": "Four dropouts in one CNN",
    "gallery": "The masks of all variants",
    "mnist_cnn": "A CNN on MNIST",
    "regularisers": "L1, L2 and dropout side by side",
    "shakespeare_rnn": "A character LSTM",
    "shakespeare_transformer": "A character transformer",
    "uncertainty_band": "How sure a network is beside its data",
}


#: The column of its saved table that an example shows as a figure.
SHOWN = {"fashion_dropouts": "test accuracy", "shakespeare_rnn": "validation loss",
         "shakespeare_transformer": "validation loss"}


def draw_column(rows, column, path):
    """Draw a column of a table as points, one in each row."""
    from matplotlib.figure import Figure

    names, values = [row[0] for row in rows[1:]], [
        float(row[rows[0].index(column)].strip(" %")) for row in rows[1:]]
    figure = Figure(figsize=(5, 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(values, names, "o", color="#31688e", markersize=9)
    axes.set(xlabel=column)
    axes.margins(0.1, 0.3)
    axes.grid(alpha=0.3)
    axes.invert_yaxis()
    figure.savefig(path, dpi=100)


def printed(path, source):
    """Return the saved table of an example that does not run here, from the examples' README."""
    tables = {"fashion_dropouts": "| none | 92.52", "shakespeare_rnn": "| no dropout |",
              "shakespeare_transformer": "| 0.0 |", "mnist_cnn": "](mnist_cnn.py)"}
    if path.stem not in tables:
        return ""
    lines = (ROOT / "examples/README.md").read_text(encoding="utf-8").splitlines()
    if path.stem == "mnist_cnn":
        row = next(line for line in lines if tables[path.stem] in line)
        return "\n\nWhat it did: " + row.split(": ")[-1].strip(" |") + "."
    place = next(n for n, line in enumerate(lines) if line.startswith(tables[path.stem]))
    first = place
    while lines[first - 1].startswith("|"):
        first -= 1
    last = place
    while lines[last].startswith("|"):
        last += 1
    cells = [[cell.strip().strip("`") for cell in line.strip("|").split("|")]
             for line in lines[first:last] if not re.match(r"\|[-|]+$", line)]
    rows = "".join("   * - " + "\n     - ".join(row) + "\n" for row in cells)
    column = SHOWN[path.stem]
    draw_column(cells, column, source / f"_static/{path.stem}.png")
    return (f"\n\nWhat it printed:\n\n.. list-table::\n   :header-rows: 1\n\n{rows}\n"
            f".. image:: /_static/{path.stem}.png\n   :alt: the {column} of each\n")


def copied(source):
    """Copy pages of the checkout; a link to what is no page here becomes plain text."""
    pages = {
        "benches/README.md": "benchmarks/suite.md",
        "benches/RESULTS.md": "benchmarks/results.md",
        "benches/CHOOSING.md": "benchmarks/choosing.md",
        "CHANGELOG.md": "changelog.md",
        "CONTRIBUTING.md": "contributing.md",
    }
    places = {(ROOT / old).resolve(): source / new for old, new in pages.items()}
    places[(ROOT / "benches/VARIANTS.md").resolve()] = source / "variants/index.md"
    for picture in (ROOT / "benches").glob("*.png"):
        places[picture.resolve()] = source / "benchmarks" / picture.name
        (source / "benchmarks").mkdir(exist_ok=True)
        shutil.copy(picture, source / "benchmarks")
    for old, new in pages.items():
        path = ROOT / old

        def link(match, path=path, new=new):
            bang, text, target, anchor = match.groups()
            if "://" in target or not target:
                return match.group()
            place = places.get((path.parent / target).resolve())
            if place is None:
                return text
            return f"{bang}[{text}]({os.path.relpath(place, (source / new).parent)}{anchor or ''})"

        text = re.sub(r"(!?)\[([^\]]*)\]\(([^)#\s]*)(#[^)]*)?\)", link, path.read_text("utf-8"))
        text = re.sub(r"^```sh$", "```bash", text, flags=re.MULTILINE)
        write(source / new, text)


def inventories(source):
    """Write an inventory for each project of links.txt, which intersphinx then reads."""
    folder = source / "_inventories"
    folder.mkdir()
    project, items = "", {}
    for line in (ROOT / "docs/links.txt").read_text(encoding="utf-8").splitlines():
        kind, *rest = line.split()
        if kind == "project":
            project, address = rest
            items[project] = []
            write(folder / f"{project}.url", address)
        elif kind != "#":
            items[project].append((kind, rest[0], rest[1]))
    for project, found in items.items():
        lines = "".join(f"{name} {kind} 1 {page} -\n" for kind, name, page in found)
        head = ("# Sphinx inventory version 2\n# Project: x\n# Version: 0\n"
                "# The remainder of this file is compressed using zlib.\n")
        (folder / f"{project}.inv").write_bytes(head.encode() + zlib.compress(lines.encode()))


if __name__ == "__main__":
    source = Path(sys.argv[1])
    sys.path.insert(0, str(ROOT / "examples"))
    variants.write_all(source, ROOT)
    api(source)
    gallery(source)
    copied(source)
    inventories(source)
