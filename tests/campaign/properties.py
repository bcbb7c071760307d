"""What must hold of any mask and layer, beside its reference, and of odd arguments of anything."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
import reference
import reference_noise
import reference_sequence
from draws import DTYPES, REALS, Draws, close, functional, masks, same
from functional_cases import arrays_of
from refusals import TABLE, odd_arguments, odd_training
from test_functional_arguments import made
from test_layers import ROWS

from cydropout import MaskStream, layers

#: Masks whose map is given, or of chosen places.
GIVEN = ("ColumnMask", "TokenMask", "AlphaMask", "InferenceMask", "KeepMask", "ScaleMask",
         "FactorMask")


PROPERTIES: dict[str, Callable[[Draws], None]] = {}


def holds(function: Callable[[Draws], None]) -> Callable[[Draws], None]:
    """Enter a function that makes random calls, and raises where a result is wrong."""
    PROPERTIES[function.__name__] = function
    return function


@holds
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


@holds
def a_call(d: Draws) -> None:
    """Compare `dropout`, and what it takes of the stream."""
    shape = d.shape()
    shared = d.shared(shape)
    rate, (key, draw) = d.rate(shape, shared), d.source()
    stream = MaskStream.from_state(key, min(draw, 2**64 - 2))
    x = d.values(shape, d.one_of(*DTYPES), odd=True)
    keep = reference.keep(key, stream.next_draw, shape, rate, 0, shared)
    want, before = reference.dropout(x, keep, reference.scale(rate)), stream.next_draw
    laid = d.laid(x)
    out, _ = d.place(laid)
    y = functional.dropout(
        laid, rate, rng=stream, shared_axes=shared, out=out, num_threads=d.threads())
    same(y, want)
    nothing = np.size(rate) > 0 and bool((reference.threshold(rate) == reference.ONE).all())
    assert stream.next_draw == before + (not nothing)


@holds
def noise(d: Draws) -> None:
    """Compare Gaussian and concrete noise, and the gradients of their parameters."""
    shape, (key, draw) = d.shape(1, 3, 500), d.source()
    size = int(np.prod(shape))
    offset = int(d.one_of(0, 3, 2**32 - 1, 2**61 - max(size, 1)))  # whole words end there
    dtype, odd = d.one_of(*REALS), d.one_of(False, False, True)
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


@holds
def regions_heads_and_subsets(d: Draws) -> None:
    """Compare that masks of any shape keep and scale what they say."""
    shape, (key, draw) = d.shape(4, 4, 3000), d.source()
    rate = float(d.rate(()))
    kind = d.one_of("block", "walk", "cutout", "head", "subset")
    if kind == "subset":
        rows, size = shape[:2]
        count = d.integer(0, size)
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


@holds
def given_maps(d: Draws) -> None:
    """Compare masks whose map is given, or made of chosen columns and tokens."""
    (rows, size), (key, draw) = d.shape(2, 2, 3000), d.source()
    kind, scale, count = d.one_of(*GIVEN), d.one_of(0.0, 0.5, 3.0), d.integer(0, size)
    x, places = d.values((rows, size), d.one_of(*DTYPES), odd=True), np.arange(rows)[:, None]
    laid, keep, factors = d.laid(x), d.rng.random((rows, size)) < 0.5, d.values((size,), np.float32)
    chosen = np.zeros((rows, size), bool)
    if kind == "ColumnMask":
        chosen[:, reference_sequence.subset(key, draw, 1, size, count)[0]] = True
        mask = masks.ColumnMask(key, draw, (rows, size), count, scale)
        want = reference.dropout(x, chosen, scale)
    elif kind == "TokenMask":
        at = reference_sequence.subset(key, draw, rows, size, count)
        mask, want = masks.TokenMask(key, draw, (rows, size), count), x[places, at]
        chosen[places, at] = True
        same(mask.backward(want), np.where(chosen, x, np.zeros((), x.dtype)))
    elif kind == "AlphaMask":
        rate = float(d.rate(()))
        keep = reference.keep(key, draw, x.shape, rate)
        mask, (want, _) = (masks.AlphaMask(key, draw, x.shape, rate),
                           reference.alpha_dropout(x, keep, rate))
    elif kind == "InferenceMask":
        rate = float(d.rate(()))
        mean = float(reference.threshold(rate)) / reference.ONE
        mask = masks.InferenceMask(x.shape, rate, scaling="classic")
        want = reference.dropout(x, mean > 0, mean)
    elif kind == "KeepMask":
        mask, want = masks.KeepMask(x.shape, keep, scale), reference.dropout(x, keep, scale)
    elif kind == "ScaleMask":
        mask, want = masks.ScaleMask(x.shape, scale), reference.dropout(x, True, scale)
    else:
        mask, want = masks.FactorMask(x.shape, factors), reference.dropout(x, True, factors)
    same(mask.apply(laid, num_threads=d.threads()), want)


@holds
def passes(d: Draws) -> None:
    """Compare the passes of a layer: fused or not, on any number of threads, in any layout."""
    row = ROWS[d.one_of(*ROWS)]
    layer = row.make()
    layer.build(row.shape[1:], 0)
    shape = (d.length(), *row.shape[1:]) if len(row.shape) > 1 else row.shape
    x = d.values(shape, d.one_of(*REALS))
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


@holds
def any_layout(d: Draws) -> None:
    """Compare every function and mask with itself, of other layouts, threads and sizes."""
    name = d.one_of(*TABLE)
    case, threads = TABLE[name], {"num_threads": d.threads()}
    sizes = {size: d.length(int(size in case.positive), 40) for size in case.sizes()}
    given = case.make(**sizes)
    want, fixed = made(case, case.make(**sizes)), (*case.written, *case.ready)
    for argument in arrays_of(given):
        if argument not in fixed:
            given[argument] = d.laid(given[argument])
    if "num_threads" in inspect.signature(case.call).parameters:
        given |= threads
    for one, other in zip(made(case, given), want, strict=True):
        if name.startswith("dropconnect"):  # products, which BLAS rounds by how a matrix lies
            close(one, other, np.result_type(other), 30)
        else:
            same(one, other)


for refusal in (odd_arguments, odd_training):
    holds(refusal)
