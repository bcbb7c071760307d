"""References by a short name, and what the gallery's examples draw and are run with."""

import importlib
import inspect
import re
import shutil
import sys
from pathlib import Path

import faces
from docutils import nodes
from sphinx.util.nodes import make_refnode

#: Options of the examples that take longer than a page is worth.
OPTIONS = {"regularisers.py": ["--epochs", "10"]}


def arguments(gallery_conf, script_vars):
    """Return the command line of an example."""
    return OPTIONS.get(Path(script_vars["src_file"]).name, [])


def saved_pictures(block, block_vars, gallery_conf):
    """Take the pictures that an example has saved beside itself."""
    texts, folder = [], Path(block_vars["src_file"]).parent
    for picture in sorted(folder.glob("*.png")):
        target = Path(next(block_vars["image_path_iterator"]))
        shutil.move(picture, target)
        place = target.relative_to(gallery_conf["src_dir"]).as_posix()
        texts.append(f"\n.. image:: /{place}\n   :alt: {picture.stem}\n"
                     "   :class: sphx-glr-single-img\n")
    return "".join(texts)


def short_name(app, env, node, contnode):
    """Resolve `Dropout` to the one object of that name, PyTorch's face aside where it is asked."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target:
        return None
    objects = env.get_domain("py").objects
    inside, owner = node.get("py:module") or "", node.get("py:class")
    found = [name for name in objects if name == target or name.endswith(f".{target}")]
    if not found:  # an attribute that has no docstring of its own stands in that of its class
        path, _, last = target.rpartition(".")
        path = path or owner or ""
        found = [name for name in objects if (name == path or name.endswith(f".{path}"))
                 and path and _has(name, last)]
    for prefix in (inside, "cydropout"):
        near = [name for name in found if name.startswith(prefix)
                and (".torch." in f"{inside}." or ".torch." not in name)]
        if near:
            name = min(near, key=len)
            entry = objects[name]
            return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id,
                                contnode or nodes.literal(text=target), name)
    return None


def _has(name, attribute):
    """Whether a class, or what it is derived from, has an attribute, perhaps of its instances."""
    module, _, last = name.rpartition(".")
    found = getattr(importlib.import_module(module), last, None) if module in sys.modules else None
    return inspect.isclass(found) and (hasattr(found, attribute) or any(
        re.search(rf"\b{attribute}\b", inspect.getdoc(kind) or "") for kind in found.__mro__))


def ends(module, name):
    """Return the bases whose members a class does not show: the public ones, and theirs."""
    public = {value for values in faces.public().values() for value in values.values()}
    found = getattr(importlib.import_module(module), name).__mro__[1:]
    hidden = {base.__name__ for kind in found if kind in public for base in kind.__mro__}
    return ", ".join(sorted(hidden | {"object"}))


def others(app, what, name, member, skip, options):
    """Leave out what a class has from other packages."""
    member = getattr(member, "fget", member)
    return skip or not (getattr(member, "__module__", None) or "cydropout").startswith("cydropout")


def setup(app):
    """Register the resolver behind Sphinx's own."""
    app.connect("missing-reference", short_name)
    app.connect("autodoc-skip-member", others)
    return {"parallel_read_safe": True}
