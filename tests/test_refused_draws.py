"""A call that is refused, or fails, takes no draw; and an empty array takes those of a full one."""

from dataclasses import replace
from threading import Thread

import numpy as np
import pytest
from layer_cases import ROWS
from mask_cases import MASKS

from cydropout import MaskStream, dropout, functional, layers, masks
from cydropout._kernels import api
from cydropout.layers import Context, Dense, Dropout, Layer, Sequential

RANDOM = [name for name, row in ROWS.items() if row.random]
ALLOCATORS = [*((np, name) for name in ("empty", "empty_like", "zeros", "ones")), (api, "new_like")]


class Refusing(Layer):
    """Gives whole numbers, which no layer behind it takes."""

    def forward(self, x, ctx):
        return x.astype("i8"), lambda dy: dy


def built(name):
    row = ROWS[name]
    layer = row.make()
    layer.build(row.shape[1:], 0)
    return layer, np.ones(row.shape, "f4")


def failing_at(monkeypatch, count):
    """Let allocation number ``count`` from now on fail; return how many came."""
    came = [0]

    def failing(function):
        def allocate(*args, **options):
            came[0] += 1
            if came[0] > count:
                raise MemoryError(f"allocation {came[0]}")
            return function(*args, **options)
        return allocate

    for module, name in ALLOCATORS:
        monkeypatch.setattr(module, name, failing(getattr(module, name)))
    return came


def every_failure(call, stream, monkeypatch):
    """Have each allocation of a call fail in turn; none may move the stream."""
    at, count, done = stream.next_draw, 0, False
    while not done:
        with monkeypatch.context() as patch:
            failing_at(patch, count)
            try:
                call()
                done = True
            except MemoryError:
                pass
        assert done or stream.next_draw == at, f"allocation {count + 1}"
        count += 1
    return count


@pytest.mark.parametrize("name", RANDOM)
def test_a_layer_whose_memory_does_not_suffice(name, monkeypatch):
    layer, x = built(name)
    stream = MaskStream(0)
    ctx = Context(True, stream)
    want = layer.forward(x, ctx)[0]
    moved, stream.next_draw = stream.next_draw, 0
    assert moved
    assert every_failure(lambda: layer.forward(x, ctx), stream, monkeypatch) > 1
    assert stream.next_draw == moved
    stream.next_draw = 0
    np.testing.assert_array_equal(layer.forward(x, ctx)[0], want)


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("wrong", [
    lambda x: x.astype("i8"), lambda x: x > 0, lambda x: x.astype("c8"),
    lambda x: x.astype("O"), lambda x: np.ones((*x.shape, 3), "M8[s]")])
def test_a_layer_that_refuses_its_input(name, wrong):
    layer, x = built(name)
    stream = MaskStream(0)
    with pytest.raises((TypeError, ValueError)):
        layer.forward(wrong(x), Context(True, stream))
    assert stream.next_draw == 0


@pytest.mark.parametrize("name", RANDOM)
def test_a_model_of_which_a_later_layer_refuses(name):
    layer, x = built(name)
    for behind in ([Refusing(), Dropout(0.5)], [Dense(3)], [Refusing(), Dense(3)]):
        for fuse in (True, False):
            stream = MaskStream(0)
            model = Sequential([Sequential([layer]), *behind], fuse=fuse)
            with pytest.raises((TypeError, RuntimeError)):
                model.forward(x, Context(True, stream))
            assert stream.next_draw == 0


@pytest.mark.parametrize("name", RANDOM)
def test_an_unbuilt_layer(name):
    row, stream = ROWS[name], MaskStream(0)
    try:
        row.make().forward(np.ones(row.shape, "f4"), Context(True, stream))
    except (RuntimeError, ValueError):
        assert stream.next_draw == 0
    else:
        assert not built(name)[0].parameters()


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "2", 10**9, np.array([1, 2])])
def test_a_number_of_threads(wrong):
    stream = MaskStream(0)
    with pytest.raises((TypeError, ValueError), match="num_threads"):
        Dropout(0.5).forward(np.ones(3), Context(True, stream, num_threads=wrong))
    with pytest.raises((TypeError, ValueError), match="num_threads"):
        Dropout(0.5).forward(np.ones(3), replace(Context(True, stream), num_threads=wrong))
    with pytest.raises((TypeError, ValueError), match="num_threads"):
        dropout(np.ones(3), 0.5, rng=stream, num_threads=wrong)
    with pytest.raises((TypeError, ValueError), match="num_threads"):
        functional.standout(np.ones(3), rng=stream, num_threads=wrong)
    assert stream.next_draw == 0


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_that_cannot_be_made(name, monkeypatch):
    case = MASKS[name]
    given = case.make()
    if "key" not in given:
        pytest.skip("draws nothing")
    del given["key"], given["draw"]
    kind, shape = case.call, given.pop("shape")
    stream = MaskStream(0)
    for argument, values in case.outside.items():
        for value in values if argument not in ("key", "draw") else ():
            with pytest.raises((TypeError, ValueError)):
                stream.make(kind, shape, **{**given, argument: value})
    for wrong in ((-1, 2), 1.5, "x", (2**40, 2**40)):
        with pytest.raises((TypeError, ValueError, MemoryError)):
            stream.make(kind, wrong, **given)
    assert stream.next_draw == 0
    for fresh in (stream, MaskStream(np.random.default_rng(0))):
        every_failure(lambda fresh=fresh: fresh.make(kind, shape, **given), fresh, monkeypatch)
        assert fresh.next_draw == 1


