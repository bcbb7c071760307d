"""Samples that each process has by itself, and rows that it reads of what all have."""

from itertools import chain

import numpy as np
import pytest
from parallel_cases import Threads, X, Y, normed, trained

from cydropout import layers
from cydropout.layers import Dense, Sequential
from cydropout.training._batches import ArrayBatches


def dealt(sizes, batch_size, drop_last=False):
    """Where each process has its samples in an order in which one has all of them."""
    total, before = sum(sizes), np.cumsum([0, *sizes])
    own, place = [[] for _ in sizes], 0
    for end in [*range(batch_size, total, batch_size), total]:
        for rank in range(len(sizes)):
            count = before[rank + 1] * end // total - before[rank] * end // total - len(own[rank])
            own[rank] += range(place, place + count)
            place += count
    return own


@pytest.mark.parametrize(("sizes", "options"), [
    ((25, 25), {}), ((30, 20), {"drop_last": True}), ((50,), {}),
    ((10, 17, 23), {"batch_size": 25}),
    ((25, 25), {"accumulate": 2, "make": normed}),
    ((20, 30), {"sample_weight": np.linspace(0, 2, 50)}),
    ((20, 30), {"class_weight": "balanced"}), ((20, 30), {"validation_data": (X, Y)}),
], ids=str)
@pytest.mark.parametrize("own", [False, True])
def test_processes_with_samples_of_their_own(sizes, options, own):
    size = options.get("batch_size", 16)
    rows = dealt(sizes, size)
    assert sorted(chain(*rows)) == list(range(50))
    options = {"batch_size": size, "shuffle": False, **options}
    expected, records, draws = trained(**options)
    if own and {"drop_last", "sample_weight", "class_weight"} & {*options}:
        pytest.skip("for arrays alone")

    def run(comm):
        mine = {**options, "data": [part[rows[comm.rank]] for part in (X, Y)], "sharded": True}
        if "sample_weight" in options:
            mine["sample_weight"] = options["sample_weight"][rows[comm.rank]]
        if own:
            batches = [[one for one in rows[comm.rank] if one // size == step]
                       for step in range(-(-50 // size))]
            mine["data"] = [[(X[one], Y[one]) for one in batches]]
        return trained(comm, **mine)

    for values, own_records, taken in Threads(len(sizes)).run(run):
        assert taken == draws
        for one, other in zip(own_records, records, strict=True):
            assert one == pytest.approx(other, rel=1e-9)
        for one, other in zip(values, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_every_sample_of_a_shard_is_taken_once():
    class Seen(layers.Layer):
        by_rows = True

        def forward(self, x, ctx):
            if ctx.training:
                seen.append((ctx.rows, x[:, 0].astype(int).tolist()))
            return x, lambda dy: dy

    seen, x = [], np.arange(50.0)[:, None].repeat(12, 1)

    def run(comm):
        own = slice(0, 20) if comm.rank == 0 else slice(20, 50)
        trained(comm, data=(x[own], Y[own]), sharded=True, batch_size=16, epochs=1,
                make=lambda: Sequential([Seen(), Dense(3)]))

    Threads(2).run(run)
    assert sorted(chain(*(own for _, own in seen))) == list(range(50))
    assert {total for (_, _, total), _ in seen} == {16, 2}
    assert all(stop - start == len(own) for (start, stop, _), own in seen)
    assert [own for _, own in seen if max(own) < 20] != [list(range(20))]


@pytest.mark.parametrize(("sizes", "options", "words"), [
    ((2, 48), {"batch_size": 8}, "process 0 has 2 of 50 samples, none for batch 1 of 7"),
    ((25, 25), {"batch_size": 49}, "none for batch 2 of 2 .* use drop_last=True"),
    ((25, 25), {"validation_split": 0.2}, "validation_split .* sharded=True"),
    ((25, 25), {"reduction": "ordered"}, "'ordered' cuts .* sharded=True"),
    ((25, 25), {"sharded": 2}, "sharded must be"),
])
def test_shards_that_cannot_serve_are_an_error_for_all(sizes, options, words):
    def run(comm):
        with pytest.raises((ValueError, TypeError), match=words):
            rows = slice(0, sizes[0]) if comm.rank == 0 else slice(sizes[0], 50)
            trained(comm, data=(X[rows], Y[rows]), **{"sharded": True, **options})

    Threads(2).run(run)


def test_shards_of_other_numbers_of_batches_are_an_error_for_all():
    def run(comm):
        with pytest.raises(ValueError, match="give all of them as many batches"):
            batches = ((X[:4], Y[:4]) for _ in range(2 + comm.rank))
            trained(comm, data=(batches,), sharded=True, epochs=1)

    Threads(2).run(run)


def test_a_process_reads_its_rows_alone(tmp_path, monkeypatch):
    taken, of = [], ArrayBatches.of
    monkeypatch.setattr(
        ArrayBatches, "of", lambda self, x, rows: taken.append(len(x)) or of(self, x, rows))
    X.tofile(tmp_path / "x")

    def run(comm):
        x = np.memmap(tmp_path / "x", X.dtype, "r", shape=X.shape)
        return trained(comm, data=(x, Y), batch_size=10, epochs=1)[0]

    found = Threads(2).run(run)
    assert {*taken} == {0, 1, 5} and taken.count(5) == 10
    for one, other in zip(found[0], trained(batch_size=10, epochs=1)[0], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)
