"""scikit-learn: where it is imported."""

import importlib
from typing import Any

from cydropout._optional import require


def part(name: str, extra: str) -> Any:
    """Import ``sklearn.name``, or raise an `ImportError` that names the extra which brings it."""
    require("sklearn", extra)
    return importlib.import_module(f"sklearn.{name}")
