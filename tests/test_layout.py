"""Rules of the layout: imports point down, optional packages have one home, nothing generated."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "cydropout"
pytestmark = pytest.mark.skipif(not SOURCE.is_dir(), reason="the sources are not beside the tests")

# From the bottom up; a module imports only what stands in an earlier row.
ROWS = [
    ["_optional"],
    ["_kernels", "_sklearn"],
    ["_arguments", "_arrays", "_rates", "random"],
    ["_batches", "masks"],
    ["functional"],
    ["data", "layers", "losses", "optimizers", "progress", "history", "schedules"],
    ["checkpoints", "clipping", "exchange", "monte_carlo", "nonfinite"],
    ["callbacks"],
    ["training"],
    ["tuning"],
    ["cli", "estimators"],
    ["__main__", "__init__"],
]
RANK = {name: rank for rank, row in enumerate(ROWS) for name in row}
OPTIONAL = {
    "matplotlib", "ml_dtypes", "pooch", "safetensors", "sklearn", "tensorboardX", "threadpoolctl",
    "torch", "tqdm",
}


def files():
    return sorted(SOURCE.rglob("*.py"))


def part(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path):
    """The modules a file imports when it is imported; not those of a function or for types."""
    def walk(nodes):
        for node in nodes:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from walk(ast.iter_child_nodes(node))

    return list(walk([ast.parse(path.read_text())]))


def own(path):
    return {
        name.split(".")[1] for name in imports(path) if name.startswith("cydropout.")
    } & set(RANK)


def test_every_module_has_a_row():
    assert {part(path) for path in files()} == set(RANK)


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_down(path):
    rank = RANK[part(path)]
    above = {name for name in own(path) - {part(path)} if RANK[name] >= rank}
    assert not above, f"{part(path)} must not import {above}"


def test_few_import_the_kernels():
    assert {part(path) for path in files() if "_kernels" in own(path)} == {
        "_kernels", "masks", "functional",
    }


def test_each_optional_package_has_one_home():
    homes = {}
    for path in files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "require":
                package = ast.literal_eval(node.args[0]).split(".")[0]
                homes.setdefault(package, set()).add(path.name)
        assert not {name.split(".")[0] for name in imports(path)} & OPTIONAL, path
    assert all(len(paths) == 1 for paths in homes.values()), homes


def test_files_stay_short():
    long = {
        str(path.relative_to(SOURCE)): lines
        for path in SOURCE.rglob("*")
        if path.suffix in {".py", ".pyx", ".pxi", ".pxd"}
        and (lines := len(path.read_text().splitlines())) > 400
    }
    assert not long
