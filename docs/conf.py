"""Sphinx's configuration; `docs/build` runs it on a copy, beside what `_ext/generate.py` wrote."""

import os
import sys
import warnings
from pathlib import Path

import cydropout

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import references  # noqa: E402

project = "cydropout"
author = "cydropout contributors"
copyright = "cydropout contributors, MIT licence"
release = version = cydropout.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "references",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_ext", "_examples", "_variants_elsewhere.md", "**/*.py", "**/*.ipynb",
                    "**/sg_execution_times.rst"]
templates_path = ["_templates"]
default_role = "py:obj"
nitpicky = True
nitpick_ignore_regex = [("py:obj", r"(.*\.)?_\w+")]  # what is private has no page
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["config.cache"]

autosummary_generate = True
autosummary_context = {"ends": references.ends}
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# Without the network the links to other projects come from the names in links.txt.
ONLINE = bool(os.environ.get("DOCS_ONLINE"))
intersphinx_mapping = {
    path.stem: (path.with_suffix(".url").read_text(encoding="utf-8").strip(),
                None if ONLINE else str(path))
    for path in sorted((HERE / "_inventories").glob("*.inv"))
}

html_theme = "pydata_sphinx_theme"
html_title = "cydropout"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_show_sourcelink = False
html_copy_source = False
html_use_index = False
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
    "logo": {"text": "cydropout"},
}
html_sidebars = {"index": [], "changelog": []}

warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive", UserWarning)
sphinx_gallery_conf = {
    "examples_dirs": "_examples",
    "gallery_dirs": "gallery",
    # The others need MNIST or a text, and time.
    "filename_pattern": r"/(\d\d_|regularisers|gallery|uncertainty_band)",
    "ignore_pattern": r"_common",
    "image_scrapers": ("references.saved_pictures",),
    "reset_modules": (),
    "reset_argv": "references.arguments",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "write_computation_times": False,
    "remove_config_comments": True,
    "min_reported_time": 10**6,
    "default_thumb_file": str(HERE / "_static" / "mask.png"),
    "plot_gallery": "True",
}
