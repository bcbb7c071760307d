"""Dense layers one after the other, with what follows each product, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from cydropout._arrays import dtype_code
from cydropout._kernels import api
from cydropout._kernels.blas import lend_products
from cydropout._kernels.threads import check_num_threads
from cydropout._validate import check_choice
from cydropout.functional.bias_activation_dropout import ACTIVATIONS
from cydropout.masks._sums import totals_for

Array = np.ndarray[Any, Any]


class DenseLayer(NamedTuple):
    """A layer of a `DenseStack`: units, activation, the sharpness of softplus, and its bias.

    Examples
    --------
    >>> from cydropout.functional.dense_stack import DenseLayer
    >>> DenseLayer(8, "relu").bias
    True
    """

    units: int
    activation: str = "linear"
    a: float = 1.0
    bias: bool = True


class Part(NamedTuple):
    """What takes part in a step of a `DenseStack`: some inputs, and some units of each layer.

    ``units`` are their numbers, int64 and ascending, at least two, or None for all: of the inputs
    and of each layer, of which the last has all. ``scales`` are what they are multiplied by.
    ``lazy`` says whether a step leaves what belongs to the others alone: a bias, or a weight if
    both its sides say so.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.functional.dense_stack import Part
    >>> Part([None, np.array([0, 2]), None], [1.0, 2.0, 1.0], [True, False, True]).sizes([3, 4, 2])
    [3, 2, 2]
    """

    units: list[Array | None]
    scales: list[float]
    lazy: list[bool]

    @property
    def is_wide(self) -> bool:
        """Whether there are at least two where not all take part: NumPy multiplies others apart."""
        return all(own is None or len(own) > 1 for own in self.units)

    def fits(self, whole: Sequence[int]) -> bool:
        """Whether it may be one of so many inputs, and units of each layer."""
        counts = {len(own) for own in (whole, *self)}
        return len(counts) == 1 and self.units[-1] is None and self.is_wide and all(
            own is None or api.rises(own, count)
            for own, count in zip(self.units, whole, strict=True))

    def sizes(self, whole: Sequence[int]) -> list[int]:
        """Return how many of the inputs, and of the units of each layer, take part."""
        return [count if own is None else len(own)
                for own, count in zip(self.units, whole, strict=True)]


class DenseStack:
    """``h_i = mask_i(act_i(h_(i-1) W_i + b_i))`` with ``h_0 = x``, and backward, in one call each.

    The products are those of `numpy.matmul`, the passes behind them those of
    `bias_activation_dropout`: the results are the same to the bit. They lie in arrays that the
    next call overwrites.

    Parameters
    ----------
    rows, inputs : int
        The shape of x; the rows at least 2.
    layers : sequence of DenseLayer
        The layers in order.
    dtype : {"float32", "float64"}
        Of all arrays.
    parts : bool
        Whether a `Part` of it may run, for which it needs more memory.

    Raises
    ------
    ValueError
        If there are fewer than 2 rows, no inputs, or a weight alone, since NumPy has other calls
        for its products; a name is unknown, or NumPy runs on another BLAS than OpenBLAS.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.functional.dense_stack import DenseLayer, DenseStack
    >>> if DenseStack.available():
    ...     stack = DenseStack(2, 3, [DenseLayer(4, "relu"), DenseLayer(2)], "float64")
    ...     weights, biases = [np.ones((3, 4)), np.ones((4, 2))], [np.zeros(4), np.ones(2)]
    ...     y = stack.forward(np.ones((2, 3)), weights, biases, [None, None])
    ...     assert (y == 13).all()
    """

    def __init__(
        self, rows: int, inputs: int, layers: Sequence[DenseLayer], dtype: Any, parts: bool = False
    ) -> None:
        if not self.available():
            raise ValueError("a DenseStack needs a NumPy that runs on OpenBLAS; use matmul")
        self.dtype = np.dtype(dtype)
        check_choice("dtype", self.dtype.name, ("float32", "float64"))
        sizes = [inputs, *(layer.units for layer in layers)]
        if not self.takes(rows, sizes):
            raise ValueError(f"rows must be at least 2, inputs and units at least 1, and not both "
                             f"1 in a layer, not {rows}, {sizes}")
        described = [self._described(rows, inputs, layer, parts)
                     for inputs, layer in zip(sizes, layers, strict=False)]
        entry = np.empty((rows, inputs), self.dtype) if parts else None
        self.inputs = (rows, inputs)
        self.kernel = api.DenseStack(rows, described, dtype_code(self.dtype), entry)
        self.fits = self.kernel.fits
        self.result: Array = described[-1][5]
        self.dx: Array = described[0][7]  # written by a backward pass to x alone
        self.nbytes = sum(array.nbytes for one in described for array in [*one[4:], entry]
                          if array is not None)
        self._units, self._parts = [layer.units for layer in layers], parts
        # What stands for a mask that keeps all.
        self.keeping = [self._scaling(units, 1.0) for units in self._units]

    @staticmethod
    def available() -> bool:
        """Whether NumPy's BLAS can be called from here: an OpenBLAS can."""
        return lend_products()

    @staticmethod
    def takes(rows: int, sizes: Sequence[int]) -> bool:
        """Whether there are stacks of these sizes: inputs, and the units of each layer."""
        alone = any(a == b == 1 for a, b in pairwise(sizes))
        return rows > 1 and len(sizes) > 1 and min(sizes) > 0 and not alone

    def _scaling(self, units: int, scale: float) -> api.Plan:
        """Return what multiplies so many units of all rows."""
        return api.Plan(0, 0, 0, self.inputs[0] * units, (2**32, scale), False)

    def restricted(self, part: Part) -> tuple[Any, ...]:
        """Return what the kernels are told to have a part take part alone."""
        whole = [self.inputs[1], *self._units]
        if not (self._parts and part.fits(whole)):
            raise ValueError(
                f"a part of {whole} needs a DenseStack with parts=True, and two or more of inputs "
                f"and units by their rising int64 numbers, of the last all, with a scale and lazy "
                f"for each, not {part}"
            )
        plans = [*map(self._scaling, part.sizes(whole)[1:], part.scales[1:])]
        return part.units, [*map(bool, part.lazy)], float(part.scales[0]), plans

    def _described(
        self, rows: int, inputs: int, layer: DenseLayer, parts: bool
    ) -> tuple[Any, ...]:
        kind = ACTIVATIONS[check_choice("activation", layer.activation, ACTIVATIONS)]
        columns = layer.units if layer.bias else 1
        z, dz = (np.empty((rows, layer.units), self.dtype) for _ in range(2))
        y, dx = z, np.empty((rows, inputs), self.dtype)
        # -0.0 is what leaves every number as it is, -0.0 too.
        shift = known = np.full(columns + api.TILE_SIZE, -0.0, self.dtype)
        # A linear unit's derivative is 1, and a ReLU's shows in the sign of y.
        if layer.activation not in ("linear", "relu"):
            y = np.empty_like(z)
        elif layer.bias:
            known = np.zeros_like(shift)
        totals = totals_for(z.size, columns, self.dtype)
        room = np.empty((inputs, layer.units), self.dtype) if parts else None
        return inputs, layer.units, kind, float(layer.a), z, y, dz, dx, shift, known, totals, room

    def forward(
        self, x: Array, weights: list[Array], biases: list[Array | None],
        plans: Sequence[api.Plan | None], *, num_threads: int | None = None,
    ) -> Array:
        """Return the last layer's result.

        Parameters
        ----------
        x, weights, biases : array and lists of arrays
            As `fits` allows them.
        plans : sequence of Plan or None
            `BitMask.fused_plan` of the mask of each layer's result, None where there is none.
        num_threads : int, optional
            By default as many as the work is worth.
        """
        used = [own or whole for own, whole in zip(plans, self.keeping, strict=True)]
        self._held = x, weights, used
        self.kernel.forward(x, weights, biases, used, check_num_threads(num_threads))
        return self.result

    def backward(
        self, dy: Array, dweights: list[Array], dbiases: list[Array | None], *,
        input_gradient: bool = True, num_threads: int | None = None,
    ) -> Array | None:
        """Write the gradients of all parameters, and return that of x, or None.

        ``dy`` is a contiguous array of the shape and dtype of the result.
        """
        self.kernel.backward(dy, dweights, dbiases, self._held[2], input_gradient,
                             check_num_threads(num_threads))
        return self.dx if input_gradient else None
