"""Mask: what it says of itself, and what it refuses."""

import copy
import pickle
import threading

import numpy as np
import pytest
import reference

from cydropout import Mask, MaskStream, dropout, masks
from cydropout.masks import InferenceMask


def test_scalar_properties():
    mask = MaskStream(0).draw((10, 100), rate=0.1)
    q = round(0.9 * 2**32)
    assert (mask.rate, mask.shape, mask.draw) == (0.1, (10, 100), 0)
    assert mask.effective_rate == 1 - q / 2**32
    assert mask.scale == 2**32 / q
    assert mask.keep.shape == mask.shape and mask.keep.dtype == bool
    assert mask.nbytes == 4 * 32  # 1000 bits in words of 32
    assert MaskStream(0).draw((10, 100), 0.1, storage="seed").nbytes == 0


def test_properties_of_rates_per_neuron():
    rates = np.linspace(0, 1, 5)
    mask = MaskStream(0).draw((3, 4, 5), rates)
    assert mask.scale.shape == mask.effective_rate.shape == (5,)
    np.testing.assert_allclose(mask.effective_rate, rates, atol=2**-32)
    assert mask.scale[-1] == 0 and mask.scale[0] == 1
    assert MaskStream(0).draw((3, 4, 5), rates[:4, None]).scale.shape == (4, 1)
    assert (MaskStream(0).draw((3, 4, 5), np.full(5, 0.25)).scale == np.full(5, 1 / 0.75)).all()


def test_bits_are_packed_and_read_only():
    mask = MaskStream(0).draw(1000, 0.3)
    np.testing.assert_array_equal(mask.bits, reference.packed(mask.keep))
    with pytest.raises(ValueError, match="read-only"):
        mask.bits[0] = 1


def test_shared_axes_hold_one_mask():
    mask = MaskStream(0).draw((64, 100), 0.5, shared_axes=0)
    assert mask.nbytes == 16
    assert (mask.keep == mask.keep[0]).all()
    assert MaskStream(0).draw((64, 100), 0.5, shared_axes=(-2,)).nbytes == 16


@pytest.mark.parametrize("storage", ["bits", "seed"])
@pytest.mark.parametrize(
    "clone", [copy.copy, copy.deepcopy, lambda mask: pickle.loads(pickle.dumps(mask))]
)
def test_a_copy_is_the_same_map(storage, clone):
    x = np.ones((20, 33), "f4")
    for rate in (0.5, 0.0, np.linspace(0, 1, 33)):
        mask = MaskStream(0).draw(x.shape, rate, storage=storage)
        y = mask.apply(x)
        np.testing.assert_array_equal(clone(mask).apply(x), y)
    mask = InferenceMask(x.shape, 0.5, scaling="classic")
    np.testing.assert_array_equal(clone(mask).apply(x), mask.apply(x))


