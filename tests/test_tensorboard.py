"""TensorBoard: the event files hold what the history does."""

import struct
import sys

import pytest
from training_cases import SAMPLES, Crash, Stop, trainer

from cydropout.training.callbacks import LearningRateSchedule, TensorBoard

STEPS = -(-SAMPLES // 32)


def events(directory):
    """Read the scalars back: {tag: {step: value}}; a file is length, crc, bytes, crc, again."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    found = {}
    for path in sorted(directory.iterdir()):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = event_pb2.Event.FromString(content[12 : 12 + length])
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
            content = content[16 + length :]
    return found


@pytest.fixture(autouse=True)
def tensorboardx():
    pytest.importorskip("tensorboardX")


def test_the_files_hold_every_epoch(data, tmp_path):
    callbacks = [LearningRateSchedule(lambda epoch: 0.01 / epoch), TensorBoard(tmp_path)]
    history = trainer().fit(
        *data, epochs=3, validation_data=data, callbacks=callbacks, progress=False
    )
    found = events(tmp_path)
    assert set(found) == set(history.to_dict()) - {"epoch"} | {"learning_rate"}
    for name in ("loss", "val_accuracy", "seconds"):
        assert list(found[name]) == [1, 2, 3]
        assert list(found[name].values()) == pytest.approx(history[name], rel=1e-6)
    assert list(found["learning_rate"].values()) == pytest.approx([0.01, 0.005, 0.01 / 3])


def test_batches_too(data, tmp_path):
    history = trainer().fit(
        *data, epochs=2, batch_size=SAMPLES, callbacks=[TensorBoard(tmp_path, every=1)],
        progress=False,
    )
    found = events(tmp_path)
    assert list(found["batch/loss"]) == [0, 1]
    assert list(found["batch/loss"].values()) == pytest.approx(history["loss"], rel=1e-6)
    trainer().fit(
        *data, epochs=1, callbacks=[TensorBoard(tmp_path / "b", every=3)], progress=False
    )
    assert list(events(tmp_path / "b")["batch/accuracy"]) == list(range(0, STEPS, 3))


def test_a_run_that_fails_and_resumes_leaves_the_same(data, tmp_path):
    def fit(directory, crash=None, **more):
        callbacks = [TensorBoard(directory, every=1), Crash(crash)]
        trainer().fit(*data, epochs=3, callbacks=callbacks, progress=False, **more)

    fit(tmp_path / "whole")
    with pytest.raises(Stop):
        fit(tmp_path / "parts", 3, checkpoint=tmp_path / "run")
    assert list(events(tmp_path / "parts")["loss"]) == [1, 2]
    fit(tmp_path / "parts", checkpoint=tmp_path / "run", resume=True)
    whole, parts = events(tmp_path / "whole"), events(tmp_path / "parts")
    assert parts.keys() == whole.keys()
    for name in whole.keys() - {"seconds"}:
        assert parts[name] == whole[name]


def test_errors(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="every.*0"):
        TensorBoard(tmp_path, every=0)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"tensorboardX.*cydropout\[tensorboard\]"):
        TensorBoard(tmp_path)


def test_a_tilde_is_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert TensorBoard("~/runs").directory == str(tmp_path / "runs")
