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


@pytest.mark.parametrize("library", ["cydropout", "sklearn"])
def test_a_fit_of_few_samples_has_some_epochs(load, case, library):
    case = dataclasses.replace(case, unit=load("suite.case").SECONDS_PER_EPOCH)
    contender = load(f"contenders.{library}").Contender("", 1)
    model = contender.estimator(case)
    load("contenders.sklearn").fit_of(model, *load("suite.estimators").inputs(case))()
    assert case.epochs == len(model.loss_curve_) == 10 and case.per_second == 60_000 / 600 / 10
    assert dataclasses.replace(case, shape=(60_000, 64)).epochs == 1


@pytest.mark.parametrize("operation", ["classifier", "regressor"])
def test_the_products_stand_beside_the_times(load, case, operation):
    race, units = load("suite.race"), load("suite.case")
    case = dataclasses.replace(case, operation=operation, unit=units.SECONDS_PER_EPOCH)
    run = getattr(load("contenders.cydropout").Contender("products", 1), operation)(
        case, *load("suite.estimators").inputs(case))
    assert run() == 0.0
    entries = [race.Entry(name, operation, 1, [seconds]) for name, seconds in
               (("cydropout", 1.0), ("scikit-learn", 4.0), ("cydropout, products alone", 0.5))]
    rows = load("suite.targets").table({"estimators": [race.Outcome(case, entries, {})]})
    assert "scikit-learn (the products and Adam's pass alone: 0.12) | 0.25 | 0.333 | yes" in rows


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


# ---------------------------------------------------------------- uncertainty


def test_the_table_of_gal_and_ghahramani(load, tmp_path):
    page, arguments = tmp_path / "page.md", ("--sets", "friedman1", "diabetes", "--splits", 2,
                                             "--epochs", 3, "--samples", 60)
    page.write_text("# Results\n")
    printed = command("reproduce_gal.py", *arguments, "--output", tmp_path, "--page", page)
    rows = [line.split(" | ") for line in printed.splitlines()]
    assert [row[0] for row in rows[2:]] == ["| friedman1", "| diabetes"]
    assert rows[2][1] == rows[3][1] == "60 x 10"
    assert {len(rows[place]) for place in (0, 2, 3)} == {8}
    text = page.read_text()
    assert text.startswith("# Results\n\n<!-- gal:begin -->") and printed in text
    assert "2 random splits" in text and "3 epochs" in text
    files = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    assert len(files) == 2
    assert command("reproduce_gal.py", *arguments, "--output", tmp_path, "--page", page) == printed
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    assert page.read_text() == text


def test_the_noise_of_the_table_is_the_most_likely(load):
    gal = load("reproduce_gal")
    error = np.random.default_rng(0).normal(0, 0.5, 4000)
    from scipy.stats import norm

    assert gal.likelihood(error, np.full(4000, 0.7)) == pytest.approx(
        norm(0, 0.7).logpdf(error).mean())
    best, spread = gal.noise(error, np.zeros(4000))
    assert spread == pytest.approx(0.5, rel=0.05)
    assert best == gal.likelihood(error, np.array(spread))
    assert gal.noise(error, np.full(4000, 0.4))[1] == pytest.approx(0.3, rel=0.1)
    assert gal.load("friedman1", 50)[0].shape == (50, 10)


def test_a_gaussian_process_of_the_table_finds_the_noise(load):
    gal = load("reproduce_gal")
    x, y = gal.load("friedman1", 120)
    x, y = (x - x.mean(axis=0)) / x.std(axis=0), (y - y.mean()) / y.std()
    mean, std = gal.process(x[:100], y[:100], x[100:], 0)
    assert np.corrcoef(mean, y[100:])[0, 1] > 0.8 and (std > 0.05).all()


def test_calibration(load, tmp_path, data_directory):
    printed = command("calibrate_mnist.py", "--data", data_directory / "mnist", "--limit", 200,
                      "--epochs", 2, "--seeds", 0, 1, "--page", tmp_path / "page.md")
    rows = [line.split(" | ") for line in printed.splitlines()]
    assert [row[0].strip("| ") for row in rows[2:]] == [*load("calibrate_mnist").ROWS]
    assert all(0 < float(row[1].split()[0]) < 100 for row in rows[2:])
    text = (tmp_path / "page.md").read_text()
    assert printed in text and "](calibration.png)" in text and "200 images" in text
    assert (tmp_path / "calibration.png").read_bytes().startswith(b"\x89PNG")


def test_the_calibration_error_is_that_of_the_bins(load):
    calibrate = load("calibrate_mnist")
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.4, 0.6]])
    y = np.array([0, 1, 1, 1])
    count, confidence, accuracy = calibrate.bins_of(p, y, 10)
    np.testing.assert_array_equal(count, [1, 1, 2])
    np.testing.assert_allclose(confidence, [0.6, 0.7, 0.9])
    np.testing.assert_allclose(accuracy, [1, 1, 0.5])
    assert calibrate.calibration_error(p, y, 10) == pytest.approx((0.4 + 0.3 + 2 * 0.4) / 4)
    sure = np.eye(3)[[0, 1, 2, 2]]
    assert calibrate.calibration_error(sure, np.array([0, 1, 2, 2])) == 0
    found = calibrate.measures(sure, np.array([0, 1, 2, 0]))
    assert found["accuracy, %"] == 75 and found["ECE, %"] == 25 and found["Brier"] == 0.5
