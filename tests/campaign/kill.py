"""Runs that are killed, disks that are full, files that are damaged: nothing is lost, nothing half.

``python tests/campaign/kill.py --long`` kills 200 runs and 200 saves at random moments, and damages
5 000 checkpoints; ``--seed`` chooses other moments. It needs a system with fork.
"""

import copy
import os
import shutil
import sys
import time
from contextlib import contextmanager
from multiprocessing import Pipe

import common
import numpy as np
from common import Job, Skip, forked, run
from training_cases import CLASSES, FEATURES, assert_same_bits, state

from cydropout import Trainer
from cydropout.layers import BatchNorm, ConcreteDropout, Dense, Dropout, GaussianDropout, Sequential
from cydropout.training import schedules
from cydropout.training.callbacks import Callback, EarlyStopping, LearningRateSchedule, RateSchedule
from cydropout.training.checkpoint import load_checkpoint, save_checkpoint

campaign = common.Campaign(__file__, __doc__)
EPOCHS, SAMPLES = 4, 90


class AtStep(Callback):
    """Call a function before one step."""

    def __init__(self, step=-1, function=None):
        self.step, self.function = step, function

    def on_batch_begin(self, trainer, epoch, step):
        if step == self.step:
            self.function()


def made(kind=0, units=32):
    """Return a trainer of one of some kinds, and the arguments of its `fit`."""
    rng = np.random.default_rng(kind)
    x, y = rng.normal(size=(SAMPLES, FEATURES)).astype("f4"), rng.integers(0, CLASSES, SAMPLES)
    noise = [Dropout(0.5), GaussianDropout(0.3), ConcreteDropout(Dense(9)), Dropout(0.2)][kind % 4]
    model = Sequential([Dense(units, activation="relu"), noise, BatchNorm(), Dense(CLASSES)])
    trainer = Trainer(model, "softmax_cross_entropy", ["adam", "sgd", "adamw"][kind % 3], rng=kind)
    callbacks = [AtStep(), EarlyStopping("loss", 9), LearningRateSchedule(
        schedules.Cosine(0.01, 0.001, 99), per="step")]
    if kind % 4 == 0:
        callbacks.append(RateSchedule(schedules.Linear(0.5, 0.1, 99)))
    return trainer, {"x": x, "y": y, "epochs": EPOCHS, "batch_size": 16, "progress": False,
                     "checkpoint_every": 1 + kind % 5, "resume": True, "callbacks": callbacks}


def fit(path, kind=0, first=None, units=32):
    """Train, from the checkpoint where there is one."""
    trainer, options = made(kind, units)
    options["callbacks"][0] = first or AtStep()
    trainer.fit(**options, checkpoint=path)


def same(a, b, path=""):
    """Raise unless two trees are the same to the bit, but for the time they took."""
    assert type(a) is type(b), path
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a.keys() - {"seconds"}:
            same(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), path
        for place, pair in enumerate(zip(a, b, strict=True)):
            same(*pair, f"{path}/{place}")
    elif isinstance(a, np.ndarray):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()), path
    else:
        assert a == b or (a != a and b != b), (path, a, b)


@contextmanager
def disk(job, size="1m"):
    """Give an empty disk of a size, if that can be had."""
    place = job.folder / f"disk{time.monotonic_ns()}"
    place.mkdir()
    if not shutil.which("mount") or os.geteuid():
        raise Skip("only root may mount a disk")
    run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place])
    try:
        yield place
    finally:
        run(["umount", place])


@campaign.check
def runs(job: Job) -> str:
    """Kill runs again and again; each must end as one that was never killed."""
    kills, chains, wanted = 0, 0, job.size(12, 200)
    while kills < wanted:
        kind, chains = chains, chains + 1
        whole, killed = job.folder / f"whole{kind}", job.folder / f"killed{kind}"
        began = time.perf_counter()
        fit(whole, kind)
        seconds = time.perf_counter() - began
        for _ in range(job.size(4, 12)):
            process = forked(fit, killed, kind)
            process.join(timeout=job.moments.uniform(0, seconds))
            kills += process.exitcode is None
            process.kill()
            process.join()
            assert process.exitcode in (0, -9), process.exitcode
            if killed.exists():
                load_checkpoint(killed)
        fit(killed, kind)
        same(load_checkpoint(whole), load_checkpoint(killed))
        save_checkpoint(killed, {})  # which deletes what the killed ones left
        assert not [*job.folder.glob(".*.tmp")], "a temporary file stayed"
    return f"{kills} kills of runs in {chains} chains, each equal to the bit to one never killed"


def write(path, n, told):
    """Save without end, and tell of each."""
    while True:
        n += 1
        save_checkpoint(path, {"n": n, "w": np.full(200_000, n, "f4"), "again": n})
        told.send(n)


def whole(path):
    """Return the number of a checkpoint of `write`, all of which must be of one save."""
    found = load_checkpoint(path)
    assert found["n"] == found["again"]
    np.testing.assert_array_equal(found["w"], np.full(200_000, found["n"], "f4"))
    return found["n"]


@campaign.check
def saves(job: Job) -> str:
    """Kill saves: the file is whole, and never older than what was told to be saved."""
    path, last, kills = job.folder / "state", 0, job.size(15, 200)
    began = time.perf_counter()
    save_checkpoint(path, {"n": 0, "w": np.full(200_000, 0, "f4"), "again": 0})
    several = 5 * (time.perf_counter() - began)
    for _ in range(kills):
        here, there = Pipe(duplex=False)
        process = forked(write, path, last, there)
        told = last
        for _ in range(job.moments.randrange(3)):
            told = here.recv()
        process.join(job.moments.uniform(0, several))
        process.kill()
        process.join()
        last, before = whole(path), last
        assert last >= told >= before
        here.close()
        there.close()
    assert last > 0, "the writer never got to write"
    return f"{kills} kills while {last} files were saved, each whole"


