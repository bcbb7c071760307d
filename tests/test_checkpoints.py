"""Checkpoints: every value comes back, and a file on disk is whole whatever happens."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from cydropout.training.checkpoint import load_checkpoint, save_checkpoint


def test_every_kind_of_value_comes_back(tmp_path):
    path = tmp_path / "state"
    state = {
        "arrays": {
            "f4": np.arange(6, dtype="f4").reshape(2, 3),
            "f8": np.array([np.nan, -0.0, np.inf, 1 / 3]),
            "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            "strided": np.arange(10.0)[::-3],
            "swapped": np.arange(3, dtype=">f4"),
            "scalar": np.array(2.5),
            "empty": np.empty((0, 3)),
            "i8": np.array([-(2**63), 2**63 - 1]),
        },
        "numbers": [
            2**64 - 1,
            -1,
            1 / 3,
            5e-324,
            float("inf"),
            True,
            None,
            "ä/\n",
            np.float32(0.1),
        ],
        "nested": [{"a": [np.ones(2)]}, {}],
    }
    save_checkpoint(path, state)
    back = load_checkpoint(path)
    for name, array in state["arrays"].items():
        found = back["arrays"][name]
        assert found.dtype == array.dtype.newbyteorder("=") and found.shape == array.shape
        np.testing.assert_array_equal(found, array)
    assert back["numbers"] == [*state["numbers"][:-1], float(np.float32(0.1))]
    assert back["numbers"][5] is True and back["numbers"][6] is None
    np.testing.assert_array_equal(back["nested"][0]["a"][0], np.ones(2))
    assert back["nested"][1] == {}


def test_any_safetensors_reader_sees_the_arrays(tmp_path):
    load_file = pytest.importorskip("safetensors.numpy").load_file

    save_checkpoint(tmp_path / "state", {"model": {"0.dense.weight": np.ones(3)}})
    found = load_file(tmp_path / "state")
    assert list(found) == ["model/0.dense.weight"]
    np.testing.assert_array_equal(found["model/0.dense.weight"], np.ones(3))


@pytest.mark.parametrize("value", [object(), {1: 2}, {"__tensor__": 1}, 1j])
def test_what_cannot_be_saved_leaves_the_old_file(tmp_path, value):
    path = tmp_path / "state"
    save_checkpoint(path, {"n": 1})
    with pytest.raises(TypeError):
        save_checkpoint(path, {"n": 2, "bad": value})
    assert load_checkpoint(path) == {"n": 1}
    assert os.listdir(tmp_path) == ["state"]


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch, fails):
    path = tmp_path / "state"
    save_checkpoint(path, {"n": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, fails, full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(path, {"n": 2})
    monkeypatch.undo()
    assert load_checkpoint(path) == {"n": 1}
    assert os.listdir(tmp_path) == ["state"]


def test_the_bytes_are_on_the_disk_before_the_name_changes(tmp_path, monkeypatch):
    calls = []
    real_fsync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), real_fsync(fd))[1])
    monkeypatch.setattr(
        os, "replace", lambda a, b: (calls.append("replace"), real_replace(a, b))[1]
    )
    save_checkpoint(tmp_path / "state", {"n": 1})
    assert calls[:2] == ["fsync", "replace"]


def test_a_damaged_or_foreign_file_is_a_clear_error(tmp_path):
    save_file = pytest.importorskip("safetensors.numpy").save_file
    path = tmp_path / "state"
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        load_checkpoint(path)
    save_checkpoint(path, {"w": np.ones(100)})
    whole = path.read_bytes()
    for damaged in (b"", whole[:7], whole[: len(whole) // 2], whole[:-1], b"not a checkpoint" * 9):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            load_checkpoint(path)
    save_file({"w": np.ones(3)}, path)
    with pytest.raises(ValueError, match="not a checkpoint this version reads"):
        load_checkpoint(path)


WRITER = """
import sys
import numpy as np
from cydropout.training.checkpoint import load_checkpoint, save_checkpoint

path, n = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
while True:
    n += 1
    save_checkpoint(path, {"n": n, "w": np.full(200_000, n, "f4"), "again": n})
    print("saved", flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_kill_9_at_any_moment_leaves_a_whole_checkpoint(tmp_path):
    path = tmp_path / "state"
    moments = random.Random(0)
    last = 0
    started = time.perf_counter()
    save_checkpoint(path, {"n": last, "w": np.full(200_000, last, "f4"), "again": last})
    several_saves = 5 * (time.perf_counter() - started)
    for _ in range(20):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(last)], stdout=subprocess.PIPE
        )
        try:
            assert writer.stdout.readline() == b"ready\n"
            saves = moments.randrange(3)
            for _ in range(saves):
                assert writer.stdout.readline() == b"saved\n"
            time.sleep(moments.uniform(0, several_saves))
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            writer.stdout.close()
        state = load_checkpoint(path)
        assert state["n"] == state["again"] >= last + saves
        np.testing.assert_array_equal(state["w"], np.full(200_000, state["n"], "f4"))
        last = state["n"]
    assert last > 0, "the writer never got to write"


RUN = """
import sys
import numpy as np
from cydropout import Trainer
from cydropout.layers import Dense, Dropout, Sequential

rng = np.random.default_rng(0)
x, y = rng.normal(size=(64, 8)).astype("f4"), rng.integers(0, 3, 64)
model = Sequential([Dense(256, activation="relu"), Dropout(0.5), Dense(3)])
trainer = Trainer(model, "softmax_cross_entropy", "adam", rng=0)
print("ready", flush=True)
trainer.fit(x, y, epochs=40, progress=False, checkpoint=sys.argv[1], resume=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_a_run_killed_again_and_again_ends_bit_identical(tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    subprocess.run([sys.executable, "-c", RUN, str(whole)], check=True, capture_output=True)
    moments = random.Random(1)
    kills = 0
    for _ in range(30):
        run = subprocess.Popen([sys.executable, "-c", RUN, str(killed)], stdout=subprocess.PIPE)
        run.stdout.readline()
        try:
            run.wait(timeout=moments.uniform(0.005, 0.08))
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.wait()
            kills += 1
        finally:
            run.stdout.close()
        if killed.exists() and load_checkpoint(killed)["epoch"] == 40:
            break
    else:
        subprocess.run([sys.executable, "-c", RUN, str(killed)], check=True, capture_output=True)
    a, b = load_checkpoint(whole), load_checkpoint(killed)
    assert kills > 0
    assert (a["epoch"], a["stream"]) == (b["epoch"], b["stream"]) and a["epoch"] == 40
    for part in (a["model"], a["optimizer"]["state"]):
        assert part
    for name, array in a["model"].items():
        assert array.tobytes() == b["model"][name].tobytes(), name
    for name, array in a["optimizer"]["state"].items():
        assert np.asarray(array).tobytes() == np.asarray(b["optimizer"]["state"][name]).tobytes()
    for mine, other in zip(a["history"], b["history"], strict=True):
        assert {**mine, "seconds": 0} == {**other, "seconds": 0}
