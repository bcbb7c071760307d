"""LearnedNoise: multiplicative noise whose strength is a parameter."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from cydropout._validate import check_one_rate
from cydropout.layers._layer import (
    Array,
    Backward,
    Context,
    Parameter,
    Shape,
    as_float,
    as_gradient,
    native_dtype,
    restoring_draws,
)
from cydropout.layers._settings import Checked, Flag, Setting
from cydropout.layers.dropout._masked import NoisyLayer
from cydropout.masks import FactorMask, NoiseMask
from cydropout.masks.noise import check_storage


class LearnedRate(Setting):
    """The rate learned so far: a float or, per unit, an array. One that is set is for all."""

    def __get__(self, layer: Any, owner: Any = None) -> Any:
        if layer is None:
            return self
        if not layer._parameters:
            return layer.initial_rate
        rate = np.exp(-np.logaddexp(0, -layer.parameter.value.astype(np.float64)))
        return float(rate) if rate.ndim == 0 else rate

    def __set__(self, layer: Any, value: Any) -> None:
        checked = check_one_rate(value, type(layer).__name__)
        if not 0 < checked < 1:
            raise ValueError(f"a rate that is learned must lie between 0 and 1, not at {value}")
        layer.initial_rate = checked
        if layer._parameters:
            layer.parameter.value[...] = _logit(checked)

    def read(self, layer: Any) -> float:
        """Return the rate that learning began with."""
        return float(layer.initial_rate)


class LearnedNoise(NoisyLayer):
    """y = f x, with the gradient of the parameter that f depends on: the logit of the rate.

    It is one number or, with ``per_unit``, one for each place of the last axis, and is called
    `parameter_name`; noise of the class `noise` gives its gradient. Between forward and backward
    the input is held and, unless ``storage="seed"``, what was drawn.
    """

    parameter_name: ClassVar[str]
    noise: ClassVar[type[NoiseMask]]

    learns_rate = True
    with_lengths = "keep"
    initial_rate: float

    positional = "rate"
    rate = LearnedRate()
    per_unit = Flag(False, shapes=True)
    storage = Checked(check_storage, "values")

    @property
    def units(self) -> int:
        """How many units the last axis of the input has; 0 before `build`."""
        return self._units if self._parameters else 0

    @property
    def parameter(self) -> Parameter:
        """The parameter that is learned; there after `build`."""
        try:
            return self._parameters[self.parameter_name]
        except KeyError:
            raise RuntimeError(
                f"{self.path} has no parameters yet: call build(input_shape) first"
            ) from None

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Create the parameter for the units of the last axis."""
        if self._parameters:
            return
        if not input_shape:
            raise ValueError(f"{self.path} needs inputs with a feature axis, got shape ()")
        self._units = int(input_shape[-1])
        shape = (self._units,) if self.per_unit else ()
        value = np.full(shape, _logit(self.initial_rate), native_dtype(dtype or "float32"))
        self._parameters[self.parameter_name] = Parameter(value, self.parameter_name)

    def given(self, array: Any, shape: Shape) -> FactorMask:
        """Return the noise whose factors are ``array``; it has no gradient for the parameter."""
        return FactorMask(shape, array)

    def to_parameter(self, used: Any, gradient: Array) -> Array:
        """Return the parameter's gradient from that of the noise."""
        return gradient

    @restoring_draws
    def forward(self, x: Array, ctx: Context, mask: Any = None) -> tuple[Array, Backward]:
        """Return ``f x``, and what returns ``f dy`` and adds up the parameter's gradient.

        Parameters
        ----------
        x : array
            float16, bfloat16, float32 or float64.
        ctx : Context
            Of the pass.
        mask : mask or array, optional
            Used instead of one that is drawn; it keeps the strength it was drawn with. An array
            holds the factors, and gives the parameter no gradient.
        """
        x = as_float(x, self.path)
        parameter = self.parameter
        used = ctx.mask_for(self, x.shape, mask)
        y = used.apply(x, num_threads=ctx.num_threads)

        def backward(dy: Array) -> Array:
            if not isinstance(used, self.noise) or not parameter.trainable:
                untouched: Array = used.backward(dy, num_threads=ctx.num_threads)
                return untouched
            dy = as_gradient(dy, x.shape, x.dtype)
            dx, gradient = used.gradients(x, dy, num_threads=ctx.num_threads)
            parameter.accumulate(self.to_parameter(used, gradient).astype(parameter.value.dtype))
            return dx

        return y, backward


def _logit(rate: float) -> float:
    return float(np.log(rate) - np.log1p(-rate))
