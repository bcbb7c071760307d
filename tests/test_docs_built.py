"""The built pages: every link leads somewhere, nothing comes from outside, a browser can use them.

The screenshots go to ``$CYDROPOUT_SCREENSHOTS`` where that is set.
"""

import contextlib
import functools
import http.server
import importlib
import os
import shutil
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from cydropout.layers.dropout._variants import VARIANTS

DOCS = Path(__file__).parents[1] / "docs"
PHONE, DESK = (360, 740), (1280, 900)
SHOWN = ("index.html", "variants/DropBlock2D.html", "reproducibility.html")

for needed in ("sphinx_gallery", "pydata_sphinx_theme", "numpydoc", "myst_parser", "torch"):
    pytest.importorskip(needed, reason="the extra docs is not installed")
pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the docs are not beside the tests")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the pages, warnings being errors, and return their folder."""
    output = tmp_path_factory.mktemp("docs")
    environment = {**os.environ, "DOCS_OUTPUT": str(output), "PYTHON": sys.executable}
    environment.pop("DOCS_ONLINE", None)
    done = subprocess.run(["bash", str(DOCS / "build")], env=environment, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr[-5000:]
    return output / "html"


class Page(HTMLParser):
    """What a page links to and loads, and the anchors that it has."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.anchors = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        elif tag == "link" and found.get("rel") != "canonical" and found.get("href"):
            self.loads.append(found["href"])
        elif found.get("src"):
            self.loads.append(found["src"])


@pytest.fixture(scope="module")
def pages(built):
    return {path: Page(path) for path in sorted(built.rglob("*.html"))
            if "_static" not in path.relative_to(built).parts}


def broken(pages):
    """Return the links that lead to no page or to no place on it, as "page: link"."""
    wrong = []
    for path, page in pages.items():
        for link in page.links + page.loads:
            address, anchor = urldefrag(link)
            if "://" in address or address.startswith(("mailto:", "data:")):
                continue
            file = unquote(address.partition("?")[0])
            target = (path.parent / file).resolve() if file else path
            anchors = pages[target].anchors if target in pages else {unquote(anchor)}
            if not target.is_file() or (anchor and unquote(anchor) not in anchors):
                wrong.append(f"{path.name}: {link}")
    return wrong


def test_every_link_leads_somewhere(pages, tmp_path):
    assert len(pages) > 250
    assert not broken(pages)
    (tmp_path / "a.html").write_text('<a href="#b">x</a><a href="no.html">x</a><p id="c">')
    page = tmp_path.resolve() / "a.html"
    assert broken({page: Page(page)}) == ["a.html: #b", "a.html: no.html"]


def test_nothing_is_loaded_from_outside(pages):
    assert not [f"{path.name}: {link}" for path, page in pages.items() for link in page.loads
                if "://" in link or link.startswith("//")]


def test_there_is_a_page_for_each_variant_and_it_says_what_it_must(built):
    for name, row in VARIANTS.items():
        text = (built / "variants" / f"{name.replace(' ', '_')}.html").read_text(encoding="utf-8")
        for part in ("Example", "Measured", "Elsewhere", row.paper.partition(" ")[0]):
            assert part in text, (name, part)
        assert (f"the mask of {name}" in text) == (row.kind != "training")


def test_the_reference_has_every_public_name(pages, built, monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    faces = importlib.import_module("faces")
    found = faces.public()
    for face, names in found.items():
        full = f"cydropout.{face}".rstrip(".")
        listed = pages[built / f"api/{full}.html"]
        for name in names:
            assert f"{full}.{name}" in pages[built / f"api/{full}.{name}.html"].anchors
            assert any(f"{full}.{name}.html" in link for link in listed.links)


def test_a_longer_example_shows_its_saved_figure(built):
    for name in ("fashion_dropouts", "shakespeare_rnn", "shakespeare_transformer"):
        text = (built / f"gallery/{name}.html").read_text(encoding="utf-8")
        assert "What it printed" in text and f"_images/{name}.png" in text


def test_the_examples_ran(built):
    for name in ("01_one_hot_labels", "03_validation_data", "05_numpy_pipeline"):
        assert "accuracy" in (built / f"gallery/{name}.html").read_text(encoding="utf-8")
    for name in ("regularisers", "gallery"):
        assert f"sphx_glr_{name}_001.png" in (built / f"gallery/{name}.html").read_text("utf-8")


@pytest.fixture(scope="module")
def browser(built):
    """Return a headless Chromium, and the address of the pages."""
    selenium = pytest.importorskip("selenium.webdriver", reason="the extra docs is not installed")
    chromium, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if not (chromium and driver):
        pytest.skip("no chromium and chromedriver; on Debian: apt install chromium chromium-driver")
    from selenium.webdriver.chrome.service import Service

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(built)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(option)
    made = selenium.Chrome(options=options, service=Service(driver))
    with contextlib.closing(server.socket):
        yield made, f"http://127.0.0.1:{server.server_port}/"
        made.quit()
        server.shutdown()


#: What stands out of the window to the right, and not in a box of its own that scrolls.
OUTSIDE = """
return [...document.querySelectorAll('article, article *')].filter(element => {
  if (element.getBoundingClientRect().right <= innerWidth + 1) return false;
  for (let box = element.parentElement; box && box.tagName != 'ARTICLE'; box = box.parentElement)
    if (['auto', 'scroll'].includes(getComputedStyle(box).overflowX)) return false;
  return true;
}).map(element => element.tagName + ' ' + element.className)
"""


def sized(browser, size):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE})


def test_no_page_is_wider_than_a_phone(browser, built, pages):
    driver, address = browser
    sized(driver, PHONE)
    wide = {}
    for path in pages:
        driver.get(address + path.relative_to(built).as_posix())
        if found := driver.execute_script(OUTSIDE):
            wide[path.name] = found
    assert not wide
    driver.get(address + "index.html")
    driver.execute_script("document.querySelector('article p').style.minWidth = '900px'")
    assert driver.execute_script(OUTSIDE)


def test_search_finds_drop_connect(browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    driver, address = browser
    sized(driver, DESK)
    driver.get(f"{address}search.html?q=DropConnect")

    def found(place):  # the results come one by one
        return lambda driver: driver.find_elements(
            By.CSS_SELECTOR, f"#search-results li a[href*='{place}']")

    for place in ("variants/DropConnect.html", "api/cydropout.layers.DropConnect.html"):
        assert WebDriverWait(driver, 20).until(found(place))


def test_three_pages_are_kept_as_pictures(browser, tmp_path):
    driver, address = browser
    folder = Path(os.environ.get("CYDROPOUT_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    for page in SHOWN:
        for name, size in (("desk", DESK), ("phone", PHONE)):
            sized(driver, size)
            driver.get(address + page)
            picture = folder / f"{Path(page).stem}-{name}.png"
            assert driver.save_screenshot(str(picture)) and picture.stat().st_size > 10_000
