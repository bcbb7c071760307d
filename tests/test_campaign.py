"""The short form of the random calls of ``campaign/fuzz.py``, in a process that may crash."""

import subprocess
import sys
from pathlib import Path

import pytest


def test_random_calls_are_right():
    pytest.importorskip("ml_dtypes")
    script = Path(__file__).parent / "campaign" / "fuzz.py"
    done = subprocess.run(
        [sys.executable, str(script), "--calls", "800", "--seconds", "60"],
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert done.stdout.startswith("800 calls, 0 wrong"), done.stdout