@campaign.check
def two_writers(job: Job) -> str:
    """Let two save to one path: whoever reads finds one whole file of one of them."""
    path, pipes, read = job.folder / "state", [], 0
    save_checkpoint(path, {"n": 0, "w": np.full(200_000, 0, "f4"), "again": 0})
    for first in (0, 10**6):
        pipes.append(Pipe(duplex=False))
        pipes[-1] += (forked(write, path, first, pipes[-1][1]),)
    end = time.monotonic() + job.size(1, 30)
    while time.monotonic() < end:
        whole(path)
        read += 1
        for here, _, process in pipes:
            assert process.is_alive()
            while here.poll():
                here.recv()
    for _, _, process in pipes:
        process.kill()
        process.join()
    save_checkpoint(path, {"n": 1, "w": np.full(200_000, 1, "f4"), "again": 1})
    assert whole(path) == 1 and os.listdir(job.folder) == ["state"]
    return f"{read} reads, each of one whole file"


@campaign.check
def full_disk(job: Job) -> str:
    """Fill the disk in the middle of runs: the last checkpoint stays, from which they go on."""
    fit(job.folder / "whole")
    for step in range(1, job.size(4, 23)):
        with disk(job) as place:
            path, stuff = place / "run", place / "stuff"

            def fill(stuff=stuff):
                with open(stuff, "wb", buffering=0) as file:
                    try:
                        while True:
                            file.write(bytes(4096))
                    except OSError:
                        pass

            try:
                fit(path, first=AtStep(step, fill))
                raise RuntimeError("a full disk was not seen")
            except OSError as error:
                assert "No space" in str(error), error
            assert {*os.listdir(place)} <= {"run", "stuff"}, os.listdir(place)
            if path.exists():
                load_checkpoint(path)
            stuff.unlink()
            fit(path)
            same(load_checkpoint(job.folder / "whole"), load_checkpoint(path))
    return f"filled before each of the steps 1 to {step}; went on, equal to the bit"


@campaign.check
def read_only(job: Job) -> str:
    """A directory that cannot be written: refused before the first step, or the last file stays."""
    with disk(job) as place:
        path = place / "run"

        def seal():
            run(["mount", "-o", "remount,ro", place])

        try:
            fit(path, first=AtStep(9, seal))
            raise RuntimeError("it wrote")
        except ValueError as error:
            assert str(place) in str(error) and "not writable" in str(error)
        before = path.read_bytes()
        load_checkpoint(path)
        try:
            fit(path, first=AtStep(10, lambda: sys.exit("a step was taken")))
            raise RuntimeError("it wrote")
        except ValueError as error:
            assert str(place) in str(error) and "not writable" in str(error)
        assert path.read_bytes() == before
    return "refused before the first step, by the name of the directory"


ODD = [None, True, -1, 0, 2**64, 10**30, 1.5, float("nan"), "x", "", [], {}, [[]], {"a": 1},
       np.zeros(0), np.zeros((2, 3)), np.array(np.nan), np.ones(3, "i8"), np.ones((4, 4), "u1")]


def spoil(tree, job):
    """Put something else in a place of a tree, or take it out; return the place."""
    node, path = tree, []
    while True:
        key = job.moments.choice([*node] if isinstance(node, dict) else [*range(len(node))])
        path.append(key)
        below = node[key]
        if isinstance(below, (dict, list)) and below and job.moments.random() < 0.8:
            node = below
            continue
        if job.moments.random() < 0.2:
            del node[key]
        else:
            node[key] = job.moments.choice(ODD)
        return path


@campaign.check
def damaged(job: Job) -> str:
    """Damage a checkpoint's bytes, or what it holds: refused with nothing changed, or taken."""
    path, refused, taken, faults = job.folder / "run", 0, 0, []
    fit(path)
    good, tree = path.read_bytes(), load_checkpoint(path)
    fit(job.folder / "other", 1, units=7)
    foreign, count = (job.folder / "other").read_bytes(), job.size(60, 5000)
    for _ in range(count):
        how = job.moments.choice(["cut", "flip", "mixed", "foreign", "held", "held", "held"])
        cut = job.moments.randrange(len(good))
        if how == "held":
            spoilt = copy.deepcopy(tree)
            where = spoil(spoilt, job)
            save_checkpoint(path, spoilt)
        else:
            flipped = bytearray(good)
            flipped[cut] ^= 1 << job.moments.randrange(8)
            where = cut
            path.write_bytes({"cut": good[:cut], "flip": flipped, "foreign": foreign,
                              "mixed": good[:cut] + foreign[cut:]}[how])
        before = path.read_bytes()
        trainer, options = made()
        trainer.model.build((FEATURES,), 0)
        state_before = copy.deepcopy(state(trainer))
        try:
            trainer.fit(**options, checkpoint=path)
        except Exception as error:
            refused += 1
            if not isinstance(error, ValueError) or path.read_bytes() != before:
                faults.append(f"{how} at {where}: {error!r}")
            try:
                assert_same_bits(state_before, state(trainer))
            except AssertionError:
                faults.append(f"{how} at {where} changed the trainer, then {error!r}")
        else:
            taken += 1
            if how != "held":
                faults.append(f"{how} at {where} was taken")
    assert not faults, f"{len(faults)} of {count}:\n" + "\n".join(faults[:job.size(3, 20)])
    return f"{count} files: {refused} refused, {taken} taken for another state"


if __name__ == "__main__":
    sys.exit(campaign.main())
