"""Alpha dropout: what is dropped goes to a SELU's lower end, and mean and variance are kept."""

from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from cydropout._kernels import api
from cydropout._rates import ONE
from cydropout._validate import check_one_rate
from cydropout.masks._applied import applied
from cydropout.masks.bernoulli import Mask
from cydropout.random import MaskStream

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
    stream, shape, shared_axes, storage, offset
        As for `Mask`.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", NIPS 2017.
    """

    def __init__(
        self,
        stream: MaskStream,
        shape: int | tuple[int, ...],
        rate: float,
        *,
        shared_axes: int | tuple[int, ...] = (),
        storage: Literal["bits", "seed"] = "bits",
        offset: int = 0,
    ) -> None:
        rate = check_one_rate(rate, "alpha dropout")
        super().__init__(
            stream, shape, rate, shared_axes=shared_axes, storage=storage, offset=offset
        )

    @property
    def scale(self) -> float:
        """What kept elements are multiplied by, ``a``."""
        return _coefficients(self._state[0])[0]

    @property
    def shift(self) -> float:
        """What is added to kept elements, ``b``."""
        return _coefficients(self._state[0])[1]

    def _make(self, q: Any, scale: Any, store: bool, kernel: Any = None) -> None:
        a, b = _coefficients(q)
        super()._make(q, a, store, (q, a))
        self._plan.set_affine(b, a * LOWER + b)

    @property
    def _is_affine(self) -> bool:
        return self.key is not None or self._given is not None

    def fused_plan(self, shared_axes: tuple[int, ...] = ()) -> api.Plan | None:
        """Return None: an affine map needs a pass of its own."""
        return None

    def apply(
        self, x: ArrayLike, out: np.ndarray | None = None, num_threads: int | None = None
    ) -> np.ndarray:
        """y = a x + b where kept, else a LOWER + b; see `Mask.apply`."""
        run = partial(self._run, affine=self._is_affine)
        return applied(run, self.shape, x, out, num_threads)

    def backward(
        self, dy: ArrayLike, out: np.ndarray | None = None, num_threads: int | None = None
    ) -> np.ndarray:
        """dx = a dy where kept, else 0; see `Mask.apply`."""
        return applied(self._run, self.shape, dy, out, num_threads)


def _coefficients(q: int) -> tuple[float, float]:
    k = q / ONE
    if k == 0:
        return 0.0, 0.0
    a: float = (k * (1 + (1 - k) * LOWER**2)) ** -0.5
    return a, -a * (1 - k) * LOWER
