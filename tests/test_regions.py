"""Blocks, walks and holes: their bits, the share they drop, and how the rest is scaled."""

import copy
import itertools
import pickle

import numpy as np
import pytest
import reference
import reference_regions

from cydropout import MaskStream
from cydropout._kernels import api
from cydropout.masks import BlockMask, CutoutMask, KeepMask, WalkMask

KEY, DRAW = 0x299F31D0A4093822, 0x370734413198A2E
THREADS = [1, 2, 3, 5]


def stream():
    return MaskStream.from_state(KEY, DRAW)


def within(values, expected):
    """Whether the mean of independent values is within 5 standard errors."""
    values = np.asarray(values, float).ravel()
    return abs(values.mean() - expected) <= 5 * values.std() / np.sqrt(values.size) + 1e-15


def dropped_by_map(mask, axes=(2, 3)):
    return (~mask.keep).mean(axis=axes)


@pytest.mark.parametrize(
    "shape, axes, shared, block, rate",
    [
        ((5, 3, 28), (2,), (), 7, 0.2),
        ((3, 70, 5), (1,), (), 4, 0.3),
        ((2, 1, 5000), (2,), (), 33, 0.1),
        ((4, 3, 13, 17), (2, 3), (), 3, 0.25),
        ((4, 3, 7, 7), (2, 3), (), 7, 0.5),
        ((4, 3, 5, 6), (2, 3), (), 9, 0.5),
        ((4, 3, 28, 28), (2, 3), (), (1, 7), 0.1),
        ((3, 2, 9, 100), (2, 3), (), (4, 70), 0.3),
        ((4, 5, 20, 31), (2, 3), (1,), 6, 0.2),
        ((3, 11, 13, 7), (1, 2), (), 4, 0.3),
        ((3, 11, 13, 40), (1, 2), (), (2, 5), 0.3),
        ((3, 11, 13, 7), (1, 2), (3,), 4, 0.3),
        ((2, 3, 300, 301), (2, 3), (), 8, 0.15),
        ((33, 40, 8, 8), (2, 3), (), 2, 0.4),
        ((3, 2, 6, 7, 9), (2, 3, 4), (), (2, 3, 4), 0.3),
        ((3, 6, 7, 9, 5), (1, 2, 3), (), 3, 0.3),
    ],
)
def test_blocks_are_those_of_the_seeds(build, shape, axes, shared, block, rate):
    mask = stream().make(BlockMask, shape, rate, block, axes=axes, shared_axes=shared)
    sizes = tuple(shape[a] for a in axes)
    each = block if isinstance(block, tuple) else (block,) * len(sizes)
    lengths = tuple(map(min, each, sizes))
    compact = tuple(1 if a in shared else n for a, n in enumerate(shape))
    count, inner = int(np.prod(compact[: axes[0]])), int(np.prod(compact[axes[-1] + 1 :]))
    q = round((1 - mask.gamma) * 2**32)
    seeds = reference_regions.seeds(KEY, DRAW, count, sizes, lengths, inner, q)
    keep = reference_regions.without_blocks(seeds, lengths)
    assert not keep.all() and keep.any()
    for threads in THREADS:
        mask = stream().make(
            BlockMask, shape, rate, block, axes=axes, shared_axes=shared, num_threads=threads
        )
        np.testing.assert_array_equal(mask.bits, reference.packed(keep))
    np.testing.assert_array_equal(mask.keep, np.broadcast_to(keep.reshape(compact), shape))
    assert mask.effective_rate == pytest.approx(1 - keep.mean())


