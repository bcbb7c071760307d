"""Moment matching: random weights, seen as normal noise of what goes into the activation."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from cydropout import functional
from cydropout.layers._affine import Operands
from cydropout.layers._layer import NO_GRADIENT, Array, Backward, Context, as_gradient
from cydropout.masks import GaussianMask
from cydropout.random import MaskStream

#: From dy to the gradients for the mean and the standard deviation.
Gradients = Callable[[Array], tuple[Array, Array]]


class Nodes(NamedTuple):
    """Standard normal numbers, ``(count, units)`` or ``(count, 1)``, and their weights."""

    normals: Array
    weights: list[float]


@lru_cache(maxsize=1)
def quadrature() -> Nodes:
    """Return Gauss-Hermite nodes: exact for polynomials up to degree 63."""
    nodes, weights = np.polynomial.hermite.hermgauss(32)
    return Nodes(np.sqrt(2.0) * nodes[:, None], (weights / np.sqrt(np.pi)).tolist())


def sampled(seed: int, count: int, units: int) -> Nodes:
    """Return ``count`` normal numbers for each unit, those of draw 0 of the seed."""
    key = MaskStream(seed).key
    factors = GaussianMask(key, 0, (count, units), sigma=1.0, storage="seed").values
    return Nodes(factors - 1, [1.0 / count] * count)


def matched(
    found: Operands,
    activation: str,
    ratio: float,
    nodes: Nodes | None,
    drop_bias: bool,
    ctx: Context,
) -> tuple[Array, Backward]:
    """Return the mean of ``act(u)`` for normal ``u``, and its backward.

    The mean of u is ``m = x W + b``, its variance ``v = ratio (x * x) (W * W)``, plus
    ``ratio b * b`` if entries of b are dropped. Without nodes the activation is a ReLU, whose mean
    has a closed form.
    """
    weight, bias, rows, shape = found
    squares, matrix = rows * rows, weight.value * weight.value
    mean, variance = np.matmul(rows, weight.value), np.matmul(squares, matrix)
    if bias is not None:
        mean += bias.value
        if drop_bias:
            variance += bias.value * bias.value
    spread = np.sqrt(ratio * variance)
    if nodes is None:
        y, back = _rectified(mean, spread, ctx)
    else:
        y, back = _averaged(mean, spread, activation, nodes, ctx)

    def backward(dy: Array) -> Array:
        dy = as_gradient(dy, shape, mean.dtype)
        dmean, dspread = back(dy.reshape(mean.shape))
        # Twice the gradient for (x * x) (W * W); where it is 0, so are all products x W.
        twice = np.zeros_like(mean)
        np.divide(ratio * dspread, spread, out=twice, where=spread > 0)
        if weight.trainable:
            weight.accumulate(np.matmul(rows.T, dmean) + np.matmul(squares.T, twice) * weight.value)
        if bias is not None and bias.trainable:
            dbias = dmean.sum(axis=0)
            bias.accumulate(dbias + twice.sum(axis=0) * bias.value if drop_bias else dbias)
        if not ctx.input_gradient:
            return NO_GRADIENT
        dx = np.matmul(dmean, weight.value.T) + np.matmul(twice, matrix.T) * rows
        shaped: Array = dx.reshape(*shape[:-1], rows.shape[1])
        return shaped

    return y.reshape(shape), backward


def _rectified(mean: Array, spread: Array, ctx: Context) -> tuple[Array, Gradients]:
    """Return ``m P + s p``: P and p are the normal distribution function and density at m / s."""
    with np.errstate(over="ignore"):
        place = np.clip(mean / np.maximum(spread, np.finfo(mean.dtype).tiny), -40.0, 40.0)
    density = np.exp(-0.5 * place * place) * (2 * np.pi) ** -0.5
    # The derivative of GELU, x P(x), is P(x) + x p(x).
    derivative, _ = functional.bias_activation_dropout_backward(
        np.ones_like(place), place, None, "gelu", None, num_threads=ctx.num_threads
    )
    below = derivative - place * density
    return mean * below + spread * density, lambda dy: (dy * below, dy * density)


def _averaged(
    mean: Array, spread: Array, activation: str, nodes: Nodes, ctx: Context
) -> tuple[Array, Gradients]:
    """Return the weighted sum of ``act(m + s n)`` over the nodes n."""
    normals = nodes.normals.astype(mean.dtype)
    y = np.zeros_like(mean)
    for normal, share in zip(normals, nodes.weights, strict=True):
        u = mean + spread * normal
        y += share * functional.bias_activation_dropout(
            u, None, activation, None, out=u, num_threads=ctx.num_threads
        )

    def back(dy: Array) -> tuple[Array, Array]:
        dmean, dspread = np.zeros_like(mean), np.zeros_like(mean)
        for normal, share in zip(normals, nodes.weights, strict=True):
            du, _ = functional.bias_activation_dropout_backward(
                share * dy, mean + spread * normal, None, activation, None,
                num_threads=ctx.num_threads,
            )
            dmean += du
            dspread += du * normal
        return dmean, dspread

    return y, back
