"""The pages: what they link to is there, and every layer stands on the page of variants."""

import re
from pathlib import Path

import pytest

from cydropout import layers
from cydropout.layers.dropout._masked import MaskedLayer
from cydropout.layers.dropout._weight_noise import WeightNoise

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


def test_the_page_of_variants_names_every_dropout():
    text = (ROOT / "benches/VARIANTS.md").read_text(encoding="utf-8")
    kinds = [value for name, value in vars(layers).items()
             if isinstance(value, type) and issubclass(value, (MaskedLayer, WeightNoise))
             and not name.startswith("_")]
    assert len(kinds) > 20
    assert not [kind.__name__ for kind in kinds if f"| {kind.__name__} |" not in text]
