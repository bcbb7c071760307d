"""Alpha dropout: what is dropped goes to a SELU's lower end, and mean and variance are kept."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from cydropout._kernels import api
from cydropout._rates import ONE, threshold
from cydropout._validate import check_one_rate
from cydropout.masks.base import applied
from cydropout.masks.bernoulli import Mask

#: What a SELU tends to far below 0: -scale * alpha.
LOWER = -1.7580993408473766


class AlphaMask(Mask):
    """y = a x + b where kept, else a LOWER + b, with LOWER = -1.7581, the lower end of a SELU.

    With k the realised keep probability, ``a = (k (1 + (1 - k) LOWER**2)) ** -0.5`` and
    ``b = -a (1 - k) LOWER``: an input of mean 0 and variance 1 keeps both. The map is affine:
    `apply` goes forward, `backward` multiplies a gradient by ``a`` where kept, else by 0.

    Parameters
    ----------
    rate : float
        The probability of dropping. At 1 all is 0.
    key, draw, shape, shared_axes, storage, offset
        As for `Mask`.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", NIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.masks import AlphaMask
    >>> AlphaMask(key=0, draw=0, shape=4, rate=0.5).apply(np.ones(4)).round(3)
    array([-0.779,  1.666, -0.779,  1.666])
    """

    def __init__(
        self,
        key: int,
        draw: int,
        shape: int | tuple[int, ...],
        rate: float,
        *,
        shared_axes: int | tuple[int, ...] = (),
        storage: Literal["bits", "seed"] = "bits",
        offset: int = 0,
    ) -> None:
        rate = check_one_rate(rate, "alpha dropout")
        super().__init__(
            key, draw, shape, rate, shared_axes=shared_axes, storage=storage, offset=offset
        )

    @property
    def _coefficients(self) -> tuple[float, float]:
        """The scale and the shift of kept elements; both 0 if there are none."""
        k = float(threshold(self.rate)) / ONE
        if k == 0:
            return 0.0, 0.0
        a = (k * (1 + (1 - k) * LOWER**2)) ** -0.5
        return a, -a * (1 - k) * LOWER

    @property
    def scale(self) -> float:
        """What kept elements are multiplied by, ``a``."""
        return self._coefficients[0]

    @property
    def shift(self) -> float:
        """What is added to kept elements, ``b``."""
        return self._coefficients[1]

    def _build(self) -> None:
        q, (a, b) = threshold(self.rate), self._coefficients
        if q == ONE:
            self.key = self.draw = None
        self._make_plan((int(q), a))
        self._plan.set_affine(b, a * LOWER + b)

    def fused_plan(self, shared_axes: tuple[int, ...] = ()) -> api.Plan | None:
        """Return None: an affine map needs a pass of its own."""
        return None

    def apply(
        self, x: ArrayLike, out: np.ndarray | None = None, num_threads: int | None = None
    ) -> np.ndarray:
        """y = a x + b where kept, else a LOWER + b; see `Mask.apply`."""
        affine = self.draw is not None or self._words is not None
        return applied(partial(self._run, affine=affine), self.shape, x, out, num_threads)

    def backward(
        self, dy: ArrayLike, out: np.ndarray | None = None, num_threads: int | None = None
    ) -> np.ndarray:
        """dx = a dy where kept, else 0; see `Mask.apply`."""
        return super().apply(dy, out, num_threads)
