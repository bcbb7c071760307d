"""Checkpoints: every value comes back, and a file on disk is whole whatever happens."""

import os

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
    with pytest.raises(OSError, match="No space.*state'" if fails == "fsync" else "No space"):
        save_checkpoint(path, {"n": 2})
    monkeypatch.undo()
    assert load_checkpoint(path) == {"n": 1}
    assert os.listdir(tmp_path) == ["state"]


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
@pytest.mark.parametrize("to, words", [
    ("link", "link to itself"), ("no/x", "directory .*no.* does not exist")])
def test_a_link_that_leads_nowhere_is_refused(tmp_path, to, words):
    os.symlink(tmp_path / to, tmp_path / "link")
    with pytest.raises(ValueError, match=words):
        save_checkpoint(tmp_path / "link", {"n": 1})
    assert os.listdir(tmp_path) == ["link"]


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
