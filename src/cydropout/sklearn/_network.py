"""The networks of the estimators, made from their parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cydropout import layers
from cydropout._validate import (
    ArgumentTypeError,
    check_choice,
    check_count,
    check_max_norm,
    check_rate,
    shown,
)
from cydropout.layers import Context, Dense, Layer, Sequential
from cydropout.training._batches import weights_of

Array = np.ndarray[Any, Any]

#: The names of scikit-learn, and those that it lacks, with the function and how weights begin.
ACTIVATIONS = {
    "identity": "linear", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu",
    "softplus": "softplus", "selu": "selu", "gelu": "gelu",
}
NOISES: dict[str, Callable[..., Layer]] = {
    "bernoulli": layers.Dropout,
    "gaussian": layers.GaussianDropout,
    "alpha": layers.AlphaDropout,
    "batchwise": layers.BatchwiseDropout,
    "concrete": layers.ConcreteDropout,
}
_KINDS: tuple[Any, ...] = (*NOISES.values(),)
NORMALIZATIONS: dict[str, Callable[[], Layer]] = {
    "batch": layers.BatchNorm, "layer": layers.LayerNorm,
}


def check_settings(estimator: Any) -> dict[str, Any]:
    """Return what decides the network of an estimator, each of it checked."""
    sizes = estimator.hidden_layer_sizes
    if isinstance(sizes, str):
        raise ArgumentTypeError(f"hidden_layer_sizes must be integers, not {shown(sizes)}")
    units = [check_count("hidden_layer_sizes", one)
             for one in (sizes if np.iterable(sizes) else [sizes])]
    share = estimator.dropout
    rates = [*share] if np.iterable(share) else [share] * len(units)
    if len(rates) != len(units):
        raise ValueError(
            f"dropout must be one rate, or one for each of {len(units)} hidden layers, "
            f"not {estimator.dropout!r}"
        )
    noise = check_choice("noise", estimator.noise, NOISES)
    shares = [_rate("input_dropout", estimator.input_dropout),
              *(_rate("dropout", one) for one in rates)]
    if noise == "concrete" and 1.0 in shares:
        raise ValueError("dropout and input_dropout must be below 1 where noise='concrete' learns "
                         f"them, not {estimator.dropout!r} and {estimator.input_dropout!r}")
    if estimator.normalization is not None:
        check_choice("normalization", estimator.normalization, NORMALIZATIONS)
    return {
        "hidden_layer_sizes": units,
        "activation": check_choice("activation", estimator.activation, ACTIVATIONS),
        "rates": shares,
        "noise": noise,
        "max_norm": check_max_norm(estimator.max_norm),
        "normalization": estimator.normalization,
    }


def _rate(name: str, value: Any) -> float:
    try:
        rate = check_rate(value)
    except ValueError as error:
        raise type(error)(str(error).replace("rate", name, 1)) from None
    if not isinstance(rate, float):
        raise ArgumentTypeError(f"{name} must be a number, not {shown(value)}")
    return rate


def network(
    outputs: int, regularizer: float, dtype: Any, *, hidden_layer_sizes: Sequence[int],
    activation: str, rates: Sequence[float], noise: str, max_norm: float | None,
    normalization: str | None,
) -> Sequential:
    """Return a network: in front of each `Dense` noise of its rate, behind it normalization.

    ``regularizer`` is that of the rates of concrete dropout.
    """
    function = ACTIVATIONS[activation]
    made: list[Layer] = []
    for place, units in enumerate([*hidden_layer_sizes, outputs]):
        hidden = place < len(hidden_layer_sizes)
        own = function if hidden and normalization is None else "linear"
        init = "lecun" if hidden and function == "selu" else "glorot"
        dense: Layer = Dense(
            units, activation=own, init=init, max_norm=max_norm if hidden else None)
        if rates[place] and noise == "concrete":
            dense = layers.ConcreteDropout(
                dense, rates[place], weight_regularizer=1e-8 * regularizer,
                dropout_regularizer=regularizer)
        elif rates[place]:
            made.append(NOISES[noise](rates[place]))
        made.append(dense)
        if hidden and normalization is not None:
            made.append(NORMALIZATIONS[normalization]())
            made += [kind() for kind in layers.Activation.__subclasses__()
                     if kind.function == function]
    return Sequential(made, dtype=dtype)


def draw_weights(model: Sequential, features: int, activation: str, key: int) -> None:
    """Build a network with weights and biases as scikit-learn draws them.

    Both are uniform within ``sqrt(6 / (in + out))``, of "logistic" ``sqrt(2 / (in + out))``; those
    of "selu", which it does not have, are of the layers' own kind.
    """
    rng = weights_of(key)
    model.build((features,), rng)
    if activation == "selu":
        return
    for layer in dense_layers(model):
        weight, bias = layer.parameters()
        limit = ((2 if activation == "logistic" else 6) / sum(weight.value.shape)) ** 0.5
        for one in (weight, bias):
            one.value[...] = rng.uniform(-limit, limit, one.value.shape)


def dense_layers(model: Layer) -> list[Dense]:
    """Return the layers of a network that have its weights."""
    return [layer for layer in model.walk() if isinstance(layer, Dense)]


def thinned(model: Sequential, *more: Layer) -> Sequential:
    """Return the network with noise that is the same for all samples of a pass, and ``more``."""
    made: list[Layer] = []
    for layer in model.layers:
        if isinstance(layer, layers.ConcreteDropout):
            made += [ForAll(layer), layer.layer]
        else:
            made.append(ForAll(layer) if isinstance(layer, _KINDS) else layer)
    return Sequential([*made, *more], dtype=model.dtype)


class ForAll(Layer):
    """Noise of one draw for all samples, ``y = a x + b``, so that none depends on the others.

    Examples
    --------
    >>> from cydropout import MaskStream
    >>> noise = ForAll(layers.Dropout(0.5))
    >>> noise.forward(np.ones((2, 4)), Context(training=True, stream=MaskStream(0)))[0]
    array([[2., 2., 0., 0.],
           [2., 2., 0., 0.]])
    """

    def __init__(self, noise: Any) -> None:
        super().__init__()
        self.noise = noise

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Callable[[Array], Array]]:
        """Return noisy ``x`` in training, and the function of its gradient."""
        if not ctx.training:
            return x, lambda dy: dy
        mask = self.noise.mask((1, *x.shape[1:]), ctx)
        b = mask.apply(np.zeros((1, *x.shape[1:]), x.dtype))
        a = mask.apply(np.ones((1, *x.shape[1:]), x.dtype)) - b
        return x * a + b, lambda dy: dy * a


class Pairs(Layer):
    """The logits ``(0, z)`` of not being and being in a class, along a new last axis.

    Examples
    --------
    >>> Pairs().forward(np.array([[3.0]]), Context())[0]
    array([[[0., 3.]]])
    """

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape with two more."""
        return (*input_shape, 2)

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Callable[[Array], Array]]:
        """Return both logits, and the function that takes the gradient of the second."""
        return np.stack([np.zeros_like(x), x], axis=-1), lambda dy: dy[..., 1]
