"""What the bench suite writes of its figures: profiles, targets, and a word on the machine."""

import json
import types
from pathlib import Path

import pytest

BENCHES = Path(__file__).parents[1] / "benches"
pytestmark = pytest.mark.skipif(not BENCHES.is_dir(), reason="the benches are not beside the tests")


def test_the_networks_have_a_profile_and_a_target(load):
    race, Case = load("suite.race"), load("suite.case").Case
    case = Case("network", (64, 12, 12, 1), variant="images", hidden=(8, 8, 8), batch=16,
                rate=0.2, unit="ms/step")
    times = {"cydropout": 4.0, "cydropout, products alone": 2.0, "cydropout, no dropout": 3.0,
             "cydropout, Adam alone": 0.5, "PyTorch": 5.0, "TensorFlow": 9.0}
    entries = [race.Entry(name, "network", 1, [time]) for name, time in times.items()]
    outcome = race.Outcome(case, entries, {})
    report, tables = load("suite.report"), load("suite.tables")
    again = tables.from_json(json.loads(json.dumps(tables.as_json(outcome))))
    row = "| CNN on images | 4.000 | 50% | 25% | 12% | 12% | 0.40 x PyTorch |"
    assert row in report.below("networks", [outcome]) == report.below("networks", [again])
    assert not report.below("networks", [race.Outcome(case, entries[:1], {})])
    assert not report.below("steps", [outcome])
    table = load("suite.targets").table({"networks": [outcome]})
    assert "| CNN on images, over its products alone | 2.00 | 1.6 | **no** |" in table
    assert "| CNN on images, over PyTorch | 0.80 | 0.6 | **no** |" in table


def test_every_epoch_has_its_targets(load):
    race, targets = load("suite.race"), load("suite.targets")
    times = {"cydropout": 3.0, "cydropout, products alone": 2.0, "cydropout, no dropout": 3.0,
             "PyTorch": 6.0}
    for case in load("bench_steps").cases(True):
        entries = [race.Entry(name, "epoch", 1, [time]) for name, time in times.items()]
        _, _, products, peer, without = targets.steps(
            {"steps": [race.Outcome(case, entries, {})]}).splitlines()
        assert "over its products alone | 1.50 | 1." in products and "**no**" in products
        assert "over PyTorch | 0.50 | 0." in peer and "yes" in peer
        assert "over no dropout | 1.00 | 1.02 | yes" in without


def test_a_table_says_where_blas_runs_lesser_kernels(load):
    report = load("suite.report")
    pool = types.SimpleNamespace(threads=1, missing={}, versions=[
        ("cydropout", "1"), ("build", "b"), ("faster products", "set OPENBLAS_CORETYPE")])
    text = report.summary(report.facts(True, pool, {}, 3), {})
    assert "slower than they need be**: set OPENBLAS_CORETYPE." in text
    pool.versions[2] = ("faster products", "")
    assert "slower" not in report.summary(report.facts(True, pool, {}, 3), {})


def test_targets_name_cases_that_are_run(load):
    for target in load("suite.targets").TARGETS:
        cases = list(load(f"bench_{target.bench}").cases(True))
        assert any(target.choose(tested) for tested in cases), target.text
