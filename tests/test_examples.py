"""Every example runs, without a warning, on the digits."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import launched

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("[0-9]*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_example_runs(script, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), "--epochs", "2"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout


def test_the_transformer_writes(tmp_path):
    text = tmp_path / "input.txt"
    text.write_text("To be, or not to be: that is the question.\n" * 40, encoding="utf-8")
    small = ["--epochs", "2", "--blocks", "1", "--units", "16", "--length", "16", "--sample", "30"]
    script = EXAMPLES / "shakespeare_transformer.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), "--text", str(text), *small],
        capture_output=True, text=True, cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    table = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert [line.split(" | ")[0] for line in table[2:]] == ["| 0.0", "| 0.2"]
    assert done.stdout.count("```") == 4


def test_the_characters_are_learned_and_written(tmp_path):
    (tmp_path / "input.txt").write_text("to be, or not to be\n" * 60, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "shakespeare_rnn.py"), "--data",
         str(tmp_path), "--epochs", "40", "--units", "24", "--batch", "4", "--steps", "25",
         "--sample", "60", "--rate", "0.2", "--temperature", "0.2"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "| no dropout |" in done.stdout and "| dropout 0.2 |" in done.stdout
    assert "to be" in done.stdout


@pytest.mark.parametrize(
    ("script", "folder", "lines"),
    [("mnist_cnn", "mnist", ["test accuracy"]),
     ("fashion_dropouts", "fashion-mnist",
      ["| none |", "| Dropout |", "| SpatialDropout2D |", "| DropBlock2D |"])],
)
def test_the_networks_of_convolutions(script, folder, lines, data_directory, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{script}.py"), "--epochs", "1",
         "--limit", "256", "--data", str(data_directory / folder)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert all(line in done.stdout for line in lines)
    assert f"]({script}.py)" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_a_network_is_less_sure_beside_its_data(tmp_path):
    pytest.importorskip("sklearn")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "uncertainty_band.py"), "--epochs", "60"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    stds = [float(line.split(" | ")[1].rstrip(" |")) for line in done.stdout.splitlines()[2:]]
    assert len(stds) == 3 and stds == sorted(stds) and stds[2] > 2 * stds[0]
    assert (tmp_path / "uncertainty_band.png").stat().st_size > 10_000
    assert "](uncertainty_band.py)" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_the_table_names_every_example():
    scripts = [*SCRIPTS, EXAMPLES / "shakespeare_transformer.py"]
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for script in scripts:
        assert f"]({script.name})" in text
        compile(script.read_text(encoding="utf-8"), script.name, "exec")


def test_the_numpy_example_is_short():
    lines = (EXAMPLES / "05_numpy_pipeline.py").read_text(encoding="utf-8").splitlines()
    body = lines[
        lines.index("rng, stream = np.random.default_rng(options.seed), MaskStream(options.seed)") :
    ]
    assert len([line for line in body if line.strip()]) <= 20


def test_the_regularisers_are_drawn_side_by_side(tmp_path):
    script = EXAMPLES / "regularisers.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), "--epochs", "1"],
        capture_output=True, text=True, cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ")[0] for line in done.stdout.splitlines()]
    assert rows[2:] == [f"| {kind}" for kind in ("none", "L1", "L2", "dropout", "L2 and dropout")]
    assert (tmp_path / "regularisers.png").stat().st_size > 10_000


def test_the_gallery_shows_every_variant(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import gallery

    shown = gallery.pictures()
    assert set(gallery.RECIPES) < set(shown) and len(shown) > 25
    for name, picture in shown.items():
        values = np.asarray(picture(), float)
        assert values.ndim == 2 and len(np.unique(values[~np.isnan(values)])) > 1, name
    gallery.draw(tmp_path / "gallery.png")
    assert (tmp_path / "gallery.png").stat().st_size > 10_000


def test_several_processes_tell_once_what_one_does(tmp_path):
    found = [
        launched(ranks, EXAMPLES / "06_several_processes.py", "--epochs", "3", cwd=tmp_path)
        for ranks in (1, 2)
    ]
    assert [done.returncode for done in found] == [0, 0], found[1].stderr
    one, two = (done.stdout.split("processes: ")[1:] for done in found)
    assert len(one) == len(two) == 1 and (one[0][0], two[0][0]) == ("1", "2")
    accuracies = [float(text.split()[-1].rstrip("%")) for text in (*one, *two)]
    assert accuracies[0] > 60 and accuracies[1] == pytest.approx(accuracies[0], abs=1)
