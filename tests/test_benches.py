"""The bench suite checks what it times, and runs with NumPy alone."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cydropout.training import optimizers

BENCHES = Path(__file__).parents[1] / "benches"
pytestmark = pytest.mark.skipif(not BENCHES.is_dir(), reason="the benches are not beside the tests")


@pytest.fixture
def case(load):
    return lambda operation, **fields: load("suite.case").Case(operation, (128, 512), **fields)


def run(*arguments):
    command = [sys.executable, str(BENCHES / "run.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


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
                assert tested.operation in vars(contender) or tested.operation == "torch_step"


def test_every_variant_is_a_layer_and_has_a_peer_or_says_so(load):
    import cydropout
    from cydropout import layers
    from cydropout.sklearn import feature_dropout as estimators
    from cydropout.training import losses, schedules

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
    shape = (max(min(64, variant.shape[0]), variant.shape[0] // 8), *variant.shape[1:])
    operation = "monte_carlo" if variant.check == "monte_carlo" else "variant"
    return load("suite.case").Case(operation, shape, rate=variant.rate, variant=name)


def test_the_check_of_each_variant_tells_right_from_wrong(load):
    check, make = load("suite.check"), load("contenders.cydropout").Contender
    for name in load("suite.catalogue").VARIANTS:
        tested, contender = small(load, name), make("", 1)  # no row changes another's draws
        arrays = check.inputs(tested)
        run = getattr(contender, tested.operation)(tested, *arrays)
        y, *gradients = (np.array(part) for part in run())
        check.check(tested, arrays, (y, *gradients))
        for wrong in ((1.5 * y, *gradients), (y, -1.5 * gradients[0], *gradients[1:])):
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


@pytest.mark.parametrize("operation, nothing", [
    ("epoch", 2.3), ("classifier", 2.3), ("regressor", 41.0)])
@pytest.mark.parametrize("library", ["cydropout", "sklearn"])
def test_an_epoch_that_learns_nothing_is_refused(load, library, operation, nothing):
    check, case = load("suite.check"), load("suite.case").Case
    case = case(operation, (256, 20), unit="s/epoch", hidden=(8,), batch=8, limit=False)
    x, labels = check.inputs(case)
    run = getattr(load(f"contenders.{library}").Contender("", 1), operation)(case, x, labels)
    for _ in range(30):
        loss = run()
    check.check(case, (x, labels), loss)
    for wrong in (np.nan, nothing):
        with pytest.raises(check.WrongResult):
            check.check(case, (x, labels), wrong)


SMALL = {"images": ((64, 12, 12, 1), (4, 8, 16)), "characters": ((64, 20), (16,)),
         "sentences": ((64, 20), (16, 16))}


def network(load, name):
    """Return the case of a small network, and its inputs."""
    shape, hidden = SMALL[name]
    case = load("suite.case").Case("network", shape, unit="ms/step", variant=name, hidden=hidden,
                                   batch=16, rate=0.2, limit=False)
    return case, load("suite.check").inputs(case)


@pytest.mark.parametrize("library", ["cydropout", "torch", "tensorflow"])
@pytest.mark.parametrize("name", SMALL)
def test_a_network_learns_and_is_checked(load, name, library):
    pytest.importorskip(library)
    check, (case, arrays) = load("suite.check"), network(load, name)
    run = load(f"contenders.{library}").Contender("", 1).network(case, *arrays)
    for _ in range(40):
        loss = run()
    check.check(case, arrays, loss)
    assert case.title().startswith(load("suite.case").NETWORKS[name])
    for wrong in (np.nan, np.log(case.classes)):
        with pytest.raises(check.WrongResult):
            check.check(case, arrays, wrong)


@pytest.mark.parametrize("name", SMALL)
def test_a_network_without_dropout_has_none(load, name):
    case, _ = network(load, name)
    build = getattr(load("contenders.networks.cydropout"), name)
    for rate in (0.2, 0.0):
        model = build(load("dataclasses").replace(case, rate=rate))
        rates = {getattr(layer, "rate", 0.0) for layer in model.walk()}
        assert any(rates) == bool(rate)


@pytest.mark.parametrize("name, products", [
    ("images", 2 + 3 + 2 * 3), ("characters", 3 + 1 + 2 * 20 + 3), ("sentences", 2 * 18 + 3)])
def test_the_products_of_a_step_are_all_of_them(load, name, products, monkeypatch):
    case, arrays = network(load, name)
    run = load("contenders.cydropout").Contender("products", 1).network(case, *arrays)
    count, matmul = [], np.matmul
    monkeypatch.setattr(np, "matmul", lambda *args, out: count.append(matmul(*args, out=out)))
    assert np.isfinite(run())
    steps = len(arrays[0]) // case.batch
    assert len(count) == products * steps and all(np.isfinite(y).all() for y in count)


def test_the_optimizer_alone_steps_as_often_as_an_epoch(load, monkeypatch):
    case, arrays = network(load, "images")
    run = load("contenders.cydropout").Contender("optimizer", 1).network(case, *arrays)
    steps, step = [], optimizers.Optimizer.step

    def counted(self, parameters, **options):
        before = parameters[0].value.copy()
        step(self, parameters, **options)
        steps.append((before != parameters[0].value).any())

    monkeypatch.setattr(optimizers.Optimizer, "step", counted)
    assert np.isfinite(run())
    assert len(steps) == len(arrays[0]) // case.batch and all(steps)


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


@pytest.fixture
def few_digits(tmp_path):
    """A directory with MNIST's four files, of 40 random images each."""
    directory, rng = tmp_path / "mnist", np.random.default_rng(0)
    directory.mkdir()
    for part in ("train", "t10k"):
        for name, magic, shape, high in (("images-idx3", 2051, (40, 28, 28), 256),
                                         ("labels-idx1", 2049, (40,), 10)):
            head = np.array([magic, *shape], ">u4").tobytes()
            body = rng.integers(high, size=shape, dtype=np.uint8).tobytes()
            (directory / f"{part}-{name}-ubyte").write_bytes(head + body)
    return directory