@pytest.mark.parametrize("block", [1, 3, 4, 7, 8, (2, 5)])
def test_blocks_are_those_of_pytorch(block):
    torch = pytest.importorskip("torch")
    shape, lengths = (3, 4, 15, 17), block if isinstance(block, tuple) else (block, block)
    x = np.random.default_rng(0).standard_normal(shape).astype("f4")
    mask = stream().make(BlockMask, shape, 0.2, block, scaling="batch")
    q = round((1 - mask.gamma) * 2**32)
    seeds = reference_regions.seeds(KEY, DRAW, 12, shape[2:], lengths, 1, q)
    valid = seeds.shape[1:3]
    seeds = torch.from_numpy(seeds.reshape(*shape[:2], *valid).astype("f4"))
    edges = (lengths[1] - 1,) * 2 + (lengths[0] - 1,) * 2
    padded = torch.nn.functional.pad(seeds, edges)
    keep = 1 - torch.nn.functional.max_pool2d(padded, lengths, stride=1)
    expected = torch.from_numpy(x) * keep * keep.numel() / keep.sum()
    np.testing.assert_allclose(mask.apply(x), expected.numpy(), rtol=1e-5)
    np.testing.assert_array_equal(mask.keep, keep.numpy() == 1)


@pytest.mark.parametrize("rate", [0.003, 0.1, 0.5, 0.97])
@pytest.mark.parametrize(
    "sizes, block",
    [((28,), 7), ((9, 9), 3), ((28, 28), 7), ((6, 50), 4), ((7, 7), 7), ((8, 9, 10), 3)],
)
def test_the_share_of_blocks_is_the_rate(sizes, block, rate):
    axes = tuple(range(2, 2 + len(sizes)))
    mask = stream().make(BlockMask, (400, 20, *sizes), rate, block, axes=axes)
    lengths = [min(block, s) for s in sizes]
    share = reference_regions.dropped_share(sizes, lengths, mask.gamma)
    assert mask.rate == pytest.approx(share, rel=1e-9) and abs(mask.rate - rate) < 1e-6
    assert within(dropped_by_map(mask, axes), rate)


@pytest.mark.parametrize("rate, sizes, block", [(0.1, (28, 28), 7), (0.3, (9, 20), 4)])
def test_the_published_gamma(rate, sizes, block):
    mask = stream().make(BlockMask, (300, 10, *sizes), rate, block, gamma="paper")
    h, w = sizes
    gamma = rate * h * w / block**2 / ((h - block + 1) * (w - block + 1))
    assert mask.gamma == pytest.approx(gamma, abs=2**-33)
    share = reference_regions.dropped_share(sizes, (block, block), mask.gamma)
    assert mask.rate == pytest.approx(share) and share < rate
    assert within(dropped_by_map(mask), share)
    assert not stream().make(BlockMask, (3, 2, *sizes), 1.0, block, gamma="paper").keep.any()


@pytest.mark.parametrize("kind", [BlockMask, WalkMask])
def test_maps_are_independent(kind):
    # Shares of walks differ by one cell at most: what two maps have in common counts instead.
    mask = stream().make(kind, (60, 50, 12, 12), 0.3)
    dropped = (~mask.keep).reshape(60, 50, -1)
    for first, second in ((dropped[:, 1:], dropped[:, :-1]), (dropped[1:], dropped[:-1])):
        common = (first & second).mean(-1) - (dropped.mean((0, 1)) ** 2).mean()
        assert abs(common.mean()) < 5 * common.std() / np.sqrt(common.size)
    shared = stream().make(kind, (6, 50, 12, 12), 0.3, shared_axes=1).keep
    assert (shared == shared[:, :1]).all() and not (shared == shared[:1]).all()


@pytest.mark.parametrize("scaling", ["sample", "batch", "inverted", "none"])
@pytest.mark.parametrize("kind", [BlockMask, WalkMask, CutoutMask])
def test_what_is_kept_is_scaled(kind, scaling):
    mask = stream().make(kind, (7, 3, 9, 10), 0.3, scaling=scaling)
    kept = mask.keep.sum((1, 2, 3))
    expected = {
        "sample": 270 / kept, "batch": 7 * 270 / kept.sum(), "inverted": 1 / (1 - mask.rate),
        "none": 1.0,
    }[scaling]
    np.testing.assert_allclose(mask.scale, expected, rtol=1e-15)
    x = np.random.default_rng(0).standard_normal(mask.shape)
    spread = np.reshape(mask.scale, (-1, 1, 1, 1))
    expected = reference.dropout(x, mask.keep, np.broadcast_to(spread, (7, 1, 1, 1)))
    assert mask.apply(x).tobytes() == expected.tobytes() == mask.backward(x).tobytes()


