"""Many calls, models and threads, and memory that does not suffice: flat, equal, whole.

``python tests/campaign/load.py --long`` makes a million small calls and ten thousand models, lets
16 threads share a stream and a model, and has some hundred calls run out of memory.
"""

import gc
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import common
import numpy as np
from common import Job, Skip, forked
from training_cases import network, trainer

from cydropout import Mask, MaskStream, dropout
from cydropout.layers import Context, Dense, Dropout, GaussianDropout, Sequential
from cydropout.masks import AlphaMask, ConcreteMask, GaussianMask

campaign = common.Campaign(__file__, __doc__)
THREADS = 16


def pages() -> int:
    """Return the bytes that this process has in memory."""
    path = Path("/proc/self/statm")
    return int(path.read_text().split()[1]) * 4096 if path.exists() else 0


def flat(work, count: int, traced: int, *, slack: int = 2**20) -> str:
    """Work so many times, and compare what is held after the first half of it with the end."""
    def times(n):
        for number in range(n):
            work(number)
        gc.collect()

    tracemalloc.start()
    times(traced)
    before = tracemalloc.get_traced_memory()[0]
    times(traced)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 16_384, f"{grown} bytes more after {traced} times"
    times(count // 2)
    before = pages()
    times(count // 2)
    more = pages() - before
    assert more < slack, f"{more} bytes more of the process after {count // 2} times"
    return (f"{count} times: {more // 1024} KiB more of the process in the second half, "
            f"{grown} bytes of Python's in {traced}")


@campaign.check
def calls(job: Job) -> str:
    """Small calls of all kinds hold nothing."""
    x = job.rng.normal(size=64).astype("f4")
    stream, ctx = MaskStream(0), Context(True, MaskStream(1))
    rates = job.rng.random(64)
    layer = Sequential([Dense(8, activation="relu"), Dropout(0.5)])
    layer.build((64,), 0)

    def work(number):
        kind = number % 8
        if kind < 3:
            dropout(x, (0.5, 0.1, rates)[kind], rng=stream)
        elif kind == 3:
            mask = stream.draw(64, 0.3)
            mask.backward(mask.apply(x))
        elif kind < 7:
            made = stream.make((GaussianMask, AlphaMask, ConcreteMask)[kind - 4], 64, 0.5)
            made.apply(x)
        else:
            y, backward = layer.forward(x[None], ctx)
            backward(y)
        if number % 64 == 0:
            try:
                dropout(x, 2.0, rng=stream)
            except ValueError:
                return

    return flat(work, job.size(16_000, 1_000_000), job.size(2_000, 50_000))


@campaign.check
def models(job: Job) -> str:
    """Models that are made, trained and dropped leave nothing."""
    x, y = job.rng.normal(size=(8, 12)).astype("f4"), np.arange(8) % 3

    def work(number):
        made = trainer(rng=number, optimizer=("sgd", "adam")[number % 2])
        made.fit(x, y, epochs=1, batch_size=4, progress=False)

    return flat(work, job.size(60, 10_000), job.size(20, 500))


@campaign.check
def streams(job: Job) -> str:
    """Threads that share a stream get each draw once."""
    each, stream = job.size(500, 50_000), MaskStream(5)
    start = threading.Barrier(THREADS)

    def work(number):
        start.wait()
        kinds = [lambda: stream.draw(3, 0.5).draw, stream.take,
                 lambda: stream.make(GaussianMask, 3, 0.5).draw]
        return [kinds[k % 3]() for k in range(each)]

    with ThreadPoolExecutor(THREADS) as pool:
        drawn = [draw for found in pool.map(work, range(THREADS)) for draw in found]
    assert sorted(drawn) == list(range(THREADS * each)), "a draw came twice, or never"
    return f"{THREADS} threads took {len(drawn)} draws, each once"


@campaign.check
def one_model(job: Job) -> str:
    """Threads that share a model and a stream compute what one thread does, of other draws."""
    model = Sequential([Dense(33, activation="relu"), Dropout(0.5), GaussianDropout(0.2), Dense(5)])
    model.build((20,), 0)
    x, each = job.rng.normal(size=(17, 20)).astype("f4"), job.size(40, 5_000)
    start, single = threading.Barrier(THREADS), 2  # draws of a pass

    def work(stream, number):
        start.wait()
        return [passed(stream) for _ in range(each)]

    def passed(stream):
        return model.forward(x, Context(True, stream, num_threads=2))[0].tobytes()

    want = {passed(MaskStream.from_state(3, 10 * n)) for n in range(THREADS * each)}
    own = [[MaskStream.from_state(3, 10 * (n * each + k)) for k in range(each)]
           for n in range(THREADS)]

    def own_work(number):
        start.wait()
        return [passed(stream) for stream in own[number]]

    with ThreadPoolExecutor(THREADS) as pool:
        found = [one for ones in pool.map(own_work, range(THREADS)) for one in ones]
        assert len(found) == THREADS * each and set(found) == want, "results differ"
        shared = MaskStream(3)
        found = [one for ones in pool.map(lambda n: work(shared, n), range(THREADS))
                 for one in ones]
    assert shared.next_draw == single * len(found), shared.next_draw
    assert len(set(found)) == len(found), "two passes had the same masks"
    return f"{2 * len(found)} passes of {THREADS} threads: equal to one thread's, no mask twice"


@campaign.check
def short_lives(job: Job) -> str:
    """Threads that call once and end leave no thread and no memory."""
    x = job.rng.normal(size=300_000).astype("f4")
    want, count = dropout(x, 0.5, rng=0, num_threads=1), job.size(60, 1_500)

    def work():
        if not np.array_equal(dropout(x, 0.5, rng=0, num_threads=2), want):
            wrong.append(1)

    def alive():
        path = Path("/proc/self/task")
        return len([*path.iterdir()]) if path.exists() else threading.active_count()

    wrong: list[int] = []
    work()
    before = alive()
    for _ in range(count // 20):
        group = [threading.Thread(target=work) for _ in range(20)]
        for one in group:
            one.start()
        for one in group:
            one.join()
    assert not wrong, f"{len(wrong)} results differ"
    end = time.monotonic() + 5  # a thread that was joined still takes a moment to end
    while alive() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert alive() <= before, f"{alive() - before} threads stayed"
    return f"{count} threads of Python, equal results, none of the system's stayed"


def starved(seed: int, attempts: int) -> None:
    """Call where memory does not suffice; what fails must leave all as it was."""
    import resource

    rng, failed = np.random.default_rng(seed), 0
    x, stream = np.ones(30_000_000, "f4"), MaskStream(0)
    small = np.ones(1000, "f4")
    want = dropout(small, 0.5, rng=9)
    model = network()
    model.build((12,), 0)
    rows = np.ones((2_500_000, 12), "f4")
    mask = Mask(0, 0, x.shape, 0.5)
    kinds = [lambda: dropout(x, 0.5, rng=stream), lambda: stream.draw(x.shape, 0.1),
             lambda: mask.apply(x), lambda: mask.keep,
             lambda: stream.make(GaussianMask, x.shape, 0.5),
             lambda: model.forward(rows, Context(True, stream)),
             lambda: dropout(x, np.full(x.shape, 0.3), rng=stream)]
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    for _ in range(attempts):
        room = int(rng.choice([0, 2**20, 2**24, 2**26, rng.integers(2**28)]))
        used = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
        before, call = stream.next_draw, kinds[rng.integers(len(kinds))]
        resource.setrlimit(resource.RLIMIT_AS, (used + room, hard))
        try:
            call()
        except MemoryError:
            failed += 1
            assert stream.next_draw == before, "a draw was taken"
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        assert np.array_equal(dropout(small, 0.5, rng=9), want)
    assert failed > attempts // 3, f"only {failed} of {attempts} failed"


@campaign.check
def no_memory(job: Job) -> str:
    """An allocation that fails is a MemoryError, takes no draw, and the next call works."""
    if not Path("/proc/self/statm").exists():
        raise Skip("needs /proc to know what a process has")
    attempts = job.size(20, 400)
    process = forked(starved, job.seed, attempts)
    process.join()
    assert process.exitcode == 0, f"it ended by {process.exitcode}"
    return f"{attempts} calls with room for little: MemoryError or right, no draw lost"


if __name__ == "__main__":
    sys.exit(campaign.main())
