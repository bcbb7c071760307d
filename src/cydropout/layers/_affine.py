"""Affine: what layers share whose weights are a matrix, applied to the last axis."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cydropout._arrays import rows_of
from cydropout.layers._fused import check_activation
from cydropout.layers._initializers import check_init, initial
from cydropout.layers._layer import (
    NO_GRADIENT,
    Array,
    Backward,
    Parameter,
    Shape,
    as_float,
    native_dtype,
)
from cydropout.layers._penalties import Weighted
from cydropout.layers._settings import Checked, Count, Flag
from cydropout.layers._state import Entries, Entry


class Operands(NamedTuple):
    """What one pass works on: the parameters, the rows of the input, and the output's shape."""

    weight: Parameter
    bias: Parameter | None
    rows: Array
    shape: Shape


class Affine(Weighted):
    """Base of the layers with parameters "weight", ``(in, units)``, and "bias", ``(units,)``.

    A subclass defines `forward`. Parameters and errors are those of `Dense`.
    """

    unit_axis = -1
    with_lengths = "keep"
    positional = "units"
    units = Count(shapes=True)
    activation = Checked(check_activation, "linear")
    init = Checked(check_init, "glorot")
    bias = Flag(True, shapes=True)

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Draw the weights from the NumPy generator ``rng``."""
        self.output_shape(input_shape)
        if self._parameters:
            return
        kind = native_dtype(dtype or "float32")
        weight = initial(self.init, input_shape[-1], self.units, np.random.default_rng(rng), kind)
        self._add("weight", weight)
        if self.bias:
            self._add("bias", np.zeros(self.units, kind))

    def parameter(self, name: str) -> Parameter | None:
        """Return the parameter of that name within this layer, if there is one by now."""
        return self._parameters.get(name)

    def operands(self, x: Array) -> Operands:
        """Check ``x``, and return what a pass over it works on."""
        if not self._parameters:
            raise RuntimeError(f"{self.path} has no weights yet: call build(input_shape) first")
        weight, bias = self._parameters["weight"], self._parameters.get("bias")
        x = as_float(x, self.path).astype(weight.value.dtype, copy=False)
        if x.ndim < 2:
            raise ValueError(f"{self.path} needs a batch axis and features, got shape {x.shape}")
        self.output_shape(x.shape[1:])
        rows = rows_of(x)
        return Operands(weight, bias, rows, (*x.shape[:-1], self.units))

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return ``input_shape`` with its last axis replaced by ``units``."""
        if not input_shape:
            raise ValueError(f"{self.path} needs inputs with a feature axis, got samples of "
                             "shape (); of one sample make x[None]")
        features = self._parameters["weight"].value.shape[0] if self._parameters else None
        if features is not None and input_shape[-1] != features:
            raise ValueError(f"{self.path} has {features} input features, got {input_shape[-1]}")
        return (*input_shape[:-1], self.units)

    def torch_entries(self) -> Entries:
        """Return the parameters as ``torch.nn.Linear`` holds them: matrices are transposed."""
        return {name: Entry(one, np.transpose) for name, one in self._parameters.items()}

def product(
    rows: Array, weight: Parameter, bias: Parameter | None, input_gradient: bool = True
) -> tuple[Array, Backward]:
    """Return ``rows W + b``, and the function that adds up ``dW`` and ``db`` and returns ``dx``."""
    y: Array = np.matmul(rows, weight.value)
    if bias is not None:
        y += bias.value

    def backward(dy: Array) -> Array:
        weight.accumulate_product(rows.T, dy)
        if bias is not None and bias.trainable:
            bias.accumulate(dy.sum(axis=0))
        return np.matmul(dy, weight.value.T) if input_gradient else NO_GRADIENT

    return y, backward
