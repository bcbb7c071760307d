"""Parameter: an array of a layer, and its gradient, whole or of a submatrix."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cydropout import functional
from cydropout._arrays import check_ndarray
from cydropout._validate import check_array, check_flag
from cydropout.functional import Gradient, Submatrix

Array: TypeAlias = npt.NDArray[Any]


class Parameter:
    """An array that belongs to a layer's state, and the sum of its gradients.

    Optimizers scale columns longer than ``max_norm`` back to it after each step, or with ``by_row``
    the rows, along the last axis. One that is not
    ``trainable`` is saved and restored like all others; nothing is added to its gradient, and
    penalties, clipping and optimizers leave it alone. `Layer.freeze` sets that, and
    `Layer.unfreeze` takes it back; one that is made so, such as a running average, stays so.

    After `zero_grad` the gradient counts as zeros without being written: the first accumulation
    overwrites it, the later ones add. If only a `Submatrix` has a gradient, that block alone is
    kept, until somebody asks for `grad` or adds to it. A lazy step stays one if `grad` is only
    asked for.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.layers import Parameter
    >>> weight = Parameter(np.ones((2, 3)), "weight")
    >>> weight.grad += 1
    >>> weight.zero_grad()
    >>> weight.grad.sum()
    np.float64(0.0)
    """

    __slots__ = (
        "__weakref__", "_grad", "_part", "_spread", "_stale", "_trainable", "_whole", "by_row",
        "max_norm", "name", "value", "was_made_to_train",
    )

    def __init__(
        self, value: Array, name: str, max_norm: float | None = None, *, trainable: bool = True,
        by_row: bool = False,
    ) -> None:
        check_ndarray(f"value of {name!r}", value)
        self.value = value
        self.name = name
        self.max_norm = max_norm
        self.by_row = by_row
        self.trainable = trainable
        self.was_made_to_train = self.trainable
        self._grad: Array | None = None
        self._whole: Gradient | None = None
        # The block lies at the beginning of the gradient's memory, until it is spread over it.
        self._part: Gradient | None = None
        self._spread = False
        self._stale = True

    def __getstate__(self) -> tuple[Any, dict[str, Any]]:
        """Leave the gradient out of copies and pickles."""
        kept = {name: getattr(self, name) for name in Parameter.__slots__ if name[:2] != "__"}
        none = {"_grad": None, "_whole": None, "_part": None, "_spread": False, "_stale": True}
        return getattr(self, "__dict__", None), kept | none

    @property
    def trainable(self) -> bool:
        """Whether anything is added to the gradient, and optimizers step the value."""
        return self._trainable

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        self._trainable = check_flag("trainable", trainable)

    def _buffer(self) -> Array:
        if self._grad is None:
            self._grad = np.empty(self.value.shape, self.value.dtype)
        return self._grad

    @property
    def grad(self) -> Array:
        """The accumulated gradient, of the shape and dtype of `value`."""
        grad, part = self._buffer(), self._part
        if self._stale:
            grad.fill(0)
            self._stale = False
        elif part and part.submatrix and not self._spread:
            block = part.array.copy()
            grad.fill(0)
            functional.scatter_submatrix(block, grad, part.submatrix, num_threads=1)
            # What the caller writes elsewhere must count, unless the step is to be lazy.
            self._part, self._spread = (part, True) if part.lazy else (None, False)
        return grad

    @grad.setter
    def grad(self, array: Array) -> None:
        array = self._gradient(array)
        self._check(array.shape)
        if array is self._grad and not self._stale:
            return
        np.copyto(self._buffer(), array)
        self._stale, self._part = False, None

    @property
    def gradient(self) -> Gradient:
        """What an optimizer steps by: all of `grad`, or what is that of a submatrix so far.

        It is the same object as long as it is the same array.
        """
        part = self._part
        if part and part.submatrix:
            if not self._spread:
                return part
            block = functional.gather_submatrix(self.grad, part.submatrix, num_threads=1)
            return part._replace(array=block)
        grad = self.grad
        if self._whole is None or self._whole.array is not grad:
            self._whole = Gradient(grad)
        return self._whole

    def move_gradient(self, array: Array) -> None:
        """Have all of the gradient lie in an array that is like the value."""
        if self.grad is not array:
            np.copyto(array, self.grad)
            self._grad = array

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self._stale, self._part = True, None

    def unwritten(self) -> Array | None:
        """Return where all of the first gradient is to be written, or None if there is one."""
        return self._first(None, False) if self._stale else None

    @property
    def place(self) -> Array:
        """Where the gradient lies; `wrote` says that another was written there."""
        return self._buffer()

    def wrote(self, submatrix: Submatrix | None = None, *, lazy: bool = False) -> None:
        """Say that the gradient is what was written to its place, all of it or a submatrix's."""
        self.zero_grad()
        self._first(submatrix, lazy)

    def accumulate(
        self, array: Array, submatrix: Submatrix | None = None, *, lazy: bool = False
    ) -> None:
        """Add ``array`` to the gradient, or to that of a submatrix.

        ``lazy`` has an optimizer step the submatrix alone, as long as nothing is added.
        """
        array = self._gradient(array)
        self._check(array.shape, submatrix)
        if not self.trainable:
            return
        if self._stale:
            np.copyto(self._first(submatrix, lazy), array)
        else:
            self._add(array, submatrix)

    def accumulate_product(
        self, a: Array, b: Array, submatrix: Submatrix | None = None, *, lazy: bool = False
    ) -> None:
        """Add the matrix product ``a @ b`` to the gradient, or to that of a submatrix."""
        self._check((a.shape[0], b.shape[1]), submatrix)
        if not self.trainable:
            return
        if self._stale:
            np.matmul(a, b, out=self._first(submatrix, lazy))
        else:
            self._add(np.matmul(a, b), submatrix)

    def _first(self, submatrix: Submatrix | None, lazy: bool) -> Array:
        """Return where the first gradient goes: all of the buffer, or as much as a block needs."""
        place = self._buffer()
        self._stale = False
        if submatrix is not None:
            height, width = (1, *submatrix.block_shape)[-2:]
            place = place.reshape(-1)[: height * width].reshape(submatrix.block_shape)
            self._part, self._spread = Gradient(place, submatrix, lazy), False
        return place

    def _add(self, array: Array, submatrix: Submatrix | None) -> None:
        grad = self.whole()
        if submatrix is None:
            grad += array
        else:
            functional.scatter_submatrix(array, grad, submatrix, num_threads=1)

    def whole(self) -> Array:
        """Return all of the gradient, to be added to in place."""
        grad, self._part = self.grad, None
        return grad

    def _gradient(self, array: Array) -> Array:
        if type(array) is np.ndarray:
            return array
        return check_array(f"gradient of {self.name!r}", array)

    def check_like(self, what: str, name: str, array: Array) -> None:
        """Raise unless an array, which is ``what`` of a name, is like the value."""
        if array.shape != self.value.shape or array.dtype != self.value.dtype:
            raise ValueError(
                f"{what} {name!r} is {array.dtype} {array.shape}, "
                f"the parameter {self.value.dtype} {self.value.shape}"
            )

    def _check(self, shape: tuple[int, ...], submatrix: Submatrix | None = None) -> None:
        if submatrix is not None and submatrix.shape != self.value.shape:
            raise ValueError(
                f"a submatrix of {submatrix.shape} does not fit the parameter {self.name!r} "
                f"{self.value.shape}"
            )
        if shape != (self.value.shape if submatrix is None else submatrix.block_shape):
            raise ValueError(
                f"gradient of {self.name!r} has shape {shape}, the parameter {self.value.shape}"
                + ("" if submatrix is None else f", and its submatrix {submatrix.block_shape}")
            )

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.value.shape}, dtype={self.value.dtype})"
