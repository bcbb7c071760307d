"""What must hold of any call of a function, beside its reference in plain NumPy."""

from __future__ import annotations

import numpy as np
import optimizer_reference
import reference
import reference_attention
import reference_cells
import reference_drop_connect
import reference_max_norm
import reference_noise
import reference_sequence
import reference_submatrix
import reference_transformer
from draws import RATES, REALS, Draws, close, functional, masks, same
from properties import PROPERTIES, holds
from test_functional import FORMULAS, A, derivative

from cydropout import MaskStream
from cydropout.functional import convolve

__all__ = ["PROPERTIES"]


@holds
def activations(d: Draws) -> None:
    """Compare the fused pass behind a product, standout, and their gradients."""
    mask, keep, scale = d.mask(d.shape(1, 3, 3000))
    dtype, name, threads = d.one_of(*REALS), d.one_of(*FORMULAS), {"num_threads": d.threads()}
    z, r, dy = (d.values(mask.shape, dtype) for _ in range(3))
    bias, most = d.values(z.shape[-1:], dtype), np.max(scale, initial=1)
    out, _ = d.place(laid := d.laid(z.copy()))
    s = z.astype("f8") + bias
    want = np.where(keep, FORMULAS[name](s) * (scale / most), 0)
    slope = np.where(keep, dy * derivative(name, s) * (scale / most), 0)
    y = functional.bias_activation_dropout(
        laid, d.laid(bias), name, mask, a=A, out=out, **threads)
    close(y / most, want, dtype, 30)
    dz, dbias = functional.bias_activation_dropout_backward(
        d.laid(dy), d.laid(z), d.laid(bias), name, mask, a=A, **threads)
    smooth = abs(s) > 1e-5  # else the difference reaches over a kink
    close(np.where(smooth, dz / most, 0), np.where(smooth, slope, 0), np.float32, 30)
    rows = dz.reshape(-1, len(bias)) if z.size else np.zeros((0, len(bias)))
    close(dbias / most, rows.sum(axis=0, dtype="f8") / most, dtype, 300)
    name, (key, draw) = d.one_of(*reference_noise.ACTIVATE), d.source()
    numbers = {"alpha": d.one_of(1.0, 0.0, -2.0), "beta": d.one_of(0.0, 0.5)}
    stream = MaskStream.from_state(key, min(draw, 2**64 - 2))
    y, drawn = functional.standout(d.laid(z), d.laid(r), name, rng=stream, **numbers, **threads)
    words = reference.words(key, min(draw, 2**64 - 2), 0, z.size).reshape(z.shape) / reference.ONE
    k = reference_noise.sigmoid(numbers["alpha"] * r.astype("f8") + numbers["beta"])
    sure = abs(words - k) > 1e-6
    same(drawn.keep[sure], (words < k)[sure])
    want = reference_noise.standout(
        *(one.astype("f8") for one in (z, r)), drawn.keep, name, dy, *numbers.values())
    got = functional.standout_backward(
        d.laid(dy), d.laid(z), d.laid(r), name, drawn, **numbers, **threads)
    for one, other in zip((y, *got), want, strict=True):
        close(one, other, dtype, 30)


@holds
def steps(d: Draws) -> None:
    """Compare optimizers, in each of their forms, and the penalty that a gradient begins with."""
    shape, dtype, threads = d.shape(1, 3, 3000), d.one_of(*REALS), {"num_threads": d.threads()}
    first, kind = d.values(shape, dtype), d.one_of("sgd", "adam", "rmsprop")
    epsilon, decay = 1e-3, d.one_of(0.0, 0.1)
    rule, settings, slots = {
        "sgd": (optimizer_reference.sgd, {"momentum": 0.9, "weight_decay": decay}, 1),
        "adam": (optimizer_reference.adam, {
            "beta1": 0.8, "beta2": 0.9, "epsilon": epsilon, "weight_decay": decay}, 2),
        "rmsprop": (optimizer_reference.rmsprop, {"rho": 0.9, "epsilon": epsilon}, 1),
    }[kind]
    run, own = rule(first.astype("f8"), 0.1, **settings), dict(settings)
    next(run)
    params = [first.copy() for _ in range(3)]
    states = [[np.zeros_like(first) for _ in range(slots)] for _ in params]
    group = functional.StepGroup([(params[2], *states[2])])
    for step in range(1, d.integer(1, 3) + 1):
        grad = d.values(shape, dtype)
        want = run.send(grad.astype("f8"))
        if kind == "adam":
            own["step"] = step
            rule = functional.adam_rule(
                **{name: own[name] for name in ("beta1", "beta2", "epsilon", "step")}, lr=0.1)
            rule["decay"] = 0.1 * decay
        elif kind == "sgd":
            rule = {"learning_rate": 0.1, "beta1": 0.9, "decay": decay}
        else:
            rule = {"learning_rate": 0.1, "beta2": 0.9, "epsilon": epsilon}
        getattr(functional, f"{kind}_step")(
            params[0], grad, *states[0], lr=0.1, **own, **threads)
        functional.optimizer_step(
            kind, params[1], functional.Gradient(grad), *states[1], **rule, **threads)
        group.step(kind, [functional.Gradient(grad)], **rule, **threads)
    close(params[0], want, dtype, 100)
    for other in params[1:]:
        same(other, params[0])
    if len(shape) > 1 and first.size:
        functional.sgd_step(params[0], np.zeros_like(first), lr=0.1, max_norm=0.5, **threads)
        close(params[0], reference_max_norm.bounded(params[1], 0.5), dtype, 30)
    penalty = functional.l2_penalty(d.laid(first), grad, 0.25)
    close(penalty, 0.25 * (first.astype("f8") ** 2).sum(), np.float32)


