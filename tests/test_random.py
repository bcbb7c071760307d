"""MaskStream: two integers, handed out once each."""

import copy
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

from cydropout import Mask, MaskStream, dropout
from cydropout.masks import AlphaMask, HeadMask
from cydropout.random import as_stream


def test_the_key_of_an_int():
    key = int(np.random.SeedSequence(7).generate_state(1, "uint64")[0])
    assert MaskStream(7).key == key and MaskStream(7).next_draw == 0
    assert MaskStream(np.int32(7)).key == MaskStream(np.random.SeedSequence(7)).key == key


def test_the_state_returns_to_any_draw():
    stream = MaskStream(3)
    masks = [stream.draw(1000, 0.5).keep for _ in range(3)]
    assert stream.next_draw == 3
    again = MaskStream.from_state(stream.key, 1)
    np.testing.assert_array_equal(again.draw(1000, 0.5).keep, masks[1])
    stream.next_draw = 2
    np.testing.assert_array_equal(stream.draw(1000, 0.5).keep, masks[2])
    assert not (masks[0] == masks[1]).all()


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_a_copy_goes_on_alike(clone):
    stream = MaskStream(3)
    stream.take()
    other = clone(stream)
    assert (other.key, other.next_draw) == (stream.key, 1)
    assert other.take() == 1 and stream.next_draw == 1


def test_every_kind_of_rng():
    x = np.ones(1000, "f4")
    for make in (lambda: 5, lambda: np.random.SeedSequence(5), lambda: np.random.default_rng(5),
                 lambda: MaskStream(5)):
        np.testing.assert_array_equal(dropout(x, 0.5, rng=make()), dropout(x, 0.5, rng=make()))
    assert not np.array_equal(dropout(x, 0.5), dropout(x, 0.5))
    sequence = np.random.SeedSequence(5)
    np.testing.assert_array_equal(dropout(x, 0.5, rng=sequence), dropout(x, 0.5, rng=sequence))
    generator = np.random.default_rng(5)
    assert not np.array_equal(dropout(x, 0.5, rng=generator), dropout(x, 0.5, rng=generator))
    stream = MaskStream(5)
    assert as_stream(stream) is stream


@pytest.mark.parametrize(
    "rng, error", [(-1, ValueError), (1.5, TypeError), ("0", TypeError), (True, TypeError)]
)
def test_a_bad_seed_is_named(rng, error):
    for call in (lambda: MaskStream(rng), lambda: dropout(np.ones(3), 0.5, rng=rng)):
        with pytest.raises(error, match=str(rng)):
            call()


@pytest.mark.parametrize("key, draw", [(-1, 0), (2**64, 0), (0, -1), (0, 2**64)])
def test_a_bad_state_is_named(key, draw):
    with pytest.raises(ValueError, match=r"2\*\*64"):
        MaskStream.from_state(key, draw)


def test_threads_get_every_draw_once():
    stream, taken = MaskStream(0), []
    workers = [
        threading.Thread(target=lambda: taken.extend(stream.take() for _ in range(2000)))
        for _ in range(8)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(taken) == list(range(16_000))


def test_threads_get_every_mask_once():
    stream, masks = MaskStream(0), []
    kinds = [(Mask, 0.5), (AlphaMask, 0.5), (Mask, 0.0), (Mask, [0.1, 0.2, 0.3])]

    def work():
        for kind, rate in 50 * kinds:
            masks.append(stream.make(kind, 3, rate))
            masks.append(stream.draw(3, 0.5))

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    draws = sorted(mask.draw for mask in masks if mask.draw is not None)
    assert draws == list(range(stream.next_draw)) and len(draws) == 8 * 350


def test_a_draw_that_is_gone_meanwhile_is_not_used_twice():
    stream, gone = MaskStream(0), []

    def kind(key, draw, shape):
        if not gone:  # as another thread might, just here
            gone.append(stream.take())
        return Mask(key, draw, shape, 0.5)

    assert stream.make(kind, 3).draw == 1 and gone == [0] and stream.next_draw == 2


def test_several_draws_at_once():
    stream = MaskStream(0)
    assert [stream.take(3), stream.take(0), stream.take()] == [0, 3, 3]
    stream.give_back(1, 2)  # not the last ones
    assert stream.next_draw == 4
    stream.give_back(2, 2)
    assert stream.take() == 2
    for wrong in (-1, 1.5, "2"):
        with pytest.raises((TypeError, ValueError), match="count"):
            stream.take(wrong)
    assert stream.next_draw == 3


def test_a_generator_gives_the_key_of_the_first_mask():
    key = int(np.random.default_rng(5).integers(0, 2**64, dtype=np.uint64))
    for kind in (Mask, AlphaMask, HeadMask):
        stream = MaskStream(np.random.default_rng(5))
        masks = [stream.make(kind, (3, 4), 0.5) for _ in range(2)]
        assert [(mask.key, mask.draw) for mask in masks] == [(key, 0), (key, 1)]


def test_the_last_draw_is_an_error_and_stays_one():
    stream = MaskStream.from_state(1, 2**64 - 1)
    for draw in (lambda: stream.draw(3, 0.5), lambda: stream.make(AlphaMask, 3, 0.5), stream.take,
                 lambda: stream.take(2)):
        with pytest.raises(OverflowError, match="seed"):
            draw()
    assert stream.next_draw == 2**64 - 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_does_not_repeat_its_parent():
    code = (
        "import os, numpy as np, cydropout\n"
        "x = np.ones(64, 'f4'); cydropout.dropout(x, .5)\n"
        "r, w = os.pipe()\n"
        "pid = os.fork()\n"
        "y = cydropout.dropout(x, .5).tobytes()\n"
        "if pid == 0: os.write(w, y); os._exit(0)\n"
        "os.waitpid(pid, 0)\n"
        "assert os.read(r, 256) != y\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_refused_call_leaves_a_generator_alone():
    generator = np.random.default_rng(0)
    before = generator.bit_generator.state
    x = np.ones(3)
    for rate, options, error in (
        (2.0, {}, ValueError), (0.5, {"scaling": "x"}, ValueError),
        (0.5, {"num_threads": 2**40}, ValueError),
    ):
        with pytest.raises(error):
            dropout(x, rate, rng=generator, **options)
    with pytest.raises(ValueError, match="2.0"):
        MaskStream(generator).make(AlphaMask, 3, 2.0)
    dropout(x, 0.0, rng=generator)
    dropout(x, 0.5, rng=generator, training=False)
    assert generator.bit_generator.state == before
