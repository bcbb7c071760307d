"""Random calls of functions, masks and layers against their references in plain NumPy.

``python tests/campaign/fuzz.py --calls 1000000 --seconds 1e9`` is the long form; ``--seconds 600``
goes on for that long from ``--seed``. Each call has a number, with which ``--only NUMBER`` repeats
it. Layouts, dtypes, rates, axes, offsets up to 2**64, threads and places for results are drawn, and
lengths of 0 and of more than a tile; and odd arguments of functions, masks and the trainer, which
must be taken, or refused by name with nothing changed.
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable

import common
import numpy as np
import reference
import reference_attention
import reference_cells
import reference_drop_connect
import reference_noise
import reference_sequence
import reference_submatrix
import reference_transformer
from draws import DTYPES, Draws, close, same
from refusals import odd_arguments, odd_training
from test_layers import ROWS

from cydropout import Mask, MaskStream, dropout, functional, layers, masks

TARGETS: dict[str, Callable[[Draws], None]] = {}


def target(function: Callable[[Draws], None]) -> Callable[[Draws], None]:
    """Enter a function that makes one random call, and raises where its result is wrong."""
    TARGETS[function.__name__] = function
    return function


@target
def a_mask(d: Draws) -> None:
    """Compare `Mask.apply`, in any place and layout."""
    mask, keep, scale = d.mask(d.shape())
    x = d.values(mask.shape, d.one_of(*DTYPES), odd=True)
    want, laid = reference.dropout(x, keep, scale), d.laid(x)
    out, _ = d.place(laid)
    y = d.one_of(mask.apply, mask.backward)(laid, out=out, num_threads=d.threads())
    assert out is None or y is out
    assert y.dtype == laid.dtype and (out is not None or not np.shares_memory(y, laid))
    same(y, want)
    same(mask.keep, keep)


@target
def a_call(d: Draws) -> None:
    """Compare `dropout`, and what it takes of the stream."""
    shape = d.shape()
    shared = tuple(a for a in range(len(shape)) if d.rng.random() < 0.15)
    rate, (key, draw) = d.rate(shape, shared), d.source()
    stream = MaskStream.from_state(key, min(draw, 2**64 - 2))
    x = d.values(shape, d.one_of(*DTYPES), odd=True)
    keep = reference.keep(key, stream.next_draw, shape, rate, 0, shared)
    want, before = reference.dropout(x, keep, reference.scale(rate)), stream.next_draw
    laid = d.laid(x)
    out, _ = d.place(laid)
    y = dropout(laid, rate, rng=stream, shared_axes=shared, out=out, num_threads=d.threads())
    same(y, want)
    nothing = np.size(rate) > 0 and bool((reference.threshold(rate) == reference.ONE).all())
    assert stream.next_draw == before + (not nothing)


@target
def noise(d: Draws) -> None:
    """Compare Gaussian and concrete noise, and the gradients of their parameters."""
    shape, (key, draw) = d.shape(1, 3, 500), d.source()
    size = int(np.prod(shape))
    offset = int(d.one_of(0, 3, 2**32 - 1, 2**61 - max(size, 1)))  # whole words end there
    dtype, odd = d.one_of(np.float32, np.float64), d.rng.random() < 0.3
    parameter = d.rng.random(d.one_of((), shape[-1:], (1,) * len(shape))) + 0.1
    options = {"offset": offset, "storage": d.one_of("values", "seed")}
    if odd:
        n = reference_noise.logistics(key, draw, offset, size).reshape(shape)
        mask = masks.ConcreteMask(key, draw, shape, parameter, temperature=0.5, **options)
        factor, slope = reference_noise.concrete(n, parameter, 0.5)
    else:
        n = reference.normals(key, draw, offset, size).reshape(shape)
        mask = masks.GaussianMask(key, draw, shape, sigma=parameter, **options)
        factor, slope = reference_noise.gaussian(n, parameter)
    x, dy = d.values(shape, dtype), d.values(shape, dtype)
    close(mask.apply(d.laid(x), num_threads=d.threads()), x * factor, np.float32, 3)
    dx, dparameter = mask.gradients(d.laid(x), dy, num_threads=d.threads())
    close(dx, dy * factor, np.float32, 3)
    want = reference_noise.summed(dy.astype("f8") * x * slope, parameter.shape)
    close(dparameter, want, np.float32, 100)


@target
def regions_heads_and_subsets(d: Draws) -> None:
    """Compare that masks of any shape keep and scale what they say."""
    shape, (key, draw) = d.shape(4, 4, 3000), d.source()
    rate = float(d.rate(()))
    kind = d.one_of("block", "walk", "cutout", "head", "subset")
    if kind == "subset":
        rows, size = shape[:2]
        count = int(d.rng.integers(0, size + 1))
        want = reference_sequence.subset(key, draw, rows, size, count)
        same(masks.subset(key, draw, rows, size, count, num_threads=d.threads()), want)
        return
    mask = {
        "block": lambda: masks.BlockMask(key, draw, shape, rate, d.one_of(1, 3, 2**40)),
        "walk": lambda: masks.WalkMask(key, draw, shape, rate, walks=d.one_of(1, 5)),
        "cutout": lambda: masks.CutoutMask(key, draw, shape, rate, holes=d.one_of(1, 3)),
        "head": lambda: masks.HeadMask(key, draw, shape, rate),
    }[kind]()
    x = d.values(shape, d.one_of(*DTYPES), odd=True)
    scale = np.asarray(mask.scale)
    y, keep = mask.apply(d.laid(x), num_threads=d.threads()), mask.keep
    same(y, reference.dropout(x, keep, scale.reshape(-1, 1, 1, 1) if scale.ndim else scale))
    if kind == "head":
        same(keep, reference.keep(key, draw, shape, rate, 0, (2, 3)))
    if rate in (0.0, 1.0) and keep.size:
        assert keep.all() if rate == 0 else not keep.any()


@target
def zoneout_and_gates(d: Draws) -> None:
    """Compare zoneout and the gated update, of float32 to the bit."""
    mask, keep, scale = d.mask(d.shape(1, 3))
    dtype = d.one_of(np.float32, np.float64)
    inputs = [d.values(mask.shape, dtype) for _ in range(5)]
    laid, threads = [d.laid(x) for x in inputs], {"num_threads": d.threads()}
    same(functional.zoneout(*laid[:2], mask, **threads), np.where(keep, *inputs[:2]))
    for got, want in zip(functional.zoneout_backward(laid[0], mask, **threads),
                         reference_sequence.zoneout_backward(inputs[0], keep), strict=True):
        same(got, want)
    close(functional.gated_update(*laid[:4], mask, **threads),
          reference_sequence.gated_update(*inputs[:4], keep, scale), dtype, 100)
    want = reference_sequence.gated_update_backward(*inputs, keep, scale)
    got = functional.gated_update_backward(*laid, mask, **threads)
    for one, other in zip(got, want, strict=True):
        close(one, other, dtype, 100)


@target
def tables(d: Draws) -> None:
    """Compare rows picked from a table, and the sums of their gradients."""
    rows, columns = max(d.length(), 1), d.length()
    dtype, index = d.one_of(np.float32, np.float64), d.rng.integers(0, rows, d.shape(0, 2, 300))
    kind = d.one_of("none", "rows", "elements")
    key, draw = d.source()
    mask = None if kind == "none" else Mask(
        key, draw, (rows, columns), d.rng.random(), shared_axes=(1,) if kind == "rows" else ())
    table = d.values((rows, columns), dtype)
    masked = table if mask is None else mask.apply(table)
    laid = d.laid(index.astype(d.one_of("i8", "i4", "u2", "u8")))
    same(functional.gather(d.laid(table), laid, mask, num_threads=d.threads()), masked[index])
    dy, out = d.values((*index.shape, columns), dtype), d.values((rows, columns), dtype)
    want, total = out.astype("f8"), np.zeros(out.shape)
    np.add.at(total, index.ravel(), dy.reshape(index.size, columns).astype("f8"))
    want += total if mask is None else mask.backward(total)
    functional.scatter_add(d.laid(dy), laid, out, mask, num_threads=d.threads())
    close(out, want, dtype, 300)


@target
def rows(d: Draws) -> None:
    """Compare layer normalization, softmax and the cross entropy."""
    shape, dtype = (*d.shape(1, 2, 400), max(d.length(), 1)), d.one_of(np.float32, np.float64)
    x, dy, threads = d.values(shape, dtype), d.values(shape, dtype), {"num_threads": d.threads()}
    weight, bias = d.values(shape[-1:], dtype), d.values(shape[-1:], dtype)
    y, statistics = functional.layer_norm(
        d.laid(x), d.laid(weight), d.laid(bias), epsilon=0.1, **threads)
    close(y, reference_transformer.layer_norm(x, weight, bias, 0.1)[0], dtype, 30)
    got = functional.layer_norm_backward(
        d.laid(dy), d.laid(x), d.laid(statistics), d.laid(weight), **threads)
    for one, want in zip(got, reference_transformer.layer_norm_backward(dy, x, weight, 0.1),
                         strict=True):
        close(one, want, dtype, 1000)
    mask, keep, factor = d.mask(shape, scaling="inverted")
    allowed, causal = d.rng.random(shape[-1:]) < 0.8, bool(d.rng.integers(2))
    options = {"attention_mask": allowed, "causal": causal, "scale": 0.5, **threads}
    seen = reference_attention.seen(shape, allowed, causal)
    y, statistics = functional.softmax_dropout(d.laid(x), mask, **options)
    want = reference_attention.softmax_dropout(x, keep, factor, seen, 0.5)
    most = np.max(factor, initial=1)
    close(y / most, want / most, dtype, 30)
    dx = functional.softmax_dropout_backward(
        d.laid(dy), d.laid(x), d.laid(statistics), mask, **options)
    want, size = reference_attention.softmax_dropout_backward(dy, x, keep, factor, seen, 0.5)
    close(dx / (1 + size), want / (1 + size), dtype, 30)
    if x.size:
        labels = d.rng.integers(0, shape[-1], shape[:-1])
        loss, dlogits, right = functional.softmax_cross_entropy(
            d.laid(x), d.laid(labels.astype(d.one_of("i8", "u1", "i4"))), **threads)
        p = reference_attention.softmax(x, np.ones(shape, bool)).reshape(-1, shape[-1])
        at = np.arange(len(p)), labels.ravel()
        close(loss, -np.log(p[at]).mean(), dtype, 30)
        assert right == (x.reshape(p.shape).argmax(axis=1) == labels.ravel()).mean()
        p[at] -= 1
        close(dlogits, (p / len(p)).reshape(shape), dtype, 30)


@target
def columns(d: Draws) -> None:
    """Compare the statistics of columns, and their normalisation."""
    shape, dtype = (d.length(), d.length()), d.one_of(np.float32, np.float64)
    x, threads = d.values(shape, dtype), {"num_threads": d.threads()}
    mean, variance = functional.moments(x, **threads)
    if len(x):
        close(mean, x.mean(axis=0, dtype="f8"), dtype, 10)
        close(variance, x.var(axis=0, dtype="f8"), dtype, 100)
    gamma, beta = d.values(shape[1:], dtype), d.values(shape[1:], dtype)
    y, done = functional.normalise(
        x, d.laid(mean), d.laid(variance), d.laid(gamma), d.laid(beta), epsilon=0.1, **threads)
    z = (x - mean) / np.sqrt(variance + 0.1)
    close(y, z * gamma + beta, dtype, 100)
    dy = d.values(shape, dtype)
    _, dgamma, dbeta = functional.normalise_backward(dy, done, **threads)
    close(dgamma, (dy * z).sum(axis=0, dtype="f8"), dtype, 1000)
    close(dbeta, dy.sum(axis=0, dtype="f8"), dtype, 1000)


@target
def products(d: Draws) -> None:
    """Compare DropConnect with a mask of each row, to the bit, and parts of matrices."""
    n, inputs, units = (min(d.length(), 40) for _ in range(3))
    dtype, (key, draw), rate = d.one_of(np.float32, np.float64), d.source(), d.rng.random()
    x, weight, dy = (d.values(s, dtype) for s in ((n, inputs), (inputs, units), (n, units)))
    mask = Mask(key, draw, (n, inputs, units), rate, storage=d.one_of("bits", "seed"))
    threads = {"num_threads": d.threads()}
    same(functional.dropconnect(d.laid(x), d.laid(weight), mask, **threads),
         reference_drop_connect.forward(x, weight, mask.keep, mask.scale))
    got = functional.dropconnect_backward(d.laid(dy), d.laid(x), d.laid(weight), mask, **threads)
    for one, want in zip(got, reference_drop_connect.backward(
            dy, x, weight, mask.keep, mask.scale), strict=True):
        same(one, want)
    own = [np.flatnonzero(d.rng.random(length) < 0.5) if d.rng.integers(2) else None
           for length in (inputs, units)]
    part = functional.Submatrix((inputs, units), *own)
    block = functional.gather_submatrix(weight, part, **threads)
    same(block, reference_submatrix.picked(weight, *own))
    whole = functional.scatter_submatrix(block, np.zeros_like(weight), part, **threads)
    same(whole, reference_submatrix.spread(block, weight.shape, *own) if weight.size else whole)


@target
def windows(d: Draws) -> None:
    """Compare windows over maps, as rows and back, and what pools make of them."""
    n, height, width, channels = (min(d.length(), 9) for _ in range(4))
    dtype, size, strides = d.one_of(np.float32, np.float64), *(
        (d.one_of(1, 2, 3), d.one_of(1, 2, 4)) for _ in range(2))
    before = tuple(int(d.rng.integers(0, s)) for s in size)
    counts = tuple(
        int(d.rng.integers(0, max((m - 1 + b) // s + 1, 0) + 1)) if m else 0
        for m, b, s in zip((height, width), before, strides, strict=True))
    lay = functional.Windows((height, width), size, strides, before, counts)
    x, threads = d.values((n, height, width, channels), dtype), {"num_threads": d.threads()}
    wide = np.full((n, height + 20, width + 40, channels), np.nan)
    wide[:, before[0] : before[0] + height, before[1] : before[1] + width] = x
    wanted = np.empty((n, *counts, *size, channels))
    for i, j in np.ndindex(*counts):
        top, left = i * strides[0], j * strides[1]
        wanted[:, i, j] = wide[:, top : top + size[0], left : left + size[1]]
    rows = functional.unfold(x, lay, np.full(wanted.shape, 7, dtype), **threads)
    same(rows, np.nan_to_num(wanted))
    back = functional.fold(rows, lay, np.full_like(x, 7), **threads)
    ones = functional.fold(np.ones_like(rows), lay, np.full_like(x, 7), **threads)
    close(back, x * ones, dtype, 100)
    flat = wanted.reshape(n, *counts, size[0] * size[1], channels)
    y, at = functional.max_pool(x, lay, **threads)
    mean = functional.mean_pool(x, lay, **threads)
    if wanted.size:
        same(y, np.nanmax(flat, axis=3))
        close(mean, np.nanmean(flat, axis=3), dtype, 10)
        same(at, np.where(np.isnan(flat), -np.inf, flat).argmax(axis=3))
    for pooled in (functional.max_pool_backward(y, at, lay, **threads),
                   functional.mean_pool_backward(y, lay, **threads)):
        close(pooled.sum(axis=(1, 2)), y.sum(axis=(1, 2)), dtype, 300)


@target
def cells(d: Draws) -> None:
    """Compare recurrent cells over sequences."""
    n, steps, units = (min(d.length(), 6) for _ in range(3))
    cell, dtype = d.one_of("tanh", "relu", "lstm", "gru"), d.one_of(np.float32, np.float64)
    gates, shape = {"lstm": 4, "gru": 3}.get(cell, 1), (n, steps, units)
    z, weight = d.values((n, steps, gates * units), dtype), d.values((units, gates * units), dtype)
    bias, inner = d.values((gates * units,), dtype), d.values((units,), dtype)
    h, c = d.values((n, units), dtype), d.values((n, units), dtype)
    made = [Mask(*d.source(), shape, 0.4, shared_axes=d.one_of((), (1,))) for _ in range(4)]
    if not steps:
        return
    weight *= 0.3
    keeps = [(m.keep, m.scale if a < 2 else None) for a, m in enumerate(made)]
    want, _ = reference_cells.run(cell, z, weight, bias, inner, h, c, *keeps)
    done = functional.recurrence(
        cell, z.copy(), d.laid(weight), d.laid(bias), d.laid(inner), h0=d.laid(h), c0=d.laid(c),
        **dict(zip(("hidden", "update", "zoneout_h", "zoneout_c"), made, strict=True)),
        num_threads=d.threads())
    close(done.h, want, dtype, 1000)
    functional.recurrence_backward(d.laid(d.values(shape, dtype)), done, num_threads=d.threads())


@target
def passes(d: Draws) -> None:
    """Compare the passes of a layer: fused or not, on any number of threads, in any layout."""
    row = ROWS[d.one_of(*ROWS)]
    layer = row.make()
    layer.build(row.shape[1:], 0)
    shape = (d.length(), *row.shape[1:]) if len(row.shape) > 1 else row.shape
    x = d.values(shape, d.one_of(np.float32, np.float64))
    if shape[0] == 1 and "BatchNorm" in repr(layer):
        return
    found = []
    for plain in (True, False):
        model = layers.Sequential([layer], dtype="float64", fuse=plain)
        model.input_shape = row.shape[1:]
        stream = MaskStream.from_state(7, 11)
        ctx = layers.Context(True, stream, num_threads=1 if plain else d.threads())
        for parameter in model.parameters():
            parameter.zero_grad()
        y, backward = model.forward(x if plain else d.laid(x), ctx)
        dy = np.random.default_rng(1).normal(size=y.shape).astype(y.dtype)
        dx = backward(dy if plain else d.laid(dy))
        found.append([y, dx, np.array(stream.next_draw), *(
            p.grad.copy() for p in model.parameters() if p.trainable)])
    for one, other in zip(*found, strict=True):
        close(other, one, np.float32, 30)  # BLAS rounds otherwise where a matrix lies otherwise


for refusal in (odd_arguments, odd_training):
    target(refusal)


def attempt(number: int) -> tuple[str, str]:
    """Make one call; return its target, and what went wrong."""
    d = Draws(number)
    name = d.one_of(*TARGETS)
    try:
        TARGETS[name](d)
    except Exception:
        return name, traceback.format_exc(limit=-3)
    return name, ""


def main(arguments: list[str] | None = None) -> int:
    """Make calls; return 1 if one was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--calls", type=int, default=10**12)
    parser.add_argument("--only", type=int)
    common.add_options(parser)
    chosen = parser.parse_args(arguments)
    report = common.Report("fuzz", sys.argv[1:] if arguments is None else arguments)
    faulthandler.enable()
    warnings.simplefilter("error")
    first = chosen.seed * 10**9 if chosen.only is None else chosen.only
    calls, wrong, end = Counter[str](), Counter[str](), time.monotonic() + chosen.seconds
    for number in range(first, first + (chosen.calls if chosen.only is None else 1)):
        if time.monotonic() > end and chosen.only is None:
            break
        name, error = attempt(number)
        calls[name] += 1
        if error:
            wrong[name] += 1
            if wrong[name] <= 3:
                report.say(f"--only {number}: {name}\n{error}")
    report.say(f"of {', '.join(f'{name} {count}' for name, count in sorted(calls.items()))}")
    report.say(f"{calls.total()} calls, {wrong.total()} wrong: {dict(wrong) or 'none'}")
    report.keep(chosen.page)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
