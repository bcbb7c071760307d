"""The pages of docs/: their examples run, their names are right, and a browser can use them."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

from cydropout.layers.dropout._variants import VARIANTS

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the docs are not beside the tests")
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.fixture
def part(monkeypatch):
    """Import a module of docs/_ext."""
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    return importlib.import_module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page):
    text = page.read_text(encoding="utf-8")
    for package in ("torch", "sklearn"):
        if f"import cydropout.{package}" in text or f"from cydropout.{package}" in text:
            pytest.importorskip(package)
    blocks = re.findall(r"^```pycon\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == text.count("```pycon")
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, page.name, str(page), 0)
    assert bool(test.examples) == bool(blocks)
    failures = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=failures.append)
    assert not failures, "".join(failures)


def test_a_page_shows_what_it_runs():
    for page in PAGES:
        plain = re.sub(r"^```pycon\n.*?^```", "", page.read_text(encoding="utf-8"),
                       flags=re.MULTILINE | re.DOTALL)
        assert ">>>" not in plain, page


def test_the_names_of_other_libraries_are_theirs(part):
    peers = part("names").PEERS
    assert set(peers) <= set(VARIANTS)
    names = {name.partition("(")[0] for row in peers.values() for name in row.values()}
    checked = 0
    for name in names:
        package, *path = name.split(".")
        try:
            found = importlib.import_module(package)
        except ImportError:
            continue
        for depth, word in enumerate(path, 1):
            if not hasattr(found, word):
                importlib.import_module(".".join([package, *path[:depth]]))
            found = getattr(found, word)
        checked += 1
    assert checked or importlib.util.find_spec("torch") is None


def test_every_public_name_has_one_place(part):
    faces = part("faces")
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    found = faces.public()
    assert set(found) == set(faces.FACES) and sum(map(len, found.values())) > 200
    for name in VARIANTS:
        assert faces.home(name.split()[0])[0].startswith("cydropout.")
