"""The benches of the estimators: as good as scikit-learn's, and as sure as they may be."""

import dataclasses
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

BENCHES = Path(__file__).parents[1] / "benches"
pytestmark = pytest.mark.skipif(not BENCHES.is_dir(), reason="the benches are not beside the tests")


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHES))
    return importlib.import_module


def command(script, *arguments):
    for module in ("tqdm", "matplotlib"):
        pytest.importorskip(module)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(BENCHES / script), *map(str, arguments)],
        capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def case(load):
    module = load("suite.case")
    return module.Case("classifier", (600, 64), rate=0.0, unit=module.TEST_ERROR, hidden=(20,),
                       batch=32, limit=False, contenders=("cydropout", "scikit-learn"))


def test_test_errors_are_asked_for_and_compared(load, case):
    race, pool = load("suite.race"), load("suite.pool").Pool({}, 1)
    try:
        found = race.run(case, pool, effort=None)
    finally:
        pool.close()
    errors = [found.find(name).median for name in case.contenders]
    assert all(0 <= error < 30 for error in errors)
    text = load("suite.tables").table(found)
    assert "% test error" in text and "scikit-learn" in text
    rows = load("suite.targets").table({"estimators": [found]})
    assert "classifier, 64-20-10, batch 32, rate 0: test error" in rows


def test_the_bench_has_every_set_both_batches_and_both_rates(load):
    cases = list(load("bench_estimators").cases(True))
    assert len(cases) == len(set(cases)) == 2 * 4 * 4
    assert {(one.batch, one.rate) for one in cases} == {(b, r) for b in (32, 200) for r in (0, 0.5)}
    page = load("suite.report")
    assert page.COLUMNS > 1


@pytest.mark.parametrize("operation", ["classifier", "regressor"])
def test_the_same_network_may_only_be_worse_by_the_noise(load, case, operation):
    estimators, race = load("suite.estimators"), load("suite.race")
    case = dataclasses.replace(case, operation=operation)

    def outcome(ours, theirs, rate=0.0):
        entries = [race.Entry(name, operation, 1, [error]) for name, error in
                   (("cydropout", ours), ("scikit-learn", theirs))]
        return race.Outcome(dataclasses.replace(case, rate=rate), entries, {})

    most = estimators.bound(case, 10.0)
    n = estimators.tested(case)
    noise = 100 * (2 * 0.09 / n) ** 0.5 if operation == "classifier" else 10 * (4 / n) ** 0.5
    assert most == pytest.approx(10 + 3 * noise)
    for ours in (0.0, most):
        estimators.check(outcome(ours, 10.0))
    for ours in (most + 0.01, np.nan):
        with pytest.raises(estimators.WrongResult, match="test error"):
            estimators.check(outcome(ours, 10.0))
    estimators.check(outcome(90.0, 10.0, rate=0.5))  # another network, which the page judges
    rows = load("suite.targets").table({"estimators": [outcome(90.0, 10.0, rate=0.5)]})
    assert rows.endswith("**no** |")


@pytest.mark.parametrize("operation", ["classifier", "regressor"])
def test_the_table_can_be_learned(load, case, operation):
    estimators = load("suite.estimators")
    case = dataclasses.replace(case, operation=operation, shape=(4000, 10))
    x, y = estimators.inputs(case)
    error = estimators.test_error(
        load("contenders.cydropout").Contender("", 1).estimator(case), case, x, y)
    assert 10 < error < (70 if operation == "classifier" else 80)
    again = load("contenders.sklearn").Contender("", 1).estimator(case)
    assert estimators.test_error(again, case, x, y) == pytest.approx(error, abs=10)
    assert again.max_iter == estimators.epochs(case)
