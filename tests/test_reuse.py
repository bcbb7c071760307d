"""Memory of arrays that is kept for the next ones: the same values, bounded, and given back."""

import threading
from contextlib import contextmanager

import numpy as np
import pytest

from cydropout import Trainer
from cydropout.functional import reused_memory
from cydropout.layers import Conv2D, Dense, Flatten, MaxPool2D, Sequential

LARGE = 1 << 16  # floats


def handler():
    return np._core.multiarray.get_handler_name()


def test_an_array_gets_the_memory_of_one_that_died():
    with reused_memory() as memory:
        first = np.empty(LARGE, "f4")
        place = first.ctypes.data
        assert place % 64 == 0 and memory.counts["used"] >= first.nbytes
        del first
        for size in (LARGE, LARGE - LARGE // 16):
            again = np.empty(size, "f4")
            assert again.ctypes.data == place
            del again
        assert memory.counts["reused"] == 2


@pytest.mark.parametrize("size", [LARGE + 1, LARGE // 2, 100])
def test_no_array_gets_memory_of_another_size(size):
    with reused_memory() as memory:
        del (gone := [np.empty(LARGE, "f4")])[:]
        assert np.empty(size, "f4").size == size and not gone
        assert memory.counts["reused"] == 0


def test_zeros_are_zeros():
    with reused_memory() as memory:
        for dtype in ("f4", "i8", "V40000"):
            ones = np.empty(LARGE, dtype)
            ones.view("u1")[...] = 255
            del ones
            assert not np.zeros(LARGE, dtype).view("u1").any()
        assert memory.counts["reused"] == 3


def test_an_array_that_grows_keeps_its_elements():
    with reused_memory():
        array = np.arange(10.0)
        for size in (LARGE, 2 * LARGE, 20):
            array.resize(size, refcheck=False)
            assert (array[:10] == np.arange(10.0)).all()


def test_arrays_outlive_it_and_nothing_else_is_held():
    with reused_memory() as memory:
        kept, gone = np.arange(LARGE), np.arange(LARGE)
        del gone
        assert memory.counts["kept"] == kept.nbytes
    assert memory.counts["kept"] == 0 and (kept == np.arange(LARGE)).all()
    del kept
    assert memory.counts == {**memory.counts, "used": 0, "kept": 0}


def test_what_is_held_is_bounded():
    with reused_memory() as memory:
        for size in np.random.default_rng(0).integers(LARGE // 8, LARGE, 500):
            array = np.empty(size, "f4")
            del array
            counts = memory.counts
            assert counts["used"] + counts["kept"] <= 1.5 * counts["peak"]
        many = [np.empty(LARGE, "u1") for _ in range(300)]
        del many
        assert memory.counts["kept"] <= 128 * LARGE


def test_memory_that_cannot_be_had_is_an_error():
    with reused_memory(), pytest.raises(MemoryError):
        np.empty(1 << 60, "u1")


def test_entered_within_itself_and_within_another_handler():
    assert handler() == "default_allocator"
    with reused_memory() as outer:
        assert handler() == "cydropout"
        with reused_memory() as inner:  # the outer one stays at work
            del (gone := [np.empty(LARGE)])[:]
            assert inner.counts["kept"] == 0 and outer.counts["kept"] > 0 and not gone
        assert handler() == "cydropout"
    assert handler() == "default_allocator"
    with pytest.raises(ValueError, match="of the user"), reused_memory():
        raise ValueError("of the user")
    assert handler() == "default_allocator"


def test_arrays_may_die_in_other_threads():
    with reused_memory() as memory:
        made = [[np.empty(LARGE, "f4") for _ in range(64)] for _ in range(4)]
        team = [threading.Thread(target=part.clear) for part in made]
        for thread in team:
            thread.start()
        for _ in range(200):
            np.empty(LARGE, "f4")
        for thread in team:
            thread.join()
        assert memory.counts["used"] == 0
    assert memory.counts["kept"] == 0


def test_training_takes_it_and_gives_it_back(monkeypatch):
    found = []

    @contextmanager
    def seen():
        with reused_memory() as memory:
            yield
            found.append(memory.counts["reused"])

    def train():
        model = Sequential([Conv2D(8, 3), MaxPool2D(2), Flatten(), Dense(3)])
        trainer = Trainer(model, "softmax_cross_entropy", "adam", rng=0)
        x = np.random.default_rng(0).random((64, 1, 28, 28), "f4")
        trainer.fit(x, np.arange(64) % 3, epochs=2, batch_size=16, progress=False)
        return model.state_dict()

    plain = train()
    monkeypatch.setattr("cydropout.functional.reused_memory", seen)
    again = train()
    assert found and found[0] > 20 and handler() == "default_allocator"
    assert all((plain[name] == again[name]).all() for name in plain)
