"""A sweep that is stopped, killed, or given a damaged record: nothing is lost, nobody stays."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from training_cases import Dies, network

from cydropout.layers import Dense, Dropout, Sequential
from cydropout.training.losses import SoftmaxCrossEntropy
from cydropout.training.optimizers import SGD
from cydropout.tuning import record as record_module
from cydropout.tuning import tune_rate

pytest.importorskip("sklearn.model_selection")
RATES, SEEDS = [0.0, 0.5], (0, 1)

SCRIPT = """
import sys
import numpy as np
from training_cases import Slow, network
from cydropout.tuning import tune_rate

if __name__ == "__main__":
    x = np.random.default_rng(0).standard_normal((60, 12), dtype="float32")
    found = tune_rate(
        network(), "softmax_cross_entropy", Slow(float(sys.argv[2])), x, np.arange(60) % 3,
        [0.0, 0.5], epochs=1, folds=2, seeds=(0, 1), workers=2, record=sys.argv[1],
        progress=False,
    )
    print(found)
"""


@pytest.fixture(scope="module")
def small():
    x = np.random.default_rng(0).standard_normal((60, 12), dtype="float32")
    return x, np.arange(60) % 3


def sweep(data, record, **more):
    options = {"epochs": 1, "folds": 2, "seeds": SEEDS, "workers": 1, "progress": False}
    return tune_rate(
        more.pop("model", network()), more.pop("loss", "softmax_cross_entropy"),
        more.pop("optimizer", SGD(0.1)), *data, RATES, record=record, **options | more,
    )


def begin(tmp_path, pause, text=SCRIPT):
    """Start the sweep in a process of its own group, as a terminal does."""
    script = tmp_path / "script.py"
    script.write_text(text, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, script, tmp_path / "sweep", str(pause)], start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def group(leader):
    """Return the processes of a group that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            words = stat.read_text().rpartition(")")[2].split()
            if int(words[2]) == leader and words[0] != "Z":
                found.append(int(stat.parent.name))
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


@needs_proc
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_parent(tmp_path, how):
    parent = begin(tmp_path, 60)
    wait_for(lambda: len(group(parent.pid)) >= 3 and (tmp_path / "sweep").exists())
    time.sleep(random.Random(how).random())
    parent.send_signal(how)
    parent.communicate(timeout=30)
    wait_for(lambda: not group(parent.pid), 5)


@needs_proc
def test_ctrl_c_stops_at_once_and_keeps_what_is_done(tmp_path):
    parent = begin(tmp_path, 0.3)
    wait_for(lambda: lines(tmp_path / "sweep") >= 4)
    began = time.monotonic()
    os.killpg(parent.pid, signal.SIGINT)
    _, err = parent.communicate(timeout=30)
    assert time.monotonic() - began < 1
    assert err.rstrip().endswith("KeyboardInterrupt") and "SpawnProcess" not in err
    assert lines(tmp_path / "sweep") >= 4
    wait_for(lambda: not group(parent.pid), 5)  # Python's own helper ends last


@needs_proc
def test_kills_at_random_moments_lose_nothing(tmp_path):
    record, moments, before = tmp_path / "sweep", random.Random(7), b""
    for _ in range(10):
        parent = begin(tmp_path, 0.05)
        time.sleep(moments.uniform(0.3, 1.3))
        os.kill(parent.pid, signal.SIGKILL)
        parent.communicate(timeout=30)
        now = record.read_bytes() if record.exists() else b""
        assert now.startswith(before[: before.rfind(b"\n") + 1])
        before = now
    parent = begin(tmp_path, 0.05)
    out, err = parent.communicate(timeout=60)
    assert parent.returncode == 0 and "accuracy" in out, err
    assert record.read_bytes().startswith(before) and lines(record) == 1 + 8


def test_a_worker_that_dies_is_named_and_the_others_scores_are_kept(small, tmp_path):
    record = tmp_path / "sweep"
    with pytest.raises(RuntimeError, match=r"process \d+, was ended by SIGKILL in the run.*0\.5"):
        sweep(small, record, optimizer=Dies(after=4))
    assert lines(record) == 1 + 4