def test_a_sample_without_any_left_is_zero():
    mask = stream().make(BlockMask, (30, 1, 4, 4), 0.6, 4)
    kept = mask.keep.any((1, 2, 3))
    assert kept.any() and not kept.all()
    np.testing.assert_array_equal(mask.scale, np.where(kept, 1.0, 0.0))
    y = mask.apply(np.full(mask.shape, np.nan))
    assert (y[~kept] == 0).all() and np.isnan(y[kept]).all()


@pytest.mark.parametrize(
    "shape, axes, shared, rate, walkers",
    [
        ((3, 4, 7, 9), (2, 3), (), 0.3, 1),
        ((3, 4, 8, 8), (2, 3), (), 0.5, 3),
        ((70, 40, 4, 5), (2, 3), (), 0.2, 2),
        ((3, 4, 30, 70), (2, 3), (1,), 0.1, 64),
        ((3, 9, 7, 5), (1, 2), (), 0.3, 1),
        ((3, 9, 7, 5), (1, 2), (3,), 0.9, 2),
        ((4, 3, 1, 40), (2, 3), (), 0.4, 1),
        ((4, 3, 5, 1), (2, 3), (), 0.99, 1),
        ((300, 3, 1, 1), (2, 3), (), 0.4, 5),
    ],
)
def test_walks_are_those_of_the_words(build, shape, axes, shared, rate, walkers):
    compact = tuple(1 if a in shared else n for a, n in enumerate(shape))
    count, inner = int(np.prod(compact[: axes[0]])), int(np.prod(compact[axes[-1] + 1 :]))
    height, width = (shape[a] for a in axes)
    keep = reference_regions.walks(KEY, DRAW, count, height, width, inner, rate, walkers)
    for threads in THREADS:
        mask = stream().make(WalkMask, shape, rate, walks=walkers, axes=axes, shared_axes=shared,
            num_threads=threads,
        )
        np.testing.assert_array_equal(mask.bits, reference.packed(keep))


@pytest.mark.parametrize("walks", [1, 4])
@pytest.mark.parametrize("rate", [0.02, 0.1, 0.45])
@pytest.mark.parametrize("sizes", [(7, 9), (5, 40)])
def test_every_cell_is_dropped_alike(sizes, rate, walks):
    mask = stream().make(WalkMask, (500, 40, *sizes), rate, walks=walks)
    assert mask.rate == pytest.approx(rate, abs=1e-9)
    counts = (~mask.keep).sum((2, 3))
    cells = sizes[0] * sizes[1]
    assert set(np.unique(counts)) <= {int(rate * cells), int(rate * cells) + 1}
    assert within(counts / cells, rate)
    error = np.sqrt(rate * (1 - rate) / 20000)
    assert (abs((~mask.keep).mean((0, 1)) - rate) < 5 * error).all()
    mean = mask.apply(np.ones(mask.shape)).mean((0, 1))
    np.testing.assert_allclose(mean, 1.0, atol=5 * error / (1 - rate))


def test_a_long_walk_reads_on():
    """Of a walk over all of a map, whose words are many tiles."""
    keep = stream().make(WalkMask, (2, 1, 9, 11), 1 - 1e-12).keep
    assert not keep.any()
    keep = reference_regions.walks(KEY, DRAW, 2, 20, 20, 1, 0.97, 2)
    np.testing.assert_array_equal(
        stream().make(WalkMask, (2, 1, 20, 20), 0.97, walks=2).bits, reference.packed(keep)
    )


