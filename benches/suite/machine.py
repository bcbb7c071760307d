"""The machine that figures were taken on: the library's module, read by its path.

A peer's interpreter has no cydropout.
"""

import importlib.util
from pathlib import Path

_PATH = Path(__file__).parents[2] / "src/cydropout/_machine.py"
_spec = importlib.util.spec_from_file_location("cydropout_machine", _PATH)
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
available_cores, describe = _module.available_cores, _module.describe
