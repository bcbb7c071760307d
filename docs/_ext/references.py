"""References by a short name, and what the gallery's examples draw and are run with."""

import shutil
from pathlib import Path

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
    found = [name for name in objects if name == target or name.endswith(f".{target}")]
    inside = node.get("py:module") or ""
    for prefix in (inside, "cydropout"):
        near = [name for name in found if name.startswith(prefix)
                and (".torch." in f"{inside}." or ".torch." not in name)]
        if near:
            name = min(near, key=len)
            entry = objects[name]
            return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id,
                                contnode or nodes.literal(text=target), name)
    return None


def setup(app):
    """Register the resolver behind Sphinx's own."""
    app.connect("missing-reference", short_name)
    return {"parallel_read_safe": True}