def test_threads_may_share_a_mask():
    x = np.ones(300_000, "f4")
    want = MaskStream(0).draw(x.shape, 0.3).apply(x)
    mask, results = MaskStream(0).draw(x.shape, 0.3), [None] * 8

    def use(i):
        results[i] = mask.apply(x)

    workers = [threading.Thread(target=use, args=(i,)) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for y in results:
        np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize(
    "options, error, named",
    [
        ({"shape": (3, -1)}, ValueError, "-1"),
        ({"shape": (3, 1.5)}, TypeError, "1.5"),
        ({"shape": "ab"}, TypeError, "ab"),
        ({"scaling": "twice"}, ValueError, "twice"),
        ({"storage": "disk"}, ValueError, "disk"),
        ({"shared_axes": 2}, ValueError, "axis 2"),
        ({"shared_axes": (0, -3)}, ValueError, "axis -3"),
        ({"offset": -1}, ValueError, "-1"),
        ({"offset": 2**64}, ValueError, str(2**64)),
        ({"offset": 0.5}, TypeError, "offset.*0.5"),
        ({"shape": (2**40, 2**40), "rate": 0.5}, ValueError, "too large"),
        ({"shared_axes": 0.0}, TypeError, "shared_axes.*0.0"),
        ({"rate": np.full(4, 0.1), "shared_axes": 1}, ValueError, "shared"),
    ],
)
def test_bad_options_are_named_and_cost_no_draw(options, error, named):
    stream = MaskStream(0)
    with pytest.raises(error, match=named):
        stream.draw(**{"shape": (3, 4), "rate": np.array([0.1, 0.2, 0.3, 0.4]), **options})
    assert stream.next_draw == 0


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(4,\).*\(3,\)"):
        MaskStream(0).draw(3, 0.5).apply(np.ones(4))
    with pytest.raises(ValueError, match=r"\(4,\).*\(3,\)"):
        InferenceMask(3, 0.5).apply(np.ones(4))


def test_repr_names_the_draw():
    text = repr(MaskStream(0).make(Mask, 3, 0.5, offset=7))
    assert "draw=0" in text and "offset=7" in text and "rate=0.5" in text


@pytest.mark.parametrize("axes", [np.int64(0), np.array([0]), [0], (0,), -2])
def test_shared_axes_may_be_any_ints(axes):
    mask = MaskStream(0).draw((5, 9), 0.5, shared_axes=axes)
    assert (mask.keep == mask.keep[0]).all()
    x = np.ones((5, 9))
    np.testing.assert_array_equal(dropout(x, 0.5, rng=0, shared_axes=axes), mask.apply(x))


def test_the_last_elements_of_a_draw():
    offset = 2**64 - 300
    mask = MaskStream(0).draw(300, 0.5, offset=offset)
    kept = reference.keep(mask.key, 0, (300,), 0.5, offset)
    np.testing.assert_array_equal(mask.keep, kept)


def test_rates_for_no_element():
    mask = MaskStream(0).draw((2, 0), [[0.1], [0.5]])
    assert mask.apply(np.ones((2, 0))).shape == (2, 0)
    np.testing.assert_allclose(mask.scale, [[1 / 0.9], [2]])


def test_a_mask_needs_a_key_and_a_draw():
    with pytest.raises(TypeError, match="key .*MaskStream"):
        Mask(MaskStream(0), 0, 3, 0.5)
    for key, draw in [(-1, 0), (2**64, 0), (0, -1), (0, 2**64)]:
        for rate in (0.5, [0.5, 0.1, 0.2]):
            with pytest.raises(ValueError, match=r"(key|draw) .*2\*\*64"):
                Mask(key, draw, (3,), rate)
    with pytest.raises(TypeError, match="MaskStream"):
        MaskStream(MaskStream(0))


SHAPE = (6, 8, 5, 4)
DRAWN = {
    "Mask": (0.4,),
    "AlphaMask": (0.4,),
    "GaussianMask": (0.4,),
    "ConcreteMask": (-0.5,),
    "BlockMask": (0.4, 2),
    "WalkMask": (0.4,),
    "CutoutMask": (0.4,),
    "HeadMask": (0.4,),
    "TokenMask": (5, 1),
    "ColumnMask": (3, 2.0),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_kind_is_a_function_of_key_draw_and_shape(name):
    kind, shape = getattr(masks, name), (6, 8) if name == "ColumnMask" else SHAPE
    x, stream = np.ones(shape, "f4"), MaskStream.from_state(11, 3)
    mask, other = stream.make(kind, shape, *DRAWN[name]), kind(11, 4, shape, *DRAWN[name])
    assert isinstance(mask, masks.BaseMask) and (mask.key, mask.draw) == (11, 3)
    y = mask.apply(x)
    np.testing.assert_array_equal(kind(11, 3, shape, *DRAWN[name]).apply(x), y)
    dx = mask.backward(np.ones_like(y))
    assert not np.array_equal(other.backward(np.ones_like(y)), dx)
    assert mask.dropped_fraction == pytest.approx((dx == 0).mean()) and mask.nbytes > 0
    for twin in (copy.copy(mask), pickle.loads(pickle.dumps(mask))):
        np.testing.assert_array_equal(twin.apply(x), y)
        assert repr(twin) == repr(mask) and repr(mask).startswith(f"{name}(shape=")
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        mask.over((2, 3))
    for key, draw in ((2**64, 0), (0, -1), (1.5, 0), (True, 0)):
        with pytest.raises((TypeError, ValueError), match="key|draw"):
            kind(key, draw, shape, *DRAWN[name])


@pytest.mark.parametrize(
    "mask, share",
    [
        (InferenceMask((2, 4), 0.3), 0.0),
        (InferenceMask((2, 4), 1.0, scaling="classic"), 1.0),
        (masks.ScaleMask((2, 4), 0.3), 0.0),
        (masks.KeepMask((2, 4), np.array([True, False, True, True])), 0.25),
        (masks.FactorMask((2, 4), np.array([1.0, 0.0, 0.0, 2.0])), 0.5),
        (masks.TokenMask.from_indices((2, 4), [[0, 1, 3], [1, 2, 3]]), 0.25),
        (Mask(0, 0, (0, 4), 0.5), 0.0),
        (Mask(0, 0, (2, 4), 0.0), 0.0),
        (Mask(0, 0, (2, 4), 1.0), 1.0),
    ],
)
def test_the_dropped_fraction(mask, share):
    assert mask.dropped_fraction == share


def test_a_rate_of_0_forgets_key_and_draw():
    for name in ("Mask", "AlphaMask", "GaussianMask", "BlockMask", "WalkMask", "HeadMask"):
        mask = getattr(masks, name)(11, 3, SHAPE, 0.0)
        assert mask.key is mask.draw is None


@pytest.mark.thread_unsafe  # counts what one cache of all threads holds
def test_kept_rates_take_little_memory_and_cannot_be_changed():
    from cydropout.masks import bernoulli

    stream = MaskStream(0)
    small, large = np.linspace(0.1, 0.2, 64), np.linspace(0.1, 0.2, 64).reshape(64, 1, 1)
    before = bernoulli._cached_map.cache_info().currsize
    stream.draw((2, 64, 128, 128), large)
    assert bernoulli._cached_map.cache_info().currsize == before
    masks = [stream.draw((2, 64), rate) for rate in (small, small, small.tolist())]
    for mask in masks:
        with pytest.raises(ValueError):
            mask.rate[0] = 0.9
        with pytest.raises(ValueError):
            mask.rate.flags.writeable = True
    small[0] = 0.9
    assert masks[0].rate[0] == 0.1 and stream.draw((2, 64), small).rate[0] == 0.9


@pytest.mark.parametrize("rate", [0.5, 0.3])
def test_elements_draws_and_streams_are_independent(rate):
    """Of pairs that should not know each other, q**2 are both kept, within five deviations."""
    count, q = 2**18, 1 - rate
    streams = [MaskStream(1), MaskStream(2)]
    first, second = (streams[0].draw((count,), rate).keep for _ in range(2))
    other = streams[1].draw((count,), rate).keep
    pairs = [(first[:-lag], first[lag:]) for lag in (1, 2, 31, 32, 128, 2048)]
    for a, b in [*pairs, (first, second), (first, other), (second, other)]:
        both = (a & b).mean()
        assert abs(both - q * q) < 5 * np.sqrt(q * q * (1 - q * q) / a.size)


@pytest.mark.parametrize("rate", [0.5, 0.1])
def test_sqrt_scaling_keeps_the_second_moment(rate):
    x = np.random.default_rng(0).standard_normal(2**18)
    y = MaskStream(4).draw(x.shape, rate, scaling="sqrt").apply(x)
    # y**2 has the mean of x**2, and the variance (3 / q - 1) of a normal x.
    deviation = np.sqrt((3 / (1 - rate) - 1) / x.size)
    assert abs((y * y).mean() - 1) < 5 * deviation
