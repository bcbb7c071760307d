"""Builds of a copy of the sources, in environments of their own."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, Skip, run


def tool(name: str) -> str:
    """Return where a program is, or skip the check that needs it."""
    found = shutil.which(name)
    if not found:
        raise Skip(f"there is no {name}; Debian has it as a package")
    return found


def sources(folder: Path) -> Path:
    """Copy what a build and the tests need, without what an earlier build has made."""
    if not (ROOT / "setup.py").exists():
        raise Skip("the sources are not beside the tests")
    copy = folder / "checkout"
    ours = ["src", "tests", "benches", "docs", "examples", ".github", ".ci"]
    ignore = shutil.ignore_patterns("*.so", "*.c", "__pycache__", "*.egg-info", "_build")
    for name in ours:
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, copy / name, ignore=ignore)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, copy)
    return copy


def borrowing(folder: Path) -> Path:
    """Make an environment that borrows all that this one has; return its Python."""
    place, borrowed = folder / "venv", Path(np.__file__).parents[1]
    run([sys.executable, "-m", "venv", "--without-pip", place])
    site, = place.glob("lib/python3*/site-packages")
    (site / "borrowed.pth").write_text(f"{borrowed}\n")
    return place / "bin" / "python"


def install(python: Path, copy: Path, **environment: str) -> None:
    """Build a copy of the sources into the environment of a Python."""
    run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
         "--disable-pip-version-check", "--root-user-action=ignore", "--ignore-installed", copy],
        env=environment)


def pytest(python: Path | list[Any], copy: Path, *arguments: str, **environment: Any) -> str:
    """Run tests of a copy against what a Python has installed; return the closing line."""
    command = python if isinstance(python, list) else [python]
    out = run([*command, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments], cwd=copy,
              env=environment, timeout=6 * 3600)
    return out.strip().splitlines()[-1].strip("= ")
