"""The bench suite checks what it times, and runs with NumPy alone."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHES = Path(__file__).parents[1] / "benches"
pytestmark = pytest.mark.skipif(not BENCHES.is_dir(), reason="the benches are not beside the tests")


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHES))
    return importlib.import_module


@pytest.fixture
def case(load):
    return lambda operation, **fields: load("suite.case").Case(operation, (128, 512), **fields)


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(BENCHES / "run.py"), *map(str, arguments)],
        capture_output=True, text=True,
    )


def drop(x, rate, seed=0):
    return np.where(np.random.default_rng(seed).random(x.shape) < rate, 0, x / (1 - rate))


def wrong_results(case):
    """Yield a case, its inputs, a right result and a wrong one."""
    x, dy = (case("forward").array(seed).astype("f8") for seed in (0, 1))
    right = drop(x, 0.5)
    yield case("copy"), (x,), 2 * x, x
    yield case("copy"), (x,), 2 * x, 2 * x + 1e-3
    yield case("forward"), (x,), right, drop(x, 0.4)
    yield case("forward"), (x,), right, x * 2
    yield case("forward"), (x,), right, right * 1.001
    yield case("ready_mask"), (x,), right, right[:-1]
    yield case("mask"), (), right, drop(x, 0.4)
    yield (case("forward_backward"), (x, dy), (right, drop(dy, 0.5)),
           (right, drop(dy, 0.5, seed=1)))
    yield case("fused"), (x, dy[0]), drop(np.maximum(x + dy[0], 0), 0.5), drop(x + dy[0], 0.5)
    x, q = case("forward", per_neuron=True).array(0).astype("f8"), np.linspace(0.1, 0.4, 512)
    columns = np.where(np.random.default_rng(3).random(x.shape) < q, 0, x / (1 - q))
    reverse = np.where(np.random.default_rng(3).random(x.shape) < q[::-1], 0, x / (1 - q))
    yield case("forward", per_neuron=True), (x,), columns, reverse
    rows = np.repeat(drop(np.ones((128, 1)), 0.5), 512, axis=1)
    yield case("forward", shared_axes=(1,)), (x,), x * rows, right


def test_the_check_tells_right_from_wrong(load, case):
    check = load("suite.check")
    for tested, inputs, right, wrong in wrong_results(case):
        check.check(tested, inputs, right)
        with pytest.raises(check.WrongResult):
            check.check(tested, inputs, wrong)


def test_every_bench_is_run_and_described(load):
    names = {path.stem.removeprefix("bench_") for path in BENCHES.glob("bench_*.py")}
    assert set(load("run").BENCHES) == names
    contender = load("contenders.cydropout").Contender
    text = (BENCHES / "README.md").read_text(encoding="utf-8")
    for name in names:
        assert f"`{name}`" in text
        bench = load(f"bench_{name}")
        assert bench.__doc__
        for full in (False, True):
            for tested in bench.cases(full):
                assert tested.operation in vars(contender)


def test_every_variant_is_a_layer_and_has_a_peer_or_says_so(load):
    import cydropout
    from cydropout import estimators, layers, losses, schedules

    catalogue, ours = load("suite.catalogue"), load("contenders.variants.cydropout")
    for name, variant in catalogue.VARIANTS.items():
        home = layers if variant.kind != "training" else losses
        assert hasattr(home, name.split()[0]) or hasattr(cydropout, name)
        assert hasattr(ours, name.replace(" ", "_")) or variant.check == "monte_carlo"
    for name in catalogue.SETTINGS:
        assert hasattr(schedules, name) or hasattr(estimators, name)


def small(load, name):
    """Return the case of a variant with fewer samples."""
    variant = load("suite.catalogue").VARIANTS[name]
    shape = (max(8, variant.shape[0] // 8), *variant.shape[1:])
    operation = "monte_carlo" if variant.check == "monte_carlo" else "variant"
    return load("suite.case").Case(operation, shape, rate=variant.rate, variant=name)


def test_the_check_of_each_variant_tells_right_from_wrong(load):
    check, contender = load("suite.check"), load("contenders.cydropout").Contender("", 1)
    for name in load("suite.catalogue").VARIANTS:
        tested = small(load, name)
        arrays = check.inputs(tested)
        run = getattr(contender, tested.operation)(tested, *arrays)
        y, *slopes = (np.array(part) for part in run())
        check.check(tested, arrays, (y, *slopes))
        for wrong in ((1.5 * y, *slopes), (y, -1.5 * slopes[0], *slopes[1:])):
            with pytest.raises(check.WrongResult):
                check.check(tested, arrays, wrong)


def test_the_page_of_variants_has_a_row_for_each(load):
    catalogue, race = load("suite.catalogue"), load("suite.race")
    case = small(load, "AlphaDropout")
    entries = [race.Entry("cydropout", "variant", 1, [1.0]), race.Entry("NumPy", "copy", 1, [0.5]),
               race.Entry("PyTorch", "variant", 1, [7.0])]
    fields = {"cpu": "a CPU", "threads": 1, "date": "today"}
    page = load("suite.family").page([race.Outcome(case, entries, {})], fields)
    for name in catalogue.VARIANTS:
        assert f"| {name} |" in page
    assert "| 2.00 | 7.0 x PyTorch (at least 8) | **no** |" in page


def test_an_epoch_that_learns_nothing_is_refused(load):
    check, case = load("suite.check"), load("suite.case").Case
    case = case("epoch", (256, 20), unit="s/epoch", hidden=(8,), batch=32, limit=False)
    x, labels = check.inputs(case)
    run = load("contenders.cydropout").Contender("", 1).epoch(case, x, labels)
    for _ in range(30):
        loss = run()
    check.check(case, (x, labels), loss)
    for wrong in (np.nan, 2.3):
        with pytest.raises(check.WrongResult):
            check.check(case, (x, labels), wrong)


@pytest.mark.parametrize("library", ["cydropout", "torch"])
def test_an_epoch_of_characters_is_checked(load, library):
    pytest.importorskip(library)
    check, case = load("suite.check"), load("suite.case").Case
    case = case("characters", (64, 20), unit="s/epoch", hidden=(16,), batch=16, limit=False)
    arrays = check.inputs(case)
    run = load(f"contenders.{library}").Contender("", 1).characters(case, *arrays)
    for _ in range(40):
        loss = run()
    check.check(case, arrays, loss)
    assert "64-16-65" in case.fields()
    with pytest.raises(check.WrongResult):
        check.check(case, arrays, 4.15)




def test_targets_name_cases_that_are_run(load):
    for target in load("suite.targets").TARGETS:
        cases = list(load(f"bench_{target.bench}").cases(True))
        assert any(target.choose(tested) for tested in cases), target.text


def test_a_run_writes_tables_and_numbers(tmp_path):
    done = run("--only", "overhead", "--peer", "NumPy", "--threads", "1", "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["threads"] == 1 and "cydropout" in results["versions"]
    for outcome in results["benches"]["overhead"]:
        assert outcome["limits"]["1"] > 0
        assert {e["contender"] for e in outcome["entries"]} == {"cydropout", "NumPy"}
        assert all(0 < e["p10"] <= e["median"] <= e["p90"] for e in outcome["entries"])
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "| cydropout |" in text and "serial" in text and "| NumPy |" in done.stdout
    (tmp_path / "RESULTS.md").unlink()
    assert run("--report", tmp_path).returncode == 0
    assert (tmp_path / "RESULTS.md").read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--threads", "0"], "--threads must be 1 or more, not 0"),
        (["--peer", "Caffe"], "--peer must be one of NumPy.*not Caffe"),
        (["--python", "tensorflow=/nowhere"], "--python must be.*not tensorflow=/nowhere"),
        (["--report", "/nowhere"], "--report needs a results.json in /nowhere"),
        (["--only", "nothing"], "invalid choice: 'nothing'"),
    ],
)
def test_bad_options_are_named(arguments, message):
    done = run(*arguments)
    assert done.returncode == 2
    assert re.search(message, done.stderr)


def test_the_same_mask_twice_is_no_draw(load, case):
    check, ones = load("suite.check"), np.ones((128, 512))
    first = drop(ones, 0.5)
    check.differ(case("forward"), (first,), (drop(ones, 0.5, seed=1),))
    with pytest.raises(check.WrongResult, match="the same"):
        check.differ(case("forward"), (first,), (first,))


def test_a_peer_that_dies_does_not_end_the_run(load, case):
    pool, race = load("suite.pool").Pool({}, 1, ["NumPy"]), load("suite.race")
    try:
        for process in pool.start(["cydropout", "NumPy"]):
            if process.name == "NumPy":
                process.process.kill()
                process.process.wait()
                assert "ended" in process.ask("release")["failed"]
        outcome = race.race(case("forward"), pool, race.Effort(3, 0.01))
        assert outcome.find("cydropout") and outcome.find("NumPy")  # started again
    finally:
        pool.close()