def reproduce(*arguments):
    for module in ("tqdm", "matplotlib"):
        pytest.importorskip(module)
    return subprocess.run(
        [sys.executable, str(BENCHES / "reproduce_srivastava.py"), *map(str, arguments)],
        capture_output=True, text=True,
    )


def test_the_paper_is_trained_once_and_reported_beside_what_the_page_has(tmp_path, few_digits):
    output, page = tmp_path / "runs", tmp_path / "RESULTS.md"
    page.write_text("# Results\n\nother figures\n")
    command = ("--data", few_digits, "--output", output, "--page", page, "--epochs", 1,
               "--rows", "plain", "max-norm")
    done = reproduce(*command)
    assert done.returncode == 0, done.stderr
    assert "plain, seed 0, epoch 1/1" in done.stderr and "test error" in done.stderr
    text = page.read_text()
    assert text.startswith("# Results\n\nother figures\n") and done.stdout.strip() in text
    for words in ("2 x 800, ReLU, no dropout | 1.6 | 1.5-1.8 |", "1 epochs of 50",
                  "the same + max-norm | 1.06 | at most 1.10 |", "<!-- srivastava:end -->"):
        assert words in text
    assert "batchwise dropout |" not in text
    for picture in (output, tmp_path):
        assert (picture / "srivastava.png").read_bytes().startswith(b"\x89PNG")
    before = {path: path.stat().st_mtime_ns for path in output.glob("*-seed-0.*")}
    assert len(before) == 4
    again = reproduce(*command)
    assert again.returncode == 0, again.stderr
    assert before == {path: path.stat().st_mtime_ns for path in output.glob("*-seed-0.*")}
    assert page.read_text() == text and "epoch 1/1" not in again.stderr
    page.unlink()
    assert reproduce("--report-only", "--output", output, "--page", page).returncode == 0
    assert page.read_text() == text.removeprefix("# Results\n\nother figures\n\n")


def test_a_killed_run_of_the_paper_goes_on(load, tmp_path, few_digits, monkeypatch):
    pytest.importorskip("tqdm")
    training = load("srivastava.training")
    data = load("cydropout.training.data").load_mnist(few_digits)
    run = training.Run("hidden", 3, 16, 5)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for directory in (whole, killed):
        directory.mkdir()
    training.train_all([run], data, whole)

    class Killed(training.Tell):
        def on_epoch_begin(self, trainer, epoch):
            super().on_epoch_begin(trainer, epoch)
            if epoch == 3:
                raise KeyboardInterrupt

    Killed.__name__ = "Tell"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "Tell", Killed)
        training.train_all([run], data, killed)
    assert run.done(killed) == 2 and not run.result(killed).exists()
    training.train_all([run], data, killed)
    assert run.done(killed) == 3
    found, wanted = (training.results(directory)["hidden"][0] for directory in (killed, whole))
    assert found["errors"] == wanted["errors"] and len(found["errors"]) == 3
    read = load("cydropout.training.checkpoint").load_checkpoint
    states = [read(run.checkpoint(directory))["model"] for directory in (killed, whole)]
    for name, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][name])


def test_a_page_written_anew_keeps_the_sections_of_others(load, tmp_path):
    sections, page = load("suite.sections"), tmp_path / "page.md"
    sections.rewrite(page, "# One\n")
    sections.replace(page, "other", "first")
    sections.replace(page, "other", "second")
    sections.rewrite(page, "# Two\n")
    assert page.read_text() == "# Two\n\n<!-- other:begin -->\nsecond\n<!-- other:end -->\n"


def test_the_papers_rows_say_what_was_met(load):
    report = load("srivastava.report")
    run = {"seconds": 60.0, "epochs": 100, "batch": 128}
    found = {"dropout": [run | {"errors": [9.0, 1.2]}, run | {"errors": [9.0, 1.4]}]}
    assert "| 1.25 | at most 1.25 | 1.30 | 1.20, 1.40 |" in report.table(found)
    assert report.table(found).endswith("| 1.0 | **no** |") and not report.order(found)
    three = {name: [run | {"errors": [error]}]
             for name, error in zip(report.ORDER, (1.62, 1.28, 1.3), strict=True)}
    assert report.order(three).endswith("1.62, 1.28, 1.30: **no**.")


@pytest.mark.parametrize("arguments, message", [
    (["--epochs", "0"], "--epochs must be 1 or more, not 0"),
    (["--seeds", "-1"], "--seeds must be 0 or more, not -1"),
    (["--rows", "nothing"], "invalid choice: 'nothing'"),
])
def test_bad_options_of_the_paper_are_named(arguments, message):
    done = reproduce(*arguments)
    assert done.returncode == 2 and message in done.stderr