@holds
def zoneout_and_gates(d: Draws) -> None:
    """Compare zoneout and the gated update, of float32 to the bit."""
    mask, keep, scale = d.mask(d.shape(1, 3))
    dtype = d.one_of(*REALS)
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


@holds
def tables(d: Draws) -> None:
    """Compare rows picked from a table, and the sums of their gradients."""
    rows, columns = d.length(least=1), d.length()
    dtype, index = d.one_of(*REALS), d.rng.integers(0, rows, d.shape(0, 2, 300))
    kind = d.one_of("none", "rows", "elements")
    key, draw = d.source()
    mask = None if kind == "none" else masks.Mask(
        key, draw, (rows, columns), d.draw(RATES), shared_axes=(1,) if kind == "rows" else ())
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


@holds
def rows(d: Draws) -> None:
    """Compare layer normalization, softmax and the cross entropy."""
    shape, dtype = (*d.shape(1, 2, 400), d.length(least=1)), d.one_of(*REALS)
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
    allowed, causal = d.rng.random(shape[-1:]) < 0.8, d.one_of(False, True)
    packed = functional.AttentionMask(allowed, shape)
    options = {"attention_mask": d.pick([allowed, packed]), "causal": causal, "scale": 0.5,
               **threads}
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
        target = d.values(shape, dtype)
        loss, dx = functional.mean_squared_error(d.laid(x), d.laid(target), **threads)
        away = x.astype("f8") - target
        close(loss, (away**2).mean(), dtype, 100)
        close(dx, 2 * away / away.size, dtype, 30)


@holds
def columns(d: Draws) -> None:
    """Compare the statistics of columns, and their normalisation."""
    shape, dtype = (d.length(), d.length()), d.one_of(*REALS)
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


@holds
def pooled_columns(d: Draws) -> None:
    """Compare a normalisation with a pool in its pass to the two one after the other."""
    n, channels = d.length(most=9), d.integer(1, 70)
    size, counts = ((d.integer(1, 4), d.integer(1, 4)) for _ in range(2))
    maps = tuple(s * c + d.integer(0, s - 1) for s, c in zip(size, counts, strict=True))
    lay = functional.Windows(maps, size, size, (0, 0), counts)
    x, threads = d.values((n, *maps, channels), d.one_of(*REALS)), {"num_threads": d.threads()}
    rows = x.reshape(-1, channels)
    own = (rows, *(d.values((channels,), x.dtype) for _ in range(3)))
    own = (rows, own[1], own[2] ** 2, own[3], own[1])
    options = {"epsilon": 0.1, "relu": d.one_of(False, True)}
    y, whole = functional.normalise(*own, **options, **threads)
    pooled, at = functional.max_pool(y.reshape(x.shape), lay, **threads)
    found, done = functional.normalise(*own, **options, pool=lay, **threads)
    same(found, pooled.reshape(found.shape))
    dy = d.values(found.shape, x.dtype)
    dz = functional.max_pool_backward(dy.reshape(pooled.shape), at, lay, **threads)
    for one, want in zip(functional.normalise_backward(dy, done, **threads),
                         functional.normalise_backward(dz.reshape(rows.shape), whole, **threads),
                         strict=True):
        same(one, want)


