"""The team: who helps never changes a result, and workers are not woken again and again in vain."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import cydropout
from cydropout import functional
from cydropout._kernels import api
from cydropout.masks import GaussianMask

X = np.random.default_rng(0).standard_normal(1 << 18).astype("float32")


@pytest.fixture
def two():
    cydropout.set_num_threads(2)
    yield
    api.rehearse(0, False)
    cydropout.set_num_threads(None)


def call(x=X, **options):
    return cydropout.dropout(x, 0.5, rng=0, **options)


def wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def everyone_asleep():
    call()
    wait_until(lambda: api.launcher()["asleep"] == api.launcher()["workers"])


def changes(before):
    return {key: value - before[key] for key, value in api.launcher().items()}


def test_workers_that_come_too_late_are_not_woken_for_every_call(two):
    everyone_asleep()
    api.rehearse(1000, True)
    before = api.launcher()
    for _ in range(1000):
        call()
    seen = changes(before)
    assert seen["teams"] == 1000 and seen["awake"] == 0
    assert 5 < seen["woken"] == seen["in_vain"] < 60


def test_workers_that_come_in_time_are_called_again(two):
    everyone_asleep()
    api.rehearse(1000, True)
    for _ in range(100):
        call()
    assert api.launcher()["credit"] == 0
    api.rehearse(0, False)
    out, before = np.empty_like(X), api.launcher()

    def found_awake():
        for _ in range(100):
            call(out=out)
        return changes(before)["awake"] > 1

    wait_until(found_awake)
    assert api.launcher()["credit"] > 0 and changes(before)["woken"] > 0


def test_long_work_always_wakes_them(two):
    everyone_asleep()
    api.rehearse(1000, True)
    for _ in range(100):
        call()
    late = api.launcher()["late"]
    wait_until(lambda: api.launcher()["asleep"] == api.launcher()["workers"])
    api.rehearse(100 * late, True)  # the first chunk alone takes so long
    before = api.launcher()
    call()
    assert changes(before)["woken"] == 1


def test_small_work_wakes_nobody(two):
    everyone_asleep()
    before = api.launcher()
    api.rehearse(1, False)
    call()
    assert changes(before)["woken"] == 0


SMALL = np.ones((64, 256), "f4")
STEPPED = functional.StepGroup([(SMALL.copy(), np.zeros_like(SMALL), np.zeros_like(SMALL))])


@pytest.mark.parametrize(("call", "teams"), [
    (lambda: cydropout.dropout(SMALL, 0.5, rng=0), 0),
    (lambda: STEPPED.step("adam", [functional.Gradient(SMALL)], learning_rate=0.1), 1),
    (lambda: functional.softmax_dropout(SMALL[None]), 1),
    (lambda: functional.softmax_cross_entropy(SMALL, np.arange(64)), 1),
    (lambda: functional.mean_squared_error(SMALL, SMALL), 1),
    (lambda: GaussianMask(0, 0, SMALL.shape, sigma=1.0).apply(SMALL), 1),
], ids=["dropout", "adam", "softmax", "cross entropy", "squared error", "normals"])
def test_work_that_takes_longer_has_a_team_for_fewer_elements(call, teams, two):
    before = api.launcher()
    call()
    assert changes(before)["teams"] == teams


@pytest.mark.parametrize("deaf", [False, True])
@pytest.mark.parametrize("num_threads", [None, 1, 2, 3, 7])
def test_the_result_does_not_depend_on_who_helps(two, deaf, num_threads):
    everyone_asleep()
    expected = call(num_threads=1)
    api.rehearse(1000, deaf)
    for _ in range(5):
        np.testing.assert_array_equal(call(num_threads=num_threads), expected)


def test_a_team_makes_its_threads_once():
    code = """
import numpy as np, cydropout
from cydropout import functional
from cydropout._kernels import api
from cydropout.masks import GaussianMask
cydropout.set_num_threads(8)
small, large = (np.ones(1 << n, "float32") for n in (17, 22))
for _ in range(50):
    cydropout.dropout(small, 0.5, rng=0)
    cydropout.dropout(large, 0.5, rng=0)
    cydropout.dropout(large, 0.5, rng=0, num_threads=3)
assert api.launcher()["workers"] == 7, api.launcher()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores are chosen on Linux alone")
def test_workers_may_run_where_their_caller_may():
    code = """
import os, time, numpy as np, cydropout
cydropout.set_num_threads(3)
x, every, others = np.ones(1 << 22, "f4"), os.sched_getaffinity(0), {*os.listdir("/proc/self/task")}

def settle(cores):
    os.sched_setaffinity(0, cores)
    end = time.monotonic() + 60
    while True:
        cydropout.dropout(x, .5, rng=0)
        workers = {*os.listdir("/proc/self/task")} - others
        found = [os.sched_getaffinity(int(worker)) for worker in workers]
        if found == 2 * [cores]:
            return
        assert time.monotonic() < end, (cores, found)
        time.sleep(.01)

settle(every)
if len(every) > 1:
    os.sched_setaffinity(0, {min(every)})
    expected = cydropout.dropout(x, .5, rng=0)
    settle(every)
    assert (cydropout.dropout(x, .5, rng=0) == expected).all()
if len(every) > 2:
    settle(every - {max(every)})
"""
    alone = dict(os.environ, OPENBLAS_NUM_THREADS="1")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300, env=alone)


def test_python_threads_that_call_at_once(two):
    expected, wrong = call(num_threads=1), []

    def work():
        for _ in range(50):
            if not np.array_equal(call(), expected):
                wrong.append(True)

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_a_team_of_its_own():
    code = """
import os, numpy as np, cydropout
from cydropout import functional
from cydropout._kernels import api
from cydropout.masks import GaussianMask
x = np.ones(1_000_000, "f4")
y = cydropout.dropout(x, .5, rng=0, num_threads=2)
child = os.fork()
if not child:
    z = cydropout.dropout(x, .5, rng=0, num_threads=2)
    os._exit(0 if (y == z).all() and api.launcher()["workers"] == 1 else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    assert subprocess.run(command, timeout=120, check=False).returncode == 0
