"""The command: it trains, draws and explains itself; a wrong option is one line and code 2."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

from cydropout import Trainer, cli, functional
from cydropout.cli import PICTURE, main

TINY = ["--hidden", "16", "--epochs", "1", "--samples", "50", "--runs", "2"]


def test_train_prints_both_rows_and_draws(tmp_path, capsys):
    output = tmp_path / "made" / "here"
    assert main(["train", *TINY, "--output", str(output)]) == 0
    assert (output / PICTURE).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    out, err = capsys.readouterr()
    for part in ("train accuracy", "test accuracy", "spread", "64-16-10", str(output / PICTURE)):
        assert part in out
    rows = [line for line in out.splitlines() if line.startswith(("without dropout", "with dr"))]
    assert len(rows) == 2 and all(row.count("%") == 3 for row in rows)
    assert "points of test accuracy, standard error" in out
    for seed in (0, 1):
        for label in ("without dropout", "with dropout   "):
            assert f"{label}, seed {seed}, epoch 1/1" in err


def test_the_seed_decides_the_result(tmp_path, capsys):
    def table(seed):
        assert main(["train", *TINY, "--seed", seed, "--output", str(tmp_path)]) == 0
        lines = capsys.readouterr().out.splitlines()
        return [line.split()[:-1] for line in lines if line.startswith("with")]

    assert table("5") == table("5") != table("6")


def test_every_option_works(tmp_path, capsys):
    arguments = "train --hidden 16 8 --rate 0.2 0 --epochs 2 --batch-size 64 --optimizer sgd"
    arguments += " --learning-rate 0.1 --max-norm 2 --seed 3 --threads 1 --data digits --runs 1"
    arguments += " --samples 100 --wrong-labels 0.5 --output"
    assert main([*arguments.split(), str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "digits, 100 samples, 50% of their labels wrong, 64-16-8-10, sgd, dropout 0.2, 0" in out
    assert "one seed does not say" in out


def test_the_samples_and_their_wrong_labels_are_those_of_the_seed(tmp_path, monkeypatch):
    class Spy(Trainer):
        def fit(self, x, y, **options):
            seen.append((x, y))
            return super().fit(x, y, **options)

    seen = []
    monkeypatch.setattr(cli, "Trainer", Spy)
    options = [*TINY, "--samples", "100", "--wrong-labels", "0.2"]
    assert main(["train", *options, "--output", str(tmp_path)]) == 0
    (x, y), again, (x_other, _), _ = seen
    np.testing.assert_array_equal(x, again[0])
    np.testing.assert_array_equal(y, again[1])
    assert len(y) == 100 and not np.array_equal(x, x_other)
    data = cli.load_digits()
    labels = {image.tobytes(): label for image, label in zip(*data[:2], strict=True)}
    wrong = [labels[image.tobytes()] != label for image, label in zip(x, y, strict=True)]
    assert sum(wrong) == 20


@pytest.mark.parametrize(
    ("gains", "words"),
    [
        ([3, 4, 5], "dropout helps here: +4.00 points of test accuracy, standard error 0.58"),
        ([-3, -4, -5], "dropout does not help, it harms here: -4.00"),
        ([3, -4, 2], "dropout makes no clear difference here: +0.33"),
        ([0, 0, 0], "no clear difference"),
        ([2], "one seed does not say"),
    ],
)
def test_the_verdict(gains, words):
    assert words in cli._verdict(np.array(gains, float))


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
    assert [threads for threads, _ in seen] == [1, 1, 1, 1]
    assert all(pools <= {1} for _, pools in seen)
    assert (functional.get_num_threads(), blas()) == before


def test_dropout_wins_clearly_with_the_defaults(tmp_path, capsys):
    assert main(["train", "--output", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (said,) = [line for line in lines if line.startswith("dropout helps here:")]
    gain, error = (float(word.strip(",+")) for word in said.split() if "." in word)
    assert gain > 2 and gain > 5 * error


def test_all_digits_reach_97_percent_with_dropout(tmp_path, capsys):
    options = "--samples 1347 --wrong-labels 0 --runs 1 --output".split()
    assert main(["train", *options, str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line.split() for line in lines if line.startswith("with dropout ")]
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
        ("train --hidden 65537", ["--hidden", "from 1 to 65536"]),
        ("train --samples 0", ["--samples", "'0'"]),
        ("train --samples 1348", ["--samples", "1348 of 1347"]),
        ("train --wrong-labels 1.01", ["--wrong-labels", "1.01", "between 0 and 1"]),
        ("train --runs 0", ["--runs", "'0'"]),
        ("train --output picture", ["--output", "cydropout-train.png"]),
        ("train --output ~nobody-here/x", ["--output", "home directory"]),
        ("train --hidden 65536 65536", ["--hidden", "GiB of memory"]),
        ("train --directory .", ["--directory", "--data mnist"]),
        ("train --data mnist --directory nowhere", ["--directory", "nowhere"]),
        ("train --data fashion --directory .", ["--directory"]),
        ("train --output file", ["--output", "file"]),
        ("train --output file/below", ["--output", "file"]),
    ],
)
def test_a_wrong_option_is_one_line_and_code_2(arguments, parts, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "memory", lambda: 2**32)
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "picture" / PICTURE).mkdir(parents=True)
    refused(capsys, arguments.split(), *parts)


def options_of_train():
    (commands,) = (a for a in cli._parser()._actions if isinstance(a.choices, dict))
    return [a for a in commands.choices["train"]._actions if a.nargs != 0 and a.type is not Path]


@pytest.mark.parametrize("action", options_of_train(), ids=lambda a: a.option_strings[0])
@pytest.mark.parametrize("text", ["x", "-1", "nan", "inf", "", "\u00e9", "9" * 5000, "1e999"])
def test_every_option_refuses_what_it_cannot_be(action, text, capsys, monkeypatch):
    if action.dest == "seed" and text.isdigit():
        pytest.skip("any whole number is a seed")
    monkeypatch.setattr(cli, "_train", lambda options: pytest.fail("it began"))
    (name,) = action.option_strings
    refused(capsys, ["train", f"{name}={text}"], name)


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


def test_without_matplotlib_no_time_is_spent_on_training(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(cli, "Trainer", lambda *_, **__: pytest.fail("it trained"))
    assert main(["train", *TINY, "--output", str(tmp_path)]) == 1
    assert "cydropout[train]" in capsys.readouterr().err


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


def command(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "cydropout", *arguments], stderr=subprocess.PIPE, text=True,
        **{"stdout": subprocess.PIPE, "encoding": "ascii"} | options,
    )


@pytest.mark.parametrize(
    "terminal",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
)
def test_an_ascii_terminal_shows_all_of_it(tmp_path, terminal):
    output = os.path.join(os.fsencode(tmp_path), b"\xc3\xa9t\xc3\xa9 \xff")  # \xff is no text
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG"))}
    run = command("train", *TINY, "--output", output, env={**environment, **terminal})
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    assert "learning curves: " in out and os.listdir(output) == [os.fsencode(PICTURE)]
    run = command("info", env={**environment, **terminal})
    assert run.communicate(timeout=60)[1] == "" and run.returncode == 0


def test_a_reader_that_is_gone_is_one_line(tmp_path):
    here, there = os.pipe()
    os.close(here)
    run = command("info", stdout=there)
    os.close(there)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 1 and len(err.splitlines()) == 1 and "Broken pipe" in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["info"], ["--help"], ["train", "--help"]])
def test_a_full_disk_is_one_line(arguments):
    with open("/dev/full", "w") as full:
        run = command(*arguments, stdout=full)
        _, err = run.communicate(timeout=60)
    assert run.returncode == 1 and len(err.splitlines()) == 1 and "No space left" in err


def test_the_output_may_lie_below_the_home_directory(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["train", *TINY, "--output", "~/made"]) == 0
    assert [*tmp_path.iterdir()] == [tmp_path / "made"]
    assert os.listdir(tmp_path / "made") == [PICTURE]


def test_ctrl_c_before_the_package_is_there_is_one_line_too():
    run = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "cydropout_command", "info"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    while "numpy" not in run.stderr.readline():
        assert run.poll() is None
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130 and not out
    assert err.splitlines()[-1] == "cydropout: error: interrupted" and "Traceback" not in err


def test_ctrl_c_is_one_line_and_code_130(tmp_path):
    run = command("train", "--epochs", "100000", "--output", str(tmp_path))
    shown = ""
    while "epoch" not in shown:
        shown += run.stderr.read(1)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    last = err.splitlines()[-1]
    assert run.returncode == 130 and last == "cydropout train: error: interrupted"
    assert "Traceback" not in err and list(tmp_path.iterdir()) == []
