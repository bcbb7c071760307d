"""The command over several processes: the numbers of one, and one voice."""

import pytest
from processes import launched

from cydropout import cli

TINY = ["train", "--mpi", "--hidden", "16", "--epochs", "2", "--samples", "50", "--runs", "1"]
SPY = """
import sys
from mpi4py import MPI
from threadpoolctl import threadpool_info
from cydropout import Trainer, cli
rank = MPI.COMM_WORLD.rank
class Spy(Trainer):
    def fit(self, *args, **options):
        blas = {p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"}
        sys.stderr.write(f"rank {rank}: {self.num_threads} {sorted(blas)}\\n")
        if rank in map(int, sys.argv[1].split()):
            raise OSError(f"the disk of rank {rank} is gone")
        return super().fit(*args, **options)
cli.Trainer = Spy
sys.exit(cli.main(sys.argv[2:]))
"""


def rows(out):
    return [line.split()[:-1] for line in out.splitlines() if line.startswith("with")]


def test_two_processes_learn_what_one_does_and_one_of_them_tells(tmp_path):
    one, two = (
        launched(ranks, "-m", "cydropout", *TINY, "--output", tmp_path / str(ranks))
        for ranks in (1, 2)
    )
    assert one.returncode == two.returncode == 0, two.stderr
    assert len(rows(two.stdout)) == 2 and two.stdout.count("learning curves") == 1
    assert "processes: 2, 2 epochs" in two.stdout and "processes: 1," in one.stdout
    for mine, theirs in zip(rows(one.stdout), rows(two.stdout), strict=True):
        for first, second in zip(mine[2:], theirs[2:], strict=True):
            assert float(first.strip("%")) == pytest.approx(float(second.strip("%")), abs=2.1)
    assert (tmp_path / "2" / cli.PICTURE).stat().st_size > 10_000
    assert two.stderr.count("  0%|") == 2  # a bar with dropout, and one without


@pytest.mark.parametrize(("threads", "expected"), [((), 1), (("--threads", "2"), 2)])
def test_each_process_has_the_threads_of_the_option(threads, expected, tmp_path):
    if expected > (cli.os.cpu_count() or 1):
        pytest.skip("there are not so many cores")
    done = launched(2, "-c", SPY, "", *TINY, *threads, "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if "rank " in line]
    assert len(told) == 4
    assert {line.rpartition("rank ")[2][3:] for line in told} == {f"{expected} [{expected}]"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rate", ".1", ".2"], "2 rates for 1 hidden layers"),
        (["--batch-size", "49"], "argument --batch-size: a batch has 1 samples for 2 processes"),
        (["--output", "/dev/null/below"], "cannot write"),
        (["--data", "mnist", "--directory", "/nowhere"], "--directory"),
    ],
)
def test_a_wrong_option_is_one_line_of_one_process(arguments, words):
    done = launched(2, "-m", "cydropout", *TINY, *arguments)
    told = [line for line in done.stderr.splitlines() if line.startswith("cydropout")]
    assert done.returncode == 2 and not done.stdout
    assert len(told) == 1 and words in told[0]


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_process_that_fails_ends_all_with_its_message(rank, tmp_path):
    done = launched(2, "-c", SPY, rank, *TINY, "--output", tmp_path)
    assert done.returncode != 0 and f"the disk of rank {rank} is gone" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [ImportError("no module"), RuntimeError("cannot load MPI")])
def test_without_mpi_the_extra_is_named(error, capsys, monkeypatch):
    def fails(module):
        raise error

    monkeypatch.setattr("cydropout._optional.importlib.import_module", fails)
    assert cli.main(TINY) == 1
    out, err = capsys.readouterr()
    assert not out and len(err.splitlines()) == 1 and "pip install 'cydropout[mpi]'" in err
