"""Ctrl-C in long kernels, in `fit`, in `tune_rate` and in the command: an end within a second.

``python tests/campaign/signals.py --long`` interrupts each 40 times, at random moments, in a group
of processes of its own, and looks at what is left: the array is that of a whole draw, the
checkpoint goes on to the same bits, the record keeps every score. Where more processes want the
cores than there are, the second is as much longer.
"""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import Pipe

import common
import numpy as np
from common import Job, Skip, forked
from kill import fit, same
from training_cases import Slow, network

from cydropout import MaskStream, dropout
from cydropout.training.checkpoint import load_checkpoint
from cydropout.tuning import tune_rate

campaign = common.Campaign(__file__, __doc__)
SIZE = 2**24


def second() -> float:
    """Return a second, for a process that has a core of its own."""
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    return max(1.0, 2 * busy)


def leader(there, work, *arguments) -> None:
    """Work in a group of its own; tell of the beginning, and of what was done at Ctrl-C."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        there.send(None)
        work(there, *arguments)
        there.send("ended")
    except KeyboardInterrupt:
        there.send("interrupted")


def interrupted(job: Job, longest: float, work, *arguments) -> list:
    """Interrupt work at a random moment; return how long it went on, and what it told."""
    here, there = Pipe(duplex=False)
    process = forked(leader, there, work, *arguments)
    here.recv()
    time.sleep(job.moments.uniform(0, longest))
    if process.is_alive():
        os.killpg(process.pid, signal.SIGINT)
    began, told = time.monotonic(), []
    limit = second()
    while not told or told[-1] not in ("ended", "interrupted"):
        assert here.poll(60), "it did not end"
        told.append(here.recv())
    late = time.monotonic() - began
    process.join(60)
    assert process.exitcode == 0, process.exitcode
    assert late < limit, f"it went on for {late:.1f} s, of {limit:.1f}"
    here.close()
    there.close()
    return [late, *told]


def several(job: Job, short: int, once) -> str:
    """Interrupt so many times; return how many, and the longest wait."""
    late = [once(number) for number in range(job.size(short, 40))]
    return f"{len(late)} times, at most {max(late):.2f} s later"


def kernels(there, seed: int) -> None:
    """Work on one array without end, and tell which draw it is of in the end."""
    x, out = np.ones(SIZE, "f4"), np.empty(SIZE, "f4")
    stream = MaskStream(seed)
    for _ in range(2):
        dropout(x, 0.1, rng=stream, out=out)
    try:
        while True:
            dropout(x, 0.1, rng=stream, out=out)
    finally:
        # Taken and not yet used, used, or used and given back.
        draws = [MaskStream.from_state(stream.key, stream.next_draw - back) for back in (2, 1, 0)]
        whole = [np.array_equal(out, dropout(x, 0.1, rng=one)) for one in draws]
        there.send(any(whole))


@campaign.check
def in_a_kernel(job: Job) -> str:
    """Long calls, one after the other."""
    def once(number):
        late, *told = interrupted(job, 1.0, kernels, number)
        assert False not in told, "the array is of no whole draw"
        return late

    return several(job, 2, once)


def training(there, path, kind: int) -> None:
    """Train from the checkpoint on."""
    fit(path, kind)


@campaign.check
def in_fit(job: Job) -> str:
    """Runs with checkpoints, which go on and end equal to the bit."""
    def once(number):
        whole, path, waits = job.folder / f"whole{number}", job.folder / f"run{number}", [0.0]
        began = time.monotonic()
        fit(whole, number)
        longest = time.monotonic() - began
        for _ in range(4):
            late, *told = interrupted(job, longest, training, path, number)
            waits.append(late)
            if told[-1] == "ended":
                break
        fit(path, number)
        same(load_checkpoint(whole), load_checkpoint(path))
        return max(waits)

    return several(job, 2, once)


def sweeping(there, path) -> None:
    """Sweep, with slow steps."""
    x = np.random.default_rng(0).standard_normal((60, 12), dtype="float32")
    tune_rate(network(), "softmax_cross_entropy", Slow(0.1), x, np.arange(60) % 3, [0.0, 0.5],
              epochs=1, folds=2, seeds=(0, 1), workers=2, record=path, progress=False)


@campaign.check
def in_tune_rate(job: Job) -> str:
    """Sweeps of two workers; what they leave is a record that the next one goes on from."""
    def once(number):
        path, before = job.folder / f"sweep{number}", b""
        waits = []
        for _ in range(2):
            late, *_ = interrupted(job, 3.0, sweeping, path)
            waits.append(late)
            now = path.read_bytes() if path.exists() else b""
            assert now.startswith(before[: before.rfind(b"\n") + 1]), "a score was lost"
            before = now
        return max(waits)

    return several(job, 1, once)


@campaign.check
def in_the_command(job: Job) -> str:
    """``cydropout train``, which ends with one line and code 130."""
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise Skip("the data of the command need scikit-learn") from None

    def once(number):
        folder = job.folder / str(number)
        folder.mkdir()
        command = [sys.executable, "-m", "cydropout", "train", "--epochs", "100000", "--output",
                   str(folder)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              text=True, start_new_session=True) as run:
            assert run.stderr is not None
            shown = ""
            while "epoch" not in shown:
                shown += run.stderr.read(1)
                assert run.poll() is None, shown
            time.sleep(job.moments.uniform(0, 0.5))
            began = time.monotonic()
            os.killpg(run.pid, signal.SIGINT)
            try:
                last = run.communicate(timeout=60)[1].splitlines()[-1]
            finally:
                run.kill()
            late = time.monotonic() - began
        assert run.returncode == 130 and last.endswith("interrupted"), (run.returncode, last)
        assert late < second(), f"it went on for {late:.1f} s"
        return late

    return several(job, 1, once)


if __name__ == "__main__":
    # In the background of a shell it is ignored, and would be by the processes that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(campaign.main())
