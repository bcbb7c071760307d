import ctypes
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from cydropout import functional
from cydropout._kernels import api, blas

A = np.random.default_rng(0).standard_normal((300, 400)).astype("float32")
B = np.random.default_rng(1).standard_normal((400, 500)).astype("float32")


@pytest.fixture
def shared():
    with functional.shared_threads() as one_pool:
        if not one_pool:
            pytest.skip("this NumPy's BLAS takes no threads of others")
        yield


def lent():
    try:
        callback = ctypes.c_void_p.in_dll(blas._library(), "openblas_threads_callback_")
    except ValueError:
        pytest.skip("this OpenBLAS does not say whose threads it has")
    return bool(callback.value)


def test_products_are_the_same_to_the_bit(shared):
    inside = A @ B
    with_kernels = A @ functional.dropout(B, 0.0)
    blas._lend(None)
    np.testing.assert_array_equal(inside, A @ B)
    np.testing.assert_array_equal(with_kernels, inside)


def test_leaving_the_last_context_gives_blas_its_threads_back(shared):
    assert lent()
    with functional.shared_threads() as again:
        assert again and lent()
    assert lent()
    blas._state["users"] -= 1
    try:
        with functional.shared_threads():
            assert lent()
        assert not lent()
    finally:
        blas._state["users"] += 1


def test_an_error_inside_gives_them_back_too():
    with functional.shared_threads() as one_pool:
        if not one_pool:
            pytest.skip("this NumPy's BLAS takes no threads of others")
    with pytest.raises(KeyError), functional.shared_threads():
        raise KeyError
    assert not lent()


def test_threads_that_multiply_at_once_do_not_mix_their_buffers(shared):
    expected, wrong = A @ B, []

    def work():
        for _ in range(20):
            if not np.array_equal(A @ B, expected):
                wrong.append(True)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_multiplies():
    script = """
import os, numpy as np
from cydropout import functional
a = np.ones((400, 400), "float32")
with functional.shared_threads():
    functional.dropout(np.ones(10**6, "float32"), 0.5, num_threads=2)
    a @ a
    child = os.fork()
    if not child:
        with functional.shared_threads() as one_pool:
            os._exit(int(one_pool or (a @ a)[0, 0] != 400))
    raise SystemExit(os.waitpid(child, 0)[1])
"""
    command = [sys.executable, "-W", "ignore", "-c", script]
    assert subprocess.run(command, timeout=120, check=False).returncode == 0


@pytest.mark.parametrize("other", ["np.linalg.inv(square)", "square @ square"])
def test_threads_that_blas_has_of_its_own_go_on_beside_those_it_is_lent(other):
    script = f"""
import threading, time, numpy as np
from cydropout import functional
rng = np.random.default_rng(0)
square = rng.standard_normal((500, 500)).astype("f4")
small = rng.standard_normal((200, 200)).astype("f4")
end = time.monotonic() + 3

def beside():
    while time.monotonic() < end:
        {other}

thread = threading.Thread(target=beside)
thread.start()
expected = small @ small
while time.monotonic() < end:
    with functional.shared_threads():
        assert np.array_equal(small @ small, expected)
thread.join()
"""
    command = [sys.executable, "-W", "ignore", "-c", script]
    subprocess.run(command, timeout=120, check=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_that_was_forked_inside_leaves_nothing_lent(shared):
    script = """
import os
from cydropout import functional
from cydropout._kernels import blas
child = -1
with functional.shared_threads():
    child = os.fork()
if not child:
    with functional.shared_threads():
        pass
    os._exit(blas._state["users"] != 0)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    command = [sys.executable, "-W", "ignore", "-c", script]
    assert subprocess.run(command, timeout=120, check=False).returncode == 0


def test_how_many_threads_blas_has_stays_as_it_was():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    for limit in (1, 2):
        with threadpoolctl.threadpool_limits(limit, user_api="blas"):
            before = blas.num_threads()
            with functional.shared_threads():
                assert blas.num_threads() == before
                assert (A @ B).shape == (300, 500)
            assert blas.num_threads() == before


def test_beside_another_blas_the_pools_stay_apart(monkeypatch):
    monkeypatch.setattr(blas, "_function", lambda *wanted: None)
    with functional.shared_threads() as one_pool:
        assert not one_pool and not blas._state["users"]


@pytest.mark.parametrize(
    ("name", "level", "said"),
    [("Haswell", 4, True), ("SkylakeX", 4, False), ("Haswell", 3, False), ("Unheard", 4, False),
     (None, 4, False)],
)
def test_info_says_where_blas_does_less_than_the_cpu_can(monkeypatch, name, level, said):
    monkeypatch.setattr(blas, "core", lambda: name)
    monkeypatch.setattr(api, "CPU_LEVEL", level)
    config = functional.show_config("dicts")
    assert ("faster products" in config) == said
    assert config["BLAS kernels"] == (name or "not an OpenBLAS")
    if said:
        advice = config["faster products"]
        assert "OPENBLAS_CORETYPE" in advice and name in advice
