"""What Python threads may share: streams, masks and models; where there is no GIL, too."""

import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from threading import Barrier

import numpy as np
import pytest
from functional_cases import CASES, results
from layer_cases import ROWS, built, draw, training
from mask_cases import MASKS

from cydropout import Mask, MaskStream, dropout
from cydropout.layers import Context, Dropout
from cydropout.masks import BaseMask, GaussianMask

THREADS = 16


def together(work):
    """Return what ``work(i)`` returns in each of the threads, which all begin at once."""
    barrier = Barrier(THREADS)

    def begin(i):
        barrier.wait()
        return work(i)

    with ThreadPoolExecutor(THREADS) as pool:
        return [*pool.map(begin, range(THREADS))]


def same(found, wanted):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


X = np.arange(1.0, 65.0, dtype="f4")
#: Each takes one draw of a stream, and tells by its result which.
TAKERS = {
    "take": lambda stream: stream.take(),
    "draw": lambda stream: stream.draw(3, 0.5).draw,
    "make": lambda stream: stream.make(GaussianMask, 3, 0.5).draw,
    "restoring": lambda stream: stream.restoring(stream.take),
    "dropout": lambda stream: dropout(X, 0.5, rng=stream).tobytes(),
    "layer": lambda stream: Dropout(0.5).forward(X, Context(True, stream))[0].tobytes(),
}


@pytest.mark.parametrize("name", TAKERS)
@pytest.mark.parametrize("seed", [0, np.random.default_rng(0)], ids=["int", "generator"])
def test_each_draw_of_a_stream_is_taken_once(name, seed):
    stream, times = MaskStream(seed), 40
    found = together(lambda _: [TAKERS[name](stream) for _ in range(times)])
    assert stream.next_draw == THREADS * times
    alone = MaskStream.from_state(stream.key, 0)
    wanted = [TAKERS[name](alone) for _ in range(THREADS * times)]
    assert sorted(chain.from_iterable(found)) == sorted(wanted)


def uses(mask, x, dtype):
    """Return all that is made of a mask: its first use comes from any of these."""
    y = mask.apply(x.astype(dtype))
    return [y, mask.backward(np.ones_like(y)), np.asarray(mask), mask.dropped_fraction]


@pytest.mark.parametrize("n", [3, 200])
@pytest.mark.parametrize("name", MASKS)
def test_a_mask_is_first_used_by_all(name, n):
    case, orders = MASKS[name], (("f4", "f8"), ("f8", "f4"))
    mask, other = (case.call(**case.make(n=n)) for _ in range(2))
    x = draw(mask.shape, 0)
    wanted = {dtype: uses(other, x, dtype) for dtype in orders[0]}
    for found in together(lambda i: {dtype: uses(mask, x, dtype) for dtype in orders[i % 2]}):
        for dtype, one in found.items():
            same(one, wanted[dtype])


def test_the_bits_of_a_large_mask():
    x = np.ones(300_000, "f4")
    mask, alone = (Mask(1, 2, x.shape, 0.3) for _ in range(2))
    ways = [lambda: mask.bits, lambda: mask.apply(x), lambda: mask.apply(x, num_threads=1)]
    wanted = [alone.bits, alone.apply(x), alone.apply(x)]
    for i, found in enumerate(together(lambda i: ways[i % 3]())):
        np.testing.assert_array_equal(found, wanted[i % 3])


@pytest.mark.parametrize("name", CASES)
def test_a_function_may_be_called_at_once(name):
    case = CASES[name]
    masks = {key: one for key, one in case.make().items() if isinstance(one, BaseMask)}

    def call(shared):
        given = case.make() | shared
        return [*results(case.call(**given)), *(given[key] for key in case.written if key in given)]

    wanted = call({})
    for found in together(lambda _: call(masks)):
        same(found, wanted)


@pytest.mark.parametrize("contexts", [[Context], [partial(training, n) for n in range(4)]],
                         ids=["inference", "training"])
@pytest.mark.parametrize("name", ROWS)
def test_a_model_may_be_shared(name, contexts):
    layer, x, count = built(ROWS[name]), draw(ROWS[name].shape, 1), len(contexts)
    wanted = [layer.forward(x, make())[0] for make in contexts]
    for i, y in enumerate(together(lambda i: layer.forward(x, contexts[i % count]())[0])):
        np.testing.assert_array_equal(y, wanted[i % count])


FIRST_USE = """
import sys, threading
import cydropout
names = sorted({*dir(cydropout)} - {"onnx", "sklearn", "torch"}) * 2
barrier, failed = threading.Barrier(len(names)), []
def use(name):
    barrier.wait()
    try:
        getattr(cydropout, name)
    except BaseException as error:
        failed.append((name, error))
threads = [threading.Thread(target=use, args=(name,)) for name in names]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not failed, failed
print(getattr(sys, "_is_gil_enabled", lambda: True)())
"""


def test_what_is_loaded_late_may_be_loaded_by_all_and_needs_no_gil():
    done = subprocess.run([sys.executable, "-W", "error", "-c", FIRST_USE], text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(not sysconfig.get_config_var("Py_GIL_DISABLED"))]
