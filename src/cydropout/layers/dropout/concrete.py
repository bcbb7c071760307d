"""ConcreteDropout: dropout that learns its rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from cydropout.layers._layer import Array, Backward, Context, Layer, Shape, restoring_draws
from cydropout.layers._settings import Inner, Number
from cydropout.layers._wrapper import Identity, Wrapper
from cydropout.layers.dropout._learned import LearnedNoise, LearnedRate
from cydropout.masks import ConcreteMask


class InnerOrNone(Inner):
    """A layer inside; None where the noise is alone."""

    def check(self, value: Any, layer: Any) -> Any:
        """Return the layer."""
        return Identity() if value is None else super().check(value, layer)

    def read(self, layer: Any) -> Any:
        """Return its config."""
        return None if isinstance(layer.layer, Identity) else super().read(layer)


class ConcreteDropout(LearnedNoise, Wrapper):
    """y = layer(x (1 - z) / (1 - p)) with z = sigmoid((logit p + logit u) / t), u uniform.

    The rate p is learned, as the parameter ``logit``, from the loss and from the penalty

    ``w_r sum(W**2) / (1 - p) + d_r inputs (p log(p) + (1 - p) log(1 - p))``

    where W is the weight of the layer and ``inputs`` the length of its input's last axis. With a
    rate for each input, it is the sum over them, each with its own row of W. `Trainer` adds it to
    the loss. At inference nothing is drawn, and the result is ``layer(x)``. Nothing is ever dropped
    altogether, so a NaN goes through.

    For a loss that is a mean over N samples, weights of prior length scale l, and targets whose
    noise has the precision tau: ``w_r = l**2 / (tau N)`` and ``d_r = 2 / (tau N)``. That is for
    squared errors; for cross-entropy ``d_r = 1 / N``, and tau is 1.

    Parameters
    ----------
    layer : Layer or None
        What the noise stands before, such as `Dense`. None is the noise alone, whose penalty has
        the second term only.
    rate : float
        The rate to begin with, between 0 and 1, neither of them included.
    per_unit : bool
        One rate for each place of the last axis, instead of one for all.
    temperature : float
        t; the lower, the closer to dropout.
    weight_regularizer, dropout_regularizer : float
        w_r and d_r.
    storage : {"values", "seed"}
        Hold what was drawn for the backward pass, 4 bytes an element (8 of float64),
        or draw it again.
    name : str, optional
        Name within a `Sequential`.

    Raises
    ------
    ValueError
        If a setting is out of its range, or the layer has no weight with a row for each input.

    References
    ----------
    Gal, Hron, Kendall, "Concrete dropout", NIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> layer = layers.ConcreteDropout(None, 0.2)
    >>> layer.build((4,), 0)
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layer.forward(np.ones((2, 4), "f4"), ctx)
    >>> y.round(2)
    array([[1.25, 1.25, 1.25, 0.01],
           [0.  , 1.25, 1.25, 1.25]], dtype=float32)
    >>> round(float(layer.rate), 2)
    0.2
    """

    parameter_name = "logit"
    noise = ConcreteMask

    positional = "layer rate"
    layer: Layer = InnerOrNone()  # type: ignore[assignment]
    rate = LearnedRate(0.1)
    temperature = Number(0.1, "(0, inf)")
    weight_regularizer = Number(1e-6, "[0, inf)")
    dropout_regularizer = Number(1e-5, "[0, inf)")

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Create the parameters: the logit, and those of the layer inside."""
        Wrapper.build(self, input_shape, rng, dtype)
        weight = None if isinstance(self.layer, Identity) else self._weight()
        if weight is not None and weight.value.shape[0] != input_shape[-1]:
            raise ValueError(
                f"{self.path}: the weight of shape {weight.value.shape} has no row for each of "
                f"{input_shape[-1]} inputs"
            )
        LearnedNoise.build(self, input_shape, rng, dtype)

    def _weight(self) -> Any:
        weight = dict(self.layer.named_parameters()).get("weight")
        if weight is None:
            raise ValueError(f"{self.path} goes around a layer with a weight, not {self.layer!r}")
        return weight

    def mask(self, shape: Shape, ctx: Context) -> Any:
        """Draw the noise of one pass."""
        logit = self.parameter.value
        return ctx.draw_as(
            ConcreteMask, shape, logit, temperature=self.temperature, storage=self.storage)

    @restoring_draws
    def forward(self, x: Array, ctx: Context, mask: Any = None) -> tuple[Array, Backward]:
        """Return the layer's output of noisy ``x``, and its backward."""
        noisy, back = LearnedNoise.forward(self, x, ctx, mask)
        if ctx.input_gradient or self.parameter.trainable:
            y, layer_back = self.layer.forward(noisy, ctx.inside)
            return y, lambda dy: back(layer_back(dy))
        return self.layer.forward(noisy, ctx.entering(self.layer))

    def own_penalty(self) -> float:
        """Return those terms that something depends on that is trained; add their gradients."""
        parameter = self.parameter
        eta = parameter.value.astype(np.float64)
        log_p, log_q = -np.logaddexp(0, -eta), -np.logaddexp(0, eta)
        p, q = np.exp(log_p), np.exp(log_q)
        share = self.dropout_regularizer * (1 if self.per_unit else self.units)
        share *= parameter.trainable
        total = share * (p * log_p + q * log_q)
        derivative = share * p * q * eta
        alone = not self.weight_regularizer or isinstance(self.layer, Identity)
        weight = None if alone else self._weight()
        if weight is not None and (weight.trainable or parameter.trainable):
            others = tuple(range(1, weight.value.ndim))
            rows = np.square(weight.value, dtype=np.float64).sum(axis=others)
            squares = self.weight_regularizer * (rows if self.per_unit else rows.sum())
            total = total + squares / q
            derivative = derivative + squares * p / q
            scale = 2 * self.weight_regularizer / q
            scale = scale.reshape(-1, *(1,) * (weight.value.ndim - 1))
            weight.accumulate(weight.value * scale.astype(weight.value.dtype))
        parameter.accumulate(np.asarray(derivative).astype(parameter.value.dtype))
        return float(np.sum(total))
