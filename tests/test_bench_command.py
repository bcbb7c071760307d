"""``cydropout bench``: contenders in processes of their own, a table and a picture."""

import io
import json

import numpy as np
import pytest

from cydropout import _machine
from cydropout._bench import contender, race
from cydropout.cli import BENCH_PICTURE, main


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(race, "SIZES", (2**10, 2**12))
    monkeypatch.setattr(race, "ROUNDS", 1)


def test_it_prints_a_table_and_draws(short, tmp_path, capsys):
    assert main(["bench", "--threads", "1", "--rate", "0.25", "--output", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert (tmp_path / BENCH_PICTURE).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    for part in (_machine.cpu_name(), "build ", "threads: 1", "0.25", f"NumPy {np.__version__}"):
        assert part in out
    rows = {line.split("  ")[0]: line for line in out.splitlines()}
    assert rows["ns/element"].split()[1:] == ["1", "Ki", "4", "Ki"]
    assert rows["cydropout"].count("(") == rows["NumPy"].count("(") == 2
    assert len(rows["scale copy"].split()) == 4


def test_without_matplotlib_there_is_the_table(short, tmp_path, capsys, monkeypatch):
    def missing(panels):
        raise ImportError("this needs matplotlib")

    monkeypatch.setattr(race, "figure_of", missing)
    assert main(["bench", "--threads", "1", "--output", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "no picture: this needs matplotlib" in out and "scale copy" in out


@pytest.mark.parametrize(("options", "word"), [
    (["--rate", "1"], "--rate"), (["--rate", "2"], "--rate"), (["--threads", "0"], "--threads"),
    (["--output", "/dev/null/x"], "--output")])
def test_what_cannot_be_done_is_refused_before_it_begins(options, word, capsys, monkeypatch):
    monkeypatch.setattr(race, "started", None)
    try:
        code = main(["bench", *options])
    except SystemExit as error:
        code = error.code
    assert code == 2 and word in capsys.readouterr().err


@pytest.mark.parametrize("name", contender.CONTENDERS)
def test_each_contender_copies_and_drops(name):
    kind = contender.CONTENDERS[name]
    pytest.importorskip(kind.package)
    x = np.random.default_rng(0).uniform(1, 2, 5000).astype("float32")
    made = kind(1)
    factor = np.asarray(made.copy(x)()) / x
    assert np.allclose(factor, factor[0]) and factor[0] not in (0, 1)
    run = made.dropout(x, 0.3)
    first, second = (np.asarray(run()).copy() for _ in range(2))
    assert contender.is_dropout(x, first, 0.3) and not np.array_equal(first, second)


def test_a_result_that_is_no_dropout_is_seen():
    x = np.ones(10_000, "float32")
    right = np.where(np.random.default_rng(0).random(x.size) < 0.5, 0, x * 2)
    assert contender.is_dropout(x, right, 0.5)
    for wrong in (right * 1.1, right / 2, x * 2, np.zeros_like(x), right * 0):
        assert not contender.is_dropout(x, wrong, 0.5)

    class Wrong:
        def ask(self, do, **request):
            return {"right": False}

    with pytest.raises(ArithmeticError, match=r"cydropout gave .* no dropout of rate 0.5"):
        race.race({"cydropout": Wrong()}, 0.5)


def test_a_library_that_is_missing_says_so(monkeypatch):
    def missing(threads):
        raise ImportError("no such library")

    monkeypatch.setitem(contender.CONTENDERS, "JAX", missing)
    answers = io.StringIO()
    contender.serve("JAX", 1, io.StringIO(), answers)
    assert json.loads(answers.getvalue()) == {"missing": "no such library"}


def test_a_process_that_ends_is_named():
    process = race.Process("nobody", 1)
    with pytest.raises(ChildProcessError, match="the process of nobody ended"):
        process.hear()
    process.close()


def test_the_copy_is_that_of_the_fastest(short):
    class Fixed:
        def __init__(self, *seconds):
            self.seconds = seconds

        def ask(self, do, **request):
            return {"right": True, "seconds": list(self.seconds)}

    times = race.race({"cydropout": Fixed(3e-6, 4e-6), "NumPy": Fixed(2e-6, 8e-6)}, 0.5)
    assert times == {name: pytest.approx([us * 1e3 / 2**10, us * 1e3 / 2**12])
                     for name, us in (("scale copy", 2), ("cydropout", 4), ("NumPy", 8))}
    assert "(2.0)" in race.table(times) and "(4.0)" in race.table(times)
