"""The pages: what they link to is there, and every variant stands on its page."""

import re
from pathlib import Path

import pytest

from cydropout.layers.dropout._variants import VARIANTS

ROOT = Path(__file__).parents[1]
PAGES = [page.relative_to(ROOT) for page in
         (*ROOT.glob("*.md"), *ROOT.glob("benches/*.md"), *ROOT.glob("examples/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    missing = [target for target in targets
               if "://" not in target and not (ROOT / page).parent.joinpath(target).exists()]
    assert not missing


def test_the_page_of_variants_names_every_row():
    text = (ROOT / "benches/VARIANTS.md").read_text(encoding="utf-8")
    assert not [name for name in VARIANTS if f"| {name} |" not in text]
