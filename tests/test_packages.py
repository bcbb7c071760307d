"""What a stranger gets: a README that is right wherever it is shown, and whole packages."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from campaign import wheel

from cydropout._kernels import api, dispatch

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / "src").is_dir(),
                                reason="the sources are not beside the tests")
#: The entrances, and the package that each of them needs.
ENTRANCES = {"NumPy": "numpy", "PyTorch": "torch", "scikit-learn": "sklearn"}


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def section(title):
    return read("README.md").split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("title, package", ENTRANCES.items(), ids=str)
def test_an_entrance_is_five_lines_that_run(title, package):
    pytest.importorskip(package)
    (code,) = re.findall(r"^```python\n(.*?)^```", section(title), re.MULTILINE | re.DOTALL)
    assert code.count("\n") == 5
    exec(compile(code, title, "exec"), {})


@pytest.mark.parametrize("title", ENTRANCES)
def test_the_figures_of_an_entrance_are_in_the_results(title):
    figures = re.findall(r"\d+\.\d{2,}", section(title).split("\nMeasured: ")[1])
    results = read("benches/RESULTS.md")
    assert figures and all(re.search(rf"(?<![\d.]){re.escape(one)}(?!\d)", results)
                           for one in figures), figures


def test_the_readme_has_two_commands_and_ci_runs_the_second():
    train, tests = re.findall(r"^```sh\n(.*?)\n```", read("README.md"), re.MULTILINE | re.DOTALL)
    start = "python3 -m venv .venv && .venv/bin/pip install "
    assert train == start + "'.[train]' && .venv/bin/cydropout train"
    assert tests == start + "'.[test]' && .venv/bin/pytest"
    assert tests.removeprefix("python3 ") in read(".ci/run")


def links(text):
    """Return what a page of Markdown links to or shows, but for its code."""
    return re.findall(r"\]\(([^)]+)\)|^\[[^\]]+\]: *(\S+)|(?:src|href)=\"([^\"]+)\"",
                      re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL),
                      re.MULTILINE)


def test_the_readme_links_to_nothing_that_a_package_page_lacks():
    assert links("[a](b.md) <img src=\"c.png\">") == [("b.md", "", ""), ("", "", "c.png")]
    assert all("://" in "".join(link) for link in links(read("README.md")))


def test_what_the_readme_names_is_in_the_source_package(monkeypatch):
    egg_info = pytest.importorskip("setuptools.command.egg_info")
    monkeypatch.chdir(ROOT)
    found = egg_info.FileList()
    found.findall()
    for line in read("MANIFEST.in").splitlines():
        found.process_template_line(line)
    packed = set(found.files)
    named = set(re.findall(r"`([\w./]+(?:/|\.md))`", read("README.md")))
    assert named >= {"docs/", "benches/RESULTS.md", "examples/README.md", "CONTRIBUTING.md"}
    for name in named | {"tests/", "docs/build", ".ci/run"}:
        assert (ROOT / name).exists()
        assert name in packed or any(path.startswith(name) for path in packed
                                     if name.endswith("/")), name
    assert not [path for path in packed if re.match(r"docs/_build/|.*\.(so|c)$", path)]


@pytest.mark.skipif(not (sys.platform == "linux" and shutil.which("readelf")),
                    reason="what a library needs is asked of readelf")
def test_the_kernels_need_the_c_library_alone():
    kernels = list(Path(api.__file__).parent.glob("*.so"))
    assert len(kernels) > len(dispatch.available())
    for path in kernels:
        assert all(map(wheel.LINKED.fullmatch, wheel.needed(path))), wheel.needed(path)
    assert not wheel.LINKED.fullmatch("libgomp.so.1")


@pytest.mark.parametrize("order, count", wheel.ORDERS.items(), ids=str)
def test_one_openmp_runtime_is_loaded_whatever_comes_first(order, count):
    for name in ("threadpoolctl", *(["torch"] if "torch" in order else [])):
        pytest.importorskip(name)
    assert wheel.runtimes(sys.executable, order) == count


def test_one_version_is_cited():
    (version,) = re.findall(r'^version = "(.+)"$', read("pyproject.toml"), re.MULTILINE)
    assert f"\nversion: {version}\n" in read("CITATION.cff")


def test_the_versions_of_python_are_the_same_everywhere():
    (oldest,) = re.findall(r'^requires-python = ">=(.+)"$', read("pyproject.toml"), re.MULTILINE)
    assert f"\nPython {oldest} and newer" in read("docs/install.md")
    tested = re.findall(r"\d\.\d+", read(".github/workflows/test.yml").split("python: [")[1]
                        .split("]")[0])
    assert tested[0] == oldest
    assert f"Tested with CPython {', '.join(tested[:-1])} and {tested[-1]} " in read("README.md")


@pytest.mark.parametrize("path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.md")),
                         ids=lambda path: path.stem)
def test_a_template_of_issues_has_a_name_and_says_what_for(path):
    head, body = path.read_text(encoding="utf-8").removeprefix("---\n").split("\n---\n")
    assert [line.partition(": ")[0] for line in head.splitlines()] == ["name", "about"]
    assert "**" in body