@pytest.mark.parametrize("holes", [1, 3])
@pytest.mark.parametrize(
    "shape, axes, options, lengths",
    [
        ((9, 3, 28, 28), (2, 3), {"rate": 0.25}, (14, 14)),
        ((50, 3, 7, 11), (2, 3), {"rate": 0.1}, (2, 3)),
        ((400, 1, 33, 70), (2, 3), {"size": (8, 65)}, (8, 65)),
        ((9, 13, 17, 3), (1, 2), {"size": 5}, (5, 5)),
        ((9, 3, 5, 6), (2, 3), {"size": 40}, (40, 40)),
        ((9, 3, 5, 6), (2, 3), {"size": (2**70, 3)}, (99, 3)),
    ],
)
def test_holes_are_those_of_the_words(build, shape, axes, options, lengths, holes):
    height, width = (shape[a] for a in axes)
    keep = reference_regions.holes(KEY, DRAW, shape[0], height, width, *lengths, holes)
    for threads in THREADS:
        mask = stream().make(
            CutoutMask, shape, axes=axes, holes=holes, num_threads=threads, **options
        )
        np.testing.assert_array_equal(mask.bits, reference.packed(keep))
    channel = 6 - sum(axes)
    np.testing.assert_array_equal(
        mask.keep, np.broadcast_to(np.expand_dims(keep, channel), shape)
    )


@pytest.mark.parametrize("holes", [1, 2])
@pytest.mark.parametrize("sizes, lengths", [((6, 9), (2, 3)), ((7, 5), (5, 4)), ((4, 4), (9, 1))])
def test_the_share_of_holes(sizes, lengths, holes):
    mask = stream().make(CutoutMask, (20000, 1, *sizes), size=lengths, holes=holes)
    covered = np.zeros(sizes)
    for row, column in itertools.product(*map(range, sizes)):
        top, left = row - lengths[0] // 2, column - lengths[1] // 2
        covered[max(0, top) : top + lengths[0], max(0, left) : left + lengths[1]] += 1
    share = (1 - (1 - covered / covered.size) ** holes).mean()
    assert mask.rate == pytest.approx(share, rel=1e-12)
    assert within(dropped_by_map(mask), share)


@pytest.mark.parametrize("bits", [0, 1, 31, 32, 33, 100, 1024, 5003])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_bits_are_counted(build, count, bits):
    kept = np.random.default_rng(bits).random((count, bits)) < 0.7
    for threads in THREADS:
        found = api.count_bits(reference.packed(kept), count, bits, threads)
        np.testing.assert_array_equal(found, kept.sum(1))


MASKS = {
    "BlockMask": lambda **o: stream().make(BlockMask, (5, 3, 12, 10), 0.3, 3, **o),
    "WalkMask": lambda **o: stream().make(WalkMask, (5, 3, 12, 10), 0.3, **o),
    "CutoutMask": lambda **o: stream().make(CutoutMask, (5, 3, 12, 10), 0.3, **o),
}


@pytest.mark.parametrize("scaling", ["sample", "batch"])
@pytest.mark.parametrize("kind", MASKS)
def test_copies_and_brought_bits_are_the_same_map(kind, scaling):
    mask = MASKS[kind](scaling=scaling)
    x = np.random.default_rng(0).standard_normal(mask.shape)
    assert isinstance(mask, KeepMask) and (mask.key, mask.draw) == (KEY, DRAW)
    assert mask.nbytes == mask.bits.nbytes
    for other in (copy.deepcopy(mask), pickle.loads(pickle.dumps(mask))):
        assert repr(other) == repr(mask) and (other.key, other.draw) == (KEY, DRAW)
        np.testing.assert_array_equal(other.apply(x), mask.apply(x))
    brought = mask.with_keep(mask.keep)
    assert brought.key is None and brought.draw is None
    np.testing.assert_array_equal(brought.apply(x), mask.apply(x))
    assert mask.with_keep(np.bool_(False)).apply(x).any() is np.False_
    assert mask.with_keep(np.bool_(True)).scale == pytest.approx(1.0)


@pytest.mark.parametrize("shape", [(0, 3, 5, 6), (3, 0, 5, 6), (3, 4, 0, 6), (3, 4, 5, 0)])
@pytest.mark.parametrize("kind", [BlockMask, WalkMask, CutoutMask])
def test_empty_arrays(kind, shape):
    for scaling in ("sample", "batch", "inverted"):
        mask = stream().make(kind, shape, 0.3, scaling=scaling)
        assert mask.apply(np.empty(shape)).shape == shape and mask.effective_rate == 0.0


