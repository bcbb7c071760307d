"""Multiplicative noise: a diagonal linear map like a mask, with a factor for each element."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout._rates import size_of
from cydropout._validate import check_choice, check_offset, check_shape
from cydropout.masks._sums import spread_axes, summed_to, totals_for
from cydropout.masks.base import WORD_BITS, BaseMask, check_source

Storage: TypeAlias = Literal["values", "seed"]


class NoiseMask(BaseMask):
    """y = f x, where f is a function of a standard variate for each element, and of parameters.

    Element ``i`` (flat, in C order) takes its variate from word ``i % 4`` of the Philox block
    ``i // 4`` of the draw: the quantile of its distribution at ``u = (word + 1/2) / 2**32``, in
    float32 to about 1e-6, and the same to the bit everywhere. The factor is computed from it in
    float64 for an array of float64, else in float32.

    With ``storage="values"`` what was drawn is held from the first use on, since to read it costs
    less than to draw it again: the variates, or of Concrete noise 1 - z in the precision of that
    use. With "seed" nothing is held. The numbers are the same.

    A subclass says in `_theta` what the kernels need, and in `_parameter` what it differs by.

    Attributes
    ----------
    shape : tuple of ints
        The shape of the arrays that the noise is for.
    offset : int
        The noise starts at this element of the draw, which has 2**61.
    storage : {"values", "seed"}
        What is held between uses.
    key, draw : int or None
        Which random numbers the variates are made of; None if there is no noise.

    Examples
    --------
    >>> from cydropout import masks
    >>> issubclass(masks.GaussianMask, masks.NoiseMask)
    True
    """

    logistic: ClassVar[bool] = False
    _sharpness: float = 1.0
    _plan: api.Noise | None

    def __init__(
        self,
        key: int,
        draw: int,
        shape: int | tuple[int, ...],
        offset: int = 0,
        storage: Storage = "values",
    ) -> None:
        self.key, self.draw = check_source(key, draw)
        self.shape = check_shape(shape)
        self.offset = check_offset(offset, size_of(self.shape), WORD_BITS)
        self.storage = check_storage(storage)

    def _build(self) -> None:
        theta = self._theta()
        if not theta.any():  # no noise uses no random number
            self.key = self.draw = None
        self._plan = None
        if self.key is not None and self.draw is not None:
            self._plan = api.Noise(
                self.key, self.draw, self.offset, size_of(self.shape), theta, self.logistic,
                self._sharpness, self.storage == "values",
            )

    def _cut(self, start: int, stop: int) -> dict[str, Any]:
        return {"offset": self.offset + start * size_of(self.shape[1:])}

    def _theta(self) -> np.ndarray:
        """Return the rows of float64 that the kernels compute factors from, by period."""
        raise NotImplementedError(f"{type(self).__name__} defines no theta")

    @property
    def _parameter(self) -> float | np.ndarray:
        """What `gradients` gives the gradient of."""
        raise NotImplementedError(f"{type(self).__name__} defines no parameter")

    @property
    def variates(self) -> np.ndarray:
        """The standard variates: float32, of the mask's shape; zeros where none were drawn."""
        if self._plan is None:
            return np.zeros(self.shape, np.float32)
        return self._plan.variates().reshape(self.shape)

    @property
    def values(self) -> np.ndarray:
        """The factors f: float32, of the mask's shape."""
        return self.apply(np.ones(self.shape, np.float32))

    @property
    def dropped_fraction(self) -> float:
        """The share of factors that are 0."""
        return float(np.mean(self.values == 0)) if size_of(self.shape) else 0.0

    @property
    def nbytes(self) -> int:
        """Bytes held from forward to backward: 0 before the first use, or with "seed"."""
        return 0 if self._plan is None else self._plan.nbytes

    def _run(self, x: np.ndarray, y: np.ndarray, code: int, threads: int) -> None:
        if self._plan is not None:
            self._plan.apply(x, y, code, threads)
        elif y is not x:
            np.copyto(y, x)

    def gradients(
        self, x: ArrayLike, dy: ArrayLike, num_threads: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """dx = f dy, and for the parameter of f the sums of dy x df, in one pass.

        Parameters
        ----------
        x, dy : arrays of the mask's shape
            What `apply` was given, and the gradient of its result, of the same dtype.
        num_threads : int, optional
            By default as many as the work is worth.

        Returns
        -------
        dx : array of the shape and dtype of dy
        dparameter : array of the shape of the parameter
            float64 for arrays of float64, else float32; the same to the bit for any number of
            threads. Zeros where nothing was drawn.

        Raises
        ------
        TypeError, ValueError
            If a dtype or a shape does not fit.
        """
        threads = check_num_threads(num_threads)
        x, code = _arrays.as_float_array(x)
        dy, same = _arrays.as_float_array(dy, "dy")
        if x.shape != self.shape or dy.shape != self.shape or code != same:
            raise ValueError(
                f"x is {x.dtype} {x.shape} and dy {dy.dtype} {dy.shape}; both must have the mask's "
                f"shape {self.shape}, and one dtype"
            )
        parameter = np.shape(self._parameter)
        wide = np.float64 if code == 3 else np.float32
        if self._plan is None:
            return self.backward(dy, num_threads=num_threads), np.zeros(parameter, wide)
        columns = max(1, size_of(spread_axes(parameter, self.shape)))
        totals = totals_for(x.size, columns, wide)
        dx = np.empty(dy.shape, dy.dtype.newbyteorder("="))
        self._plan.backward(
            _arrays.contiguous(dy), _arrays.contiguous(x), dx, totals, code, columns, threads
        )
        return dx, summed_to(totals, parameter, self.shape)


def check_storage(storage: Storage) -> Storage:
    """Return ``storage``; raise if noise knows no such one."""
    found: Storage = check_choice("storage", storage, ("values", "seed"))
    return found
