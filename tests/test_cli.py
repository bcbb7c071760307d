"""The command: it trains, draws and explains itself; a wrong option is one line and code 2."""

import subprocess
import sys

import pytest
import threadpoolctl

from cydropout import Trainer, cli, functional
from cydropout.cli import PICTURE, main

TINY = ["--hidden", "16", "--epochs", "1"]


def test_train_prints_both_rows_and_draws(tmp_path, capsys):
    output = tmp_path / "made" / "here"
    assert main(["train", *TINY, "--output", str(output)]) == 0
    assert (output / PICTURE).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    out, err = capsys.readouterr()
    for part in ("train accuracy", "test accuracy", "seconds", "64-16-10", str(output / PICTURE)):
        assert part in out
    rows = [line for line in out.splitlines() if line.startswith(("without dropout", "with dr"))]
    assert len(rows) == 2 and all(row.count("%") == 2 for row in rows)
    for bar in ("without dropout, epoch 1/1", "with dropout   , epoch 1/1"):
        assert bar in err


def test_the_seed_decides_the_result(tmp_path, capsys):
    def table(seed):
        assert main(["train", *TINY, "--seed", seed, "--output", str(tmp_path)]) == 0
        lines = capsys.readouterr().out.splitlines()
        return [line.split()[:-1] for line in lines if line.startswith("with")]

    assert table("5") == table("5") != table("6")


def test_every_option_works(tmp_path, capsys):
    arguments = "train --hidden 16 8 --rate 0.2 0 --epochs 2 --batch-size 64 --optimizer sgd"
    arguments += " --learning-rate 0.1 --max-norm 2 --seed 3 --threads 1 --data digits --output"
    assert main([*arguments.split(), str(tmp_path)]) == 0
    assert "digits, 64-16-8-10, sgd, dropout 0.2, 0" in capsys.readouterr().out


def test_threads_limit_kernels_and_blas_for_this_run_only(tmp_path, monkeypatch):
    def blas():
        return [
            p["num_threads"] for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"
        ]

    class Spy(Trainer):
        def fit(self, *args, **options):
            seen.append((self.num_threads, set(blas())))
            return super().fit(*args, **options)

    seen, before = [], (functional.get_num_threads(), blas())
    monkeypatch.setattr(cli, "Trainer", Spy)
    assert main(["train", *TINY, "--threads", "1", "--output", str(tmp_path)]) == 0
    assert [threads for threads, _ in seen] == [1, 1]
    assert all(pools <= {1} for _, pools in seen)
    assert (functional.get_num_threads(), blas()) == before


def test_defaults_reach_97_percent_with_dropout(tmp_path, capsys):
    assert main(["train", "--output", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line.split() for line in lines if line.startswith("with dropout")]
    assert float(row[3].rstrip("%")) >= 97.0


def test_info_shows_the_configuration():
    done = subprocess.run(
        [sys.executable, "-m", "cydropout", "info"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() and not done.stderr


def refused(capsys, arguments, *parts):
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert code == 2
    assert not out
    assert len(err.splitlines()) == 1 and err.endswith("\n")
    for part in ("cydropout", "error", *parts):
        assert part in err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("", ["train,info"]),
        ("fly", ["fly"]),
        ("info --loud", ["--loud"]),
        ("train --data cifar", ["--data", "cifar", "digits"]),
        ("train --hidden", ["--hidden"]),
        ("train --hidden 0", ["--hidden", "'0'"]),
        ("train --hidden ten", ["--hidden", "ten"]),
        ("train --rate 1.5", ["--rate", "1.5", "between 0 and 1"]),
        ("train --rate -0.1", ["--rate", "-0.1"]),
        ("train --rate nan", ["--rate", "nan"]),
        ("train --rate .5 .5 .5", ["--rate", "3 rates for 2 hidden layers"]),
        ("train --epochs 0", ["--epochs", "'0'"]),
        ("train --epochs 1.5", ["--epochs", "1.5"]),
        ("train --batch-size -3", ["--batch-size", "-3"]),
        ("train --optimizer lbfgs", ["--optimizer", "lbfgs", "adam"]),
        ("train --learning-rate 0", ["--learning-rate", "'0'"]),
        ("train --learning-rate inf", ["--learning-rate", "inf"]),
        ("train --seed -1", ["--seed", "-1"]),
        ("train --threads 0", ["--threads", "'0'"]),
        ("train --threads 1000000000", ["--threads", "1000000000"]),
        ("train --hidden 1000000000000000000000000", ["--hidden", "from 1 to"]),
        ("train --directory .", ["--directory", "--data mnist"]),
        ("train --data mnist --directory nowhere", ["--directory", "nowhere"]),
        ("train --data fashion --directory .", ["--directory"]),
        ("train --output file", ["--output", "file"]),
        ("train --output file/below", ["--output", "file"]),
    ],
)
def test_a_wrong_option_is_one_line_and_code_2(arguments, parts, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    refused(capsys, arguments.split(), *parts)


def test_a_truncated_data_file_is_one_line_and_code_2(capsys, tmp_path):
    for split in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            (tmp_path / f"{split}-{kind}-ubyte.gz").write_bytes(b"\x1f\x8b truncated")
    refused(capsys, ["train", "--data", "mnist", "--directory", str(tmp_path)], "ubyte.gz")


def test_a_missing_package_is_one_line_and_code_1(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert main(["train", *TINY, "--output", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and "cydropout[train]" in err


@pytest.mark.parametrize(
    ("error", "code"),
    [(OSError("no space left"), 1), (MemoryError("too large"), 1), (KeyboardInterrupt(), 130)],
)
def test_what_stops_a_run_is_one_line(error, code, capsys, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(cli, "plot_histories", fail)
    assert main(["train", *TINY, "--output", str(tmp_path)]) == code
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("cydropout train: error:") and (str(error) or "interrupted") in last