@holds
def products(d: Draws) -> None:
    """Compare DropConnect with a mask of each row, to the bit, and parts of matrices."""
    n, inputs, units = (d.length(most=40) for _ in range(3))
    dtype, (key, draw), rate = d.one_of(*REALS), d.source(), d.draw(RATES)
    x, weight, dy = (d.values(s, dtype) for s in ((n, inputs), (inputs, units), (n, units)))
    mask = masks.Mask(key, draw, (n, inputs, units), rate, storage=d.one_of("bits", "seed"))
    threads = {"num_threads": d.threads()}
    same(functional.dropconnect(d.laid(x), d.laid(weight), mask, **threads),
         reference_drop_connect.forward(x, weight, mask.keep, mask.scale))
    got = functional.dropconnect_backward(d.laid(dy), d.laid(x), d.laid(weight), mask, **threads)
    for one, want in zip(got, reference_drop_connect.backward(
            dy, x, weight, mask.keep, mask.scale), strict=True):
        same(one, want)
    own = [np.flatnonzero(d.rng.random(length) < 0.5) if d.one_of(False, True) else None
           for length in (inputs, units)]
    part = functional.Submatrix((inputs, units), *own)
    block = functional.gather_submatrix(weight, part, **threads)
    same(block, reference_submatrix.picked(weight, *own))
    whole = functional.scatter_submatrix(block, np.zeros_like(weight), part, **threads)
    same(whole, reference_submatrix.spread(block, weight.shape, *own) if weight.size else whole)


def sliding(d: Draws, height: int, width: int) -> functional.Windows:
    """Return windows over maps."""
    size, strides = ((d.one_of(1, 2, 3), d.one_of(1, 2, 4)) for _ in range(2))
    before = tuple(d.integer(0, s - 1) for s in size)
    counts = tuple(
        d.integer(0, (m - 1 + b) // s + 1) if m else 0
        for m, b, s in zip((height, width), before, strides, strict=True))
    return functional.Windows((height, width), size, strides, before, counts)


@holds
def convolutions(d: Draws) -> None:
    """Compare convolutions and their gradients with products of unfolded windows."""
    n, height, width, channels = (d.length(most=most) for most in (40, 9, 9, 20))
    lay = sliding(d, height, width)
    _, size, strides, _, counts = lay
    dtype, threads = d.one_of(*REALS), {"num_threads": d.threads()}
    channels = d.one_of(max(channels, 1), 128 // np.dtype(dtype).itemsize)
    filters = d.one_of(1, 2) * 128 // np.dtype(dtype).itemsize
    x, weight = d.values((n, height, width, channels), dtype), d.values(
        (*size, channels, filters), dtype)
    y = convolve.convolve(x, weight, lay, np.full((n, *counts, filters), 7, dtype), **threads)
    dz = d.values(y.shape, dtype)
    rows = functional.unfold(x, lay, np.empty((n, *counts, *size, channels), dtype))
    table, matrix = rows.reshape(-1, weight[..., 0].size), weight.reshape(-1, filters)
    close(y.reshape(-1, filters), table @ matrix, dtype, 1000)
    found = convolve.convolve_weight(x, dz, lay, np.full_like(weight, 7), **threads)
    close(found.reshape(matrix.shape), table.T @ dz.reshape(-1, filters), dtype, 10000)
    if strides == (1, 1) and channels * x.itemsize == 128:
        dx = convolve.convolve_input(dz, weight, lay, np.full_like(x, 7), **threads)
        back = (dz.reshape(-1, filters) @ matrix.T).reshape(rows.shape)
        close(dx, functional.fold(back, lay, np.empty_like(x)), dtype, 1000)


@holds
def windows(d: Draws) -> None:
    """Compare windows over maps, as rows and back, and what pools make of them."""
    n, height, width, channels = (d.length(most=9) for _ in range(4))
    lay = sliding(d, height, width)
    _, size, strides, before, counts = lay
    dtype = d.one_of(*REALS)
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


@holds
def cells(d: Draws) -> None:
    """Compare recurrent cells over sequences."""
    n, steps, units = (d.length(most=6) for _ in range(3))
    cell, dtype = d.one_of("tanh", "relu", "lstm", "gru"), d.one_of(*REALS)
    gates, shape = {"lstm": 4, "gru": 3}.get(cell, 1), (n, steps, units)
    z, weight = d.values((n, steps, gates * units), dtype), d.values((units, gates * units), dtype)
    bias, inner = d.values((gates * units,), dtype), d.values((units,), dtype)
    h, c = d.values((n, units), dtype), d.values((n, units), dtype)
    made = [masks.Mask(*d.source(), shape, 0.4, shared_axes=d.one_of((), (1,))) for _ in range(4)]
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
    dy, along = d.values(shape, dtype), d.values(z.shape, dtype)
    found = functional.recurrence_backward(d.laid(dy), done, num_threads=d.threads())
    if cell != "relu" and dtype == np.float64:  # which has a kink
        ends = [(reference_cells.run(cell, z + step * along, weight, bias, inner, h, c, *keeps)[0]
                 * dy).sum() for step in (-1e-5, 1e-5)]
        close((ends[1] - ends[0]) / 2e-5, (found.dz * along).sum(), np.float32, 10)
