"""Rules of the layout: imports point down, optional packages have one home, nothing is too long."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "cydropout"
pytestmark = pytest.mark.skipif(not SOURCE.is_dir(), reason="the sources are not beside the tests")

# From the bottom up; a module imports only what stands in an earlier row, or beside it in its own
# entry. An entry stands for all modules below it but those that have entries of their own.
ROWS = [
    ["_machine", "_words"],
    ["_optional", "_text", "_validate"],
    ["_closed", "_files", "_kernels", "_samples", "_sklearn"],
    ["_arrays", "_rates"],
    ["masks"],
    ["random"],
    ["functional"],
    ["layers"],
    ["training._batch", "training._configuration", "training._passes",
     "training._reductions", "training._settings", "training._shares", "training._states",
     "training._updates"],
    ["training._batches", "training.history", "training.losses", "training.optimizers",
     "training.schedules"],
    ["training._scorers"],
    ["training._checks", "training._class_weights", "training._metrics", "training._parallel",
     "training._settled", "training.data", "training.progress"],
    ["training._evaluation"],
    ["training.checkpoint", "training.clipping", "training.monte_carlo",
     "training.nonfinite"],
    ["training.callbacks"],
    ["training.run"],
    ["training._steps"],
    ["training.trainer"],
    ["training"],
    ["tuning"],
    ["_bench", "onnx", "sklearn", "torch"],
    ["cli"],
    ["__main__", ""],
]
RANK = {name: rank for rank, row in enumerate(ROWS) for name in row}
KERNEL_USERS = {"_kernels", "masks", "functional"}
OPTIONAL = {
    "matplotlib", "ml_dtypes", "onnx", "optuna", "pooch", "safetensors", "sklearn", "tensorboardX",
    "threadpoolctl", "torch", "tqdm",
}


def files(source=SOURCE):
    return sorted(source.rglob("*.py"))


def name_of(path, source=SOURCE):
    """The module's name below the package, "" for the package itself."""
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def entry(module):
    """The entry of ROWS that a module belongs to: the longest that its name begins with."""
    parts = module.split(".")
    names = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((name for name in names if name in RANK), "")


def imports(path, source=SOURCE):
    """All absolute names that a file imports, in functions too, but not for types alone."""
    package = ["cydropout", *path.relative_to(source).parts[:-1]]

    def walk(nodes):
        for node in nodes:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = package[: len(package) - node.level + 1] if node.level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                yield from (f"{base}.{alias.name}" for alias in node.names)
            elif not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
                yield from walk(ast.iter_child_nodes(node))

    return list(walk([ast.parse(path.read_text())]))


def graph(source=SOURCE):
    """The modules of the package, and which of them each one imports."""
    modules = {name_of(path, source): path for path in files(source)}
    compiled = {f"_kernels.{path.stem}" for path in (source / "_kernels").glob("*.pyx")}
    known = set(modules) | compiled

    def target(name):
        parts = name.split(".")[1:]
        return next((found for n in range(len(parts), -1, -1)
                     if (found := ".".join(parts[:n])) in known), "")

    return {name: {target(found) for found in imports(path, source)
                   if found.split(".")[0] == "cydropout"} - {name}
            for name, path in modules.items()}


def violations(found):
    """Imports that point up, as "importer -> imported"."""
    return sorted(
        f"{name} -> {other}" for name, others in found.items() for other in others
        if entry(name) != entry(other) and RANK[entry(other)] >= RANK[entry(name)]
    )


def circle(found):
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def too_long(source, limit=400):
    kinds = {".py", ".pyi", ".pyx", ".pxi", ".pxd", ".h", ".md", ".rst", ".toml"}
    return {path.name: lines for path in source.rglob("*")
            if path.suffix in kinds and "_build" not in path.relative_to(source).parts
            and (lines := len(path.read_text(encoding="utf-8").splitlines())) > limit}


def test_every_module_has_an_entry():
    assert {entry(name_of(path)) for path in files()} == set(RANK)


def test_imports_point_down():
    assert not violations(graph())


def test_no_circle():
    assert not circle(graph())


@pytest.mark.parametrize("folder", ["src", "tests", "benches", "docs", "examples"])
def test_files_stay_short(folder):
    assert too_long(ROOT / folder).keys() <= {"RESULTS.md"}  # which a bench writes


def test_importing_the_package_loads_nothing_above_what_dropout_needs():
    code = "import sys; from cydropout import dropout; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                            check=True).stdout.split()
    above = {entry(name.removeprefix("cydropout.")) for name in loaded
             if name.startswith("cydropout.")}
    assert "functional" in above and max(RANK[one] for one in above) == RANK["functional"]


def test_imports_are_absolute():
    relative = [str(path.relative_to(SOURCE)) for path in files()
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.ImportFrom) and node.level]
    assert not relative


@pytest.fixture
def house(tmp_path):
    """A package of a few modules, which a test spoils."""
    def build(**texts):
        for name, text in texts.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".py").write_text(text)
        return tmp_path

    return build


def test_the_rules_see_what_breaks_them(house):
    source = house(random="from .masks import bits\n", masks__bits="",
                   layers__dense="def f():\n    from ..training import trainer\n",
                   training__trainer="from cydropout import layers\n")
    (source / "layers" / "__init__.py").write_text("from . import dense\n")
    (source / "training" / "__init__.py").write_text("")
    found = graph(source)
    assert violations(found) == ["layers.dense -> training.trainer"]
    assert set(circle(found)) == {"layers", "layers.dense", "training.trainer"}
    assert not too_long(source)
    for kind in ("py", "pyx", "pxi", "pxd", "pyi", "h", "md"):
        (source / f"long.{kind}").write_text("\n" * 401)
        assert too_long(source).pop(f"long.{kind}") == 401


def test_few_import_the_kernels():
    users = {entry(name) for name, others in graph().items()
             if any(entry(other) == "_kernels" for other in others)}
    assert users <= KERNEL_USERS


def test_each_optional_package_has_one_home():
    homes = {}
    for path in files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "require":
                package = ast.literal_eval(node.args[0]).split(".")[0]
                homes.setdefault(package, set()).add(path.name)
        assert not {name.split(".")[0] for name in imports(path)} & OPTIONAL, path
    assert all(len(paths) == 1 for paths in homes.values()), homes


def test_what_is_printed_goes_by_one_function_that_never_raises():
    printing = [
        path.name for path in files() for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name) and node.id == "print"
    ]
    assert printing == ["_text.py"]
