"""Sections of a page that a command of their own writes, between two lines that mark them."""

import re


def marked(name, body):
    """Return the section with its marks."""
    return f"<!-- {name}:begin -->\n{body.strip()}\n<!-- {name}:end -->"


def sections(text):
    """Return each section of a page, with its marks, by name."""
    pattern = r"<!-- ([\w-]+):begin -->\n.*?<!-- \1:end -->"
    return {found[1]: found[0] for found in re.finditer(pattern, text, re.DOTALL)}


def replace(path, name, body):
    """Write a section into a page, in its place or at the end; the rest stays as it is."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    new, old = marked(name, body), sections(text).get(name)
    text = text.replace(old, new) if old else f"{text.rstrip()}\n\n{new}\n".lstrip()
    path.write_text(text, encoding="utf-8")


def rewrite(path, text):
    """Write a page anew, but keep the sections that others wrote into it."""
    kept = sections(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text("\n\n".join([text.rstrip(), *kept.values()]) + "\n", encoding="utf-8")
