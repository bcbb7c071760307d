"""What the bench suite writes of its figures: profiles, targets, and a word on the machine."""

import copy
import json
import random
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


def recorded(load, case, times):
    """The fields of a run of one case: of each contender and operation, its samples."""
    race, tables = load("suite.race"), load("suite.tables")
    entries = [race.Entry(name, operation, 2, samples)
               for (name, operation), samples in times.items()]
    outcome = race.Outcome(load("suite.case").Case(**case), entries, {})
    return json.loads(json.dumps(
        {"date": "2026-01-01", "benches": {"rates": [tables.as_json(outcome)]}}))


FORWARD = {"operation": "forward", "shape": (8,)}
STEP = {"operation": "epoch", "shape": (8, 3), "hidden": (4,), "batch": 4, "unit": "s/epoch"}


@pytest.mark.parametrize("case, base", [
    (FORWARD, ("cydropout", "copy")), (STEP, ("cydropout, products alone", "epoch")),
    ({**STEP, "operation": "after_product"}, ("NumPy, no dropout", "after_product")),
    ({**FORWARD, "unit": "bytes/element"}, None)])
def test_slower_is_by_the_measure_of_each_machine(load, case, base):
    regression, ours = load("suite.regression"), ("cydropout", case["operation"])

    def run(times, unit):
        return recorded(load, case, {ours: times} | ({base: [unit] * 3} if base else {}))

    before = run([2.0, 2.1, 2.2], 1.0)
    assert not regression.slower(before, run([2.2, 2.4, 2.9], 1.0))
    (found,) = regression.slower(before, run([2.6, 2.7, 2.9], 1.0)).values()
    assert found[0] == pytest.approx((2.02, 2.18)) and found[1][0] == pytest.approx(2.62)
    if base:
        assert not regression.slower(before, run([4.2, 4.4, 4.8], 2.0))
        assert regression.slower(before, run([2.0, 2.1, 2.2], 0.5))
    other = recorded(load, {**case, "rate": 0.25}, {ours: [9.0]} | ({base: [1.0]} if base else {}))
    assert not regression.slower(before, other)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("machine", [0.5, 3.0])
def test_noise_on_another_machine_is_not_slower_and_twice_the_time_is(load, machine, seed):
    regression, rng = load("suite.regression"), random.Random(seed)
    before = json.loads((BENCHES / "results.json").read_text())
    was = regression.ratios(before)
    assert len(was) > 100
    planted, found = {*list(was)[seed::3]}, {}
    for by in (1.0, 2.0):
        later = copy.deepcopy(before)
        for bench, cases in later["benches"].items():
            for case in cases:
                times = case["unit"] not in (regression.BYTES_PER_ELEMENT, regression.TEST_ERROR)
                for entry in case["entries"]:
                    key = bench, regression.name(case), entry["contender"], entry["threads"]
                    factor = rng.uniform(0.94, 1.06) * (machine if times else 1.0)
                    if key in planted and entry["operation"] != "copy":
                        factor *= by
                    entry |= {name: factor * entry[name] for name in ("p10", "median", "p90")}
        found[by] = {*regression.slower(before, later)}
    steady = {key for key in planted if was[key][1] < 1.3 * was[key][0]}
    assert not found[1.0] and len(steady) > 25
    assert steady <= found[2.0] <= planted


def test_a_record_of_before_a_field_is_the_same_case(load):
    regression, case = load("suite.regression"), {
        "operation": "forward", "shape": [8], "dtype": "float32", "rate": 0.5, "per_neuron": False,
        "shared_axes": [], "unit": "ns/element"}
    later = {**case, "variant": "", "hidden": [], "batch": 0, "neighbour": False}
    assert regression.name(case) == regression.name(later)
    assert regression.name(case) != regression.name({**later, "variant": "Dropout"})


def test_what_is_slower_twice_ends_the_run(load, tmp_path, monkeypatch, capsys):
    run, times = load("run"), iter([])
    before = recorded(
        load, FORWARD, {("cydropout", "forward"): [2.0], ("cydropout", "copy"): [1.0]})
    (tmp_path / "results.json").write_text(json.dumps(before))
    race, report = load("suite.race"), load("suite.report")
    case, measured = load("suite.case").Case(**FORWARD), []

    def measure(options, pool, wanted=lambda name, case: True):
        assert wanted("rates", case) and (not measured or not wanted("sizes", case))
        measured.append(next(times))
        entries = [race.Entry("cydropout", "forward", 2, [measured[-1]]),
                   race.Entry("cydropout", "copy", 2, [1.0])]
        return {"rates": [race.Outcome(case, entries, {})]}

    pool = types.SimpleNamespace(threads=2, missing={}, versions=[], close=lambda: None)
    monkeypatch.setattr(run, "measure", measure)
    monkeypatch.setattr(run, "Pool", lambda *_: pool)
    monkeypatch.setattr(report, "summary", lambda *_: "")
    monkeypatch.setattr("sys.argv", ["run.py", "--against", str(tmp_path)])
    for series, code in (([2.1], 0), ([3.0, 2.1], 0), ([3.0, 3.1], 1)):
        measured.clear()
        times = iter(series)
        assert run.main() == code and measured == series
        assert f"1 figures beside those of 2026-01-01: {code} slower" in capsys.readouterr().out