def test_a_script_without_its_guard_is_told_so(tmp_path):
    bare = SCRIPT.replace('if __name__ == "__main__":', "if True:")
    parent = begin(tmp_path, 0, bare)
    _, err = parent.communicate(timeout=60)
    assert parent.returncode == 1
    last = err.splitlines()[-1]
    assert "ended by exit code 1 before its first run" in last and '__name__ == "__main__"' in last
    assert lines(tmp_path / "sweep") == 1


def test_an_error_in_a_worker_comes_with_where_it_was(small, tmp_path):
    with pytest.raises(ZeroDivisionError) as caught:
        sweep(small, None, optimizer=Dies(after=0, error=True))
    cause = str(caught.value.__cause__)
    assert "in the run of {'rate': 0.0}, fold 0, seed 0" in cause and "in step" in cause


@pytest.mark.parametrize("kind", ["takes more", "holds a lambda"])
def test_an_error_that_cannot_be_sent_is_told(small, kind):
    with pytest.raises(RuntimeError, match="Odd: odd it is") as caught:
        sweep(small, None, optimizer=Dies(after=0, error=kind))
    assert "raise Odd" in str(caught.value.__cause__)


def test_what_cannot_go_to_a_process_is_said_before_one_starts(small, monkeypatch):
    monkeypatch.setattr("cydropout.tuning.runs._Worker", lambda: pytest.fail("it started"))
    with pytest.raises(TypeError, match="other processes.*lambda"):
        sweep(small, None, loss=lambda prediction, target: (0.0, prediction))


# ---------------------------------------------------------------- the record


@pytest.fixture
def whole(small, tmp_path):
    path = tmp_path / "sweep"
    sweep(small, path)
    return path


FOREIGN = {
    "text": b"not json\n", "no newline": b"to do: tune the rate", "binary": bytes(range(256)),
    "a number": b"5\n", "null": b"null\n", "a list": b"[]\n", "another": b'{"a": 1}\n{"b": 2}\n',
    "another, no newline": b'{"a": 1}', "an empty line": b"\n", "brackets": b"[" * 100_000,
    "a brace": b"{",
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_file_is_refused_and_not_touched(small, tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    before = path.stat().st_mtime_ns
    with pytest.raises(ValueError, match="no record of a sweep") as caught:
        sweep(small, path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content and path.stat().st_mtime_ns == before


def test_a_directory_is_no_record(small, tmp_path):
    with pytest.raises(ValueError, match="must be a file"):
        sweep(small, tmp_path)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"optimizer": SGD(0.01)}, "optimizer.learning_rate is 0.1 there and 0.01 here"),
        ({"optimizer": "adam"}, "optimizer"), ({"loss": SoftmaxCrossEntropy(0.5)}, "loss.label_s"),
        ({"model": Sequential([Dense(3), Dropout(0.5)])}, "model"), ({"epochs": 2}, "epochs is 1"),
        ({"model": network(0.1)}, "model.layers.1.rate is 0.5 there and 0.1 here"),
    ],
)
def test_a_record_of_other_settings_names_the_first(small, whole, change, name):
    before = whole.read_bytes()
    with pytest.raises(ValueError, match=f"another sweep: {name}"):
        sweep(small, whole, **change)
    assert whole.read_bytes() == before