@pytest.mark.parametrize("wrong", [
    {"rate": -1}, {"rate": True}, {"rate": "0.5"}, {"rate": [0.5, 0.5]}, {"shared_axes": 1.5},
    {"shared_axes": 5}, {"scaling": "x"}, {"out": np.ones(2)}, {"out": "x"}, {"num_threads": 0},
    {"training": 1}, {"x": np.ones(3, int)}, {"x": np.ma.masked_array(np.ones(3))}, {"x": "x"},
    {"x": np.broadcast_to(np.float32(1), 2**58)},
])
def test_a_call_that_is_refused(wrong):
    stream = MaskStream(0)
    given = {"x": np.ones((3,)), "rate": 0.5, "rng": stream}
    with pytest.raises((TypeError, ValueError, MemoryError)):
        dropout(**{**given, **wrong})
    if "x" in wrong and not np.ma.isMaskedArray(wrong["x"]):
        with pytest.raises((TypeError, ValueError, MemoryError)):
            functional.standout(wrong["x"], rng=stream)
    assert stream.next_draw == 0


@pytest.mark.parametrize("x", [np.ones((3, 4)), np.ones((3, 4))[:, ::2], np.ones((3, 4), ">f4")])
def test_a_call_whose_memory_does_not_suffice(x, monkeypatch):
    stream = MaskStream(0)
    for call, least in (
        (lambda: dropout(x, 0.5, rng=stream), 1), (lambda: functional.standout(x, rng=stream), 3),
        (lambda: dropout(x, np.linspace(0.2, 0.4, x.shape[-1]), rng=stream), 1),
    ):
        stream.next_draw = 0
        assert every_failure(call, stream, monkeypatch) >= least
        assert stream.next_draw == 1


def test_draws_of_other_threads_are_not_given_back():
    stream = MaskStream(0)

    def fail(with_another):
        stream.take()
        if with_another:
            other = Thread(target=stream.take)
            other.start()
            other.join()
        raise MemoryError

    for with_another, left in ((False, 0), (True, 2), (False, 2)):
        with pytest.raises(MemoryError):
            stream.restoring(fail, with_another)
        assert stream.next_draw == left


def test_a_layer_gives_back_no_draw_but_its_own():
    class Failing(Dropout):
        def mask(self, shape, ctx):
            other = Thread(target=ctx.stream.take)
            other.start()
            other.join()
            raise MemoryError

    stream = MaskStream(0)
    with pytest.raises(MemoryError):
        Failing(0.5).forward(np.ones(3), Context(True, stream))
    assert stream.next_draw == 1


def test_an_update_takes_a_draw_only_if_it_runs(monkeypatch):
    stream = MaskStream(0)
    update = layers.RecurrentDropout(0.5).update
    one, ctx = np.ones((2, 3)), Context(True, stream)
    assert every_failure(
        lambda: update(one, one, one, one, ctx), stream, monkeypatch) > 1
    assert stream.next_draw == 1


SHAPES = [(0,), (0, 3), (3, 0), (0, 0), (2, 0, 3), (2, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", [
    float, lambda rate: np.float32(rate), lambda rate: np.array(rate), lambda rate: [rate],
    "units", "all", "one"])
@pytest.mark.parametrize("rate", [0.5, 0.0, 1.0])
def test_every_form_of_a_rate_takes_the_same_draws(rate, form, shape):
    forms = {"units": shape[-1:], "all": shape, "one": (1,) * len(shape)}
    given = np.full(forms[form], rate) if isinstance(form, str) else form(rate)
    if rate == 0 and np.size(given) == 0:
        pytest.skip("no rate is 0 there")
    counts = []
    for call in (
        lambda stream: dropout(np.ones(shape), given, rng=stream),
        lambda stream: dropout(np.ones(shape), given, rng=stream, shared_axes=()),
        lambda stream: stream.draw(shape, given),
        lambda stream: stream.draw(shape, given, storage="seed"),
        lambda stream: Dropout(given).forward(np.ones(shape), Context(True, stream)),
        lambda stream: layers.GaussianDropout(given).forward(
            np.ones(shape), Context(True, stream)) if rate < 1 else stream.take(),
        lambda stream: stream.make(masks.GaussianMask, shape, sigma=given),
    ):
        stream = MaskStream(0)
        call(stream)
        counts.append(stream.next_draw)
    assert counts == [int(rate > 0)] * len(counts)


@pytest.mark.parametrize("name", RANDOM)
def test_a_batch_of_none_takes_the_draws_of_any(name):
    counts = []
    for samples in (ROWS[name].shape[0], 0):
        layer, x = built(name)
        stream = MaskStream(0)
        layer.forward(x[:samples], Context(True, stream))
        counts.append(stream.next_draw)
    assert counts[0] == counts[1]


class Unbuildable(Layer):
    def build(self, input_shape, rng=None, dtype=None):
        raise MemoryError


def test_a_model_that_cannot_be_built():
    stream = MaskStream(0)
    for layer, error in ((Unbuildable(), MemoryError), (layers.Conv2D(2, 3), ValueError)):
        with pytest.raises(error):
            Sequential([Dense(2), layer]).build((3,), stream)
        assert stream.next_draw == 0
    Sequential([Dense(2)]).build((3,), stream)
    assert stream.next_draw == 1