@pytest.mark.parametrize("kind", [BlockMask, WalkMask, CutoutMask])
def test_what_cannot_drop_takes_no_draw(kind):
    source = stream()
    for rate in (0.0, 1e-15):
        mask = source.make(kind, (3, 2, 5, 6), rate)
        assert mask.keep.all() and mask.key is None and mask.rate == 0.0
    assert source.next_draw == DRAW


S, M = stream(), (2, 3, 8, 9)


@pytest.mark.parametrize(
    "make, error, named",
    [
        (lambda: BlockMask(None, 0, M, 0.1), TypeError, "key .*None"),
        (lambda: S.make(BlockMask, M, 1.5), ValueError, "1.5"),
        (lambda: S.make(BlockMask, M, [0.1, 0.2]), TypeError, "one rate"),
        (lambda: S.make(BlockMask, M, 0.1, 0), ValueError, "not 0"),
        (lambda: S.make(BlockMask, M, 0.1, (2, 3, 4)), ValueError, r"\(2, 3, 4\)"),
        (lambda: S.make(BlockMask, M, 0.1, 2.5), TypeError, "2.5"),
        (lambda: S.make(BlockMask, M, 0.1, gamma="mean"), ValueError, "'mean'"),
        (lambda: S.make(BlockMask, M, 0.1, scaling="sqrt"), ValueError, "'sqrt'"),
        (lambda: S.make(BlockMask, M, 0.1, axes=()), ValueError, r"\(\)"),
        (lambda: S.make(BlockMask, M, 0.1, axes=(1, 3)), ValueError, r"\(1, 3\)"),
        (lambda: S.make(BlockMask, M, 0.1, axes=(2, 4)), ValueError, "axis 4"),
        (lambda: S.make(BlockMask, M, 0.1, axes=(0, 1)), ValueError, r"\(0, 1\)"),
        (lambda: S.make(BlockMask, (1, 2, 3, 4, 5), 0.1, axes=(1, 2, 3, 4)), ValueError, "not 4"),
        (lambda: S.make(BlockMask, M, 0.1, shared_axes=2), ValueError, r"\(2,\)"),
        (lambda: S.make(BlockMask, M, 0.1, num_threads=-1), ValueError, "-1"),
        (lambda: S.make(WalkMask, M, np.nan), ValueError, "nan"),
        (lambda: S.make(WalkMask, M, 0.1, walks=0), ValueError, "not 0"),
        (lambda: S.make(WalkMask, M, 0.1, walks=65), ValueError, "65"),
        (lambda: S.make(WalkMask, M, 0.1, walks=1.5), TypeError, "1.5"),
        (lambda: S.make(WalkMask, M, 0.1, axes=3), ValueError, "not 1"),
        (lambda: S.make(WalkMask, (1, 1, 2**16, 2**16), 0.1), ValueError, "65536"),
        (lambda: S.make(CutoutMask, M), ValueError, "either"),
        (lambda: S.make(CutoutMask, M, 0.1, size=3), ValueError, "either"),
        (lambda: S.make(CutoutMask, M, -0.5), ValueError, "-0.5"),
        (lambda: S.make(CutoutMask, M, size=(3, 0)), ValueError, r"\(3, 0\)"),
        (lambda: S.make(CutoutMask, M, 0.1, holes=0), ValueError, "not 0"),
        (lambda: S.make(CutoutMask, M, 0.1, holes=1025), ValueError, "1025"),
        (lambda: S.make(CutoutMask, M, 0.1, axes=(1, 2, 3)), ValueError, "not 3"),
        (lambda: S.make(CutoutMask, (1, 0, 2**32, 1), 0.1), ValueError, "4294967296"),
    ],
)
def test_bad_arguments_take_no_draw(make, error, named):
    with pytest.raises(error, match=named):
        make()
    assert S.next_draw == DRAW