def test_a_record_below_the_home_directory(small, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    sweep(small, "~/sweep")
    assert lines(tmp_path / "sweep") == 1 + 8


def damaged(line):
    entry = json.loads(line)
    yield from (b"5", b"null", b"[]", b"{}", b"", b'"text"', line[:-9], b"[" * 100_000, b"\xff\xfe")
    for name in entry:
        yield json.dumps({k: v for k, v in entry.items() if k != name}).encode()
        for value in (None, [], {}, "x", True, -1 if name != "score" else 10**400):
            yield json.dumps(entry | {name: value}).encode()
    for score in ("NaN", "Infinity", "1e400", '"0.5"'):
        yield json.dumps(entry | {"score": 0})[:-2].encode() + score.encode() + b"}"


def test_a_damaged_line_is_named_and_nothing_touched(small, whole):
    good = whole.read_bytes().splitlines()
    for bad in damaged(good[2]):
        content = b"\n".join([*good[:2], bad, *good[3:], b""])
        whole.write_bytes(content)
        with pytest.raises(ValueError, match="line 3") as caught:
            sweep(small, whole)
        assert str(whole) in str(caught.value), bad
        assert whole.read_bytes() == content


def test_a_record_cut_anywhere_is_taken_up_or_refused(small, whole, monkeypatch):
    content, ran = whole.read_bytes(), []

    def one(task, jobs, workers, done):
        ran.append(len(jobs))
        for job in jobs:
            done(job, 0.5)

    monkeypatch.setattr("cydropout.tuning.sweep.run_jobs", one)
    head = content.index(b"\n")
    for size in range(0, len(content), 7):
        whole.write_bytes(content[:size])
        if 0 < size < head:
            with pytest.raises(ValueError, match="no record"):
                sweep(small, whole)
            continue
        kept = content[: content.rfind(b"\n", 0, size) + 1]
        sweep(small, whole)
        assert whole.read_bytes().startswith(kept) and lines(whole) == 1 + 8
        assert ran[-1] == 8 - max(kept.count(b"\n") - 1, 0)


def test_a_full_disk_loses_nothing(small, whole):
    resource = pytest.importorskip("resource")
    content = whole.read_bytes()
    place = content.rfind(b"\n", 0, -1) + 1
    whole.write_bytes(content[:place])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (place + 10, limits[1]))
    try:
        with pytest.raises(OSError, match="sweep"):
            sweep(small, whole)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert whole.read_bytes() == content[:place]
    sweep(small, whole)
    assert whole.read_bytes() == content


def test_two_sweeps_may_share_a_record(tmp_path):
    jobs = [((("rate", 0.5),), fold, 0) for fold in range(4)]
    one = record_module.ScoreRecord(tmp_path / "sweep", {"model": "m"}, jobs)
    two = record_module.ScoreRecord(tmp_path / "sweep", {"model": "m"}, jobs)
    for number, job in enumerate(jobs):
        (one, two)[number % 2].add(job, number / 4)
    both = record_module.ScoreRecord(tmp_path / "sweep", {"model": "m"}, jobs)
    assert both.scores == {job: number / 4 for number, job in enumerate(jobs)}


def test_two_sweeps_may_take_up_a_record_that_was_cut(tmp_path):
    jobs = [((("rate", 0.5),), fold, 0) for fold in range(3)]
    record_module.ScoreRecord(tmp_path / "sweep", {"model": "m"}, jobs).add(jobs[0], 0.25)
    whole = (tmp_path / "sweep").read_bytes()
    (tmp_path / "sweep").write_bytes(whole + b'{"rates": {"ra')
    one, two = (record_module.ScoreRecord(tmp_path / "sweep", {"model": "m"}, jobs)
                for _ in range(2))
    one.add(jobs[1], 0.5)
    two.add(jobs[2], 0.75)
    both = record_module.ScoreRecord(tmp_path / "sweep", {"model": "m"}, jobs)
    assert both.scores == dict(zip(jobs, (0.25, 0.5, 0.75), strict=True))
    head = whole.partition(b"\n")[0]
    (tmp_path / "sweep").write_bytes(head + b"\n" + whole)  # both began it at one moment
    again = record_module.ScoreRecord(tmp_path / "sweep", {"model": "m"}, jobs)
    assert again.scores == {jobs[0]: 0.25}


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_refused(tmp_path, score):
    job = ((("rate", 0.5),), 0, 0)
    made = record_module.ScoreRecord(tmp_path / "sweep", {"model": "m"}, [job])
    before = (tmp_path / "sweep").read_bytes()
    with pytest.raises(ValueError, match="score of.*0.5"):
        made.add(job, score)
    assert (tmp_path / "sweep").read_bytes() == before
