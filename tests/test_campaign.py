"""The short forms of the campaigns, each in a process that may crash."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "campaign"
CAMPAIGNS = ("builds", "debian", "fuzz", "kill", "load", "randomness", "sanitize", "signals")
SHARED = {"batteries", "building", "common", "draws", "functions", "properties", "refusals"}
#: Those that build what they prove, which takes minutes: they have no short form.
LONG = {"wheel"}


def test_every_campaign_has_a_row():
    assert {path.stem for path in FOLDER.glob("*.py")} - SHARED - LONG == set(CAMPAIGNS)


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_the_short_form_finds_no_fault(name):
    if name == "fuzz":
        pytest.importorskip("ml_dtypes")
        pytest.importorskip("hypothesis")
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py")],
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert ", 0 wrong" in done.stdout.splitlines()[-1], done.stdout


def test_what_testu01_says_is_read(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    import batteries

    head, passed = "=== Summary results of Crush ===\n", " All other tests were passed\n"
    assert batteries.suspects(head + "\n All tests were passed\n") == {}
    assert batteries.suspects(
        head + " 20  ClosePairs mNP2, t = 7         1 -  3.9e-5\n 2  A                eps\n"
        "  7  B, k = 3          1 - eps1\n  9  C            4.0e-4\n" + passed
    ) == {"20": ("ClosePairs mNP2, t = 7, p = 1-3.9e-5", 3.9e-5), "2": ("A, p = eps", 0.0),
          "7": ("B, k = 3, p = 1-eps1", 0.0), "9": ("C, p = 4.0e-4", 4e-4)}
    for broken in ("", head + passed):
        with pytest.raises(AssertionError):
            batteries.suspects(broken)
