"""The variants that are timed, and the settings: a view of the library's table of variants.

The table is read by its path, since a peer's interpreter has no cydropout.
"""

import importlib.util
import sys
from pathlib import Path

TABLE = Path(__file__).parents[2] / "src/cydropout/layers/dropout/_variants.py"
_spec = importlib.util.spec_from_file_location("cydropout_variants", TABLE)
_table = sys.modules[_spec.name] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_table)

VARIANTS = {name: row for name, row in _table.VARIANTS.items() if row.shape}

#: What has no time of its own: the formula and the paper.
SETTINGS = {name: (row.formula, row.paper)
            for name, row in _table.VARIANTS.items() if not row.shape}
