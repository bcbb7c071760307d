"""Multiplicative Gaussian noise: a diagonal linear map like a mask, but with no element at 0."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cydropout._kernels import api
from cydropout._rates import check_offset, check_rate, check_shape, check_sigma, periodic, size_of
from cydropout.masks.applied import applied
from cydropout.random import MaskStream


class GaussianMask:
    """y = (1 + sigma n) x with n standard normal: the same map forward and backward.

    Element ``i`` (flat, in C order) takes its ``n`` from word ``i % 4`` of the Philox block
    ``i // 4`` of the draw: the quantile of the normal distribution at ``(word + 1/2) / 2**32``, in
    float32 to about 1e-6. It is the same in every dtype. Nothing is stored: the noise is drawn at
    each use.

    Parameters
    ----------
    stream : MaskStream
        Where the draw is taken from.
    shape : int or tuple of ints
        The shape of the arrays that the noise is for.
    rate : float or array, optional
        Stands for ``sigma = sqrt(rate / (1 - rate))``, which has the variance of inverted dropout
        at that rate. An array broadcasts against the trailing axes. Where it is 1, all is 0.
    sigma : float or array, optional
        The standard deviation itself, instead of ``rate``.
    offset : int
        The noise starts at this element of the draw.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range; no draw is taken then.

    References
    ----------
    Srivastava et al. 2014, section 10; Kingma, Salimans, Welling, "Variational dropout and the
    local reparameterization trick", NIPS 2015.

    Attributes
    ----------
    key, draw : int or None
        Where on the tape the noise stands; None if there is none and no draw was used.
    """

    def __init__(
        self,
        stream: MaskStream,
        shape: int | tuple[int, ...],
        rate: ArrayLike | None = None,
        *,
        sigma: ArrayLike | None = None,
        offset: int = 0,
    ) -> None:
        if not isinstance(stream, MaskStream):
            raise TypeError(f"stream must be a MaskStream, not {stream!r}")
        if (rate is None) == (sigma is None):
            raise ValueError(f"give either a rate or a sigma, not {rate=} and {sigma=}")
        self.shape = check_shape(shape)
        self.offset = check_offset(offset, size_of(self.shape))
        self._dropped: np.ndarray | bool = False
        if sigma is None:
            assert rate is not None
            p = check_rate(rate)
            self._dropped = p == 1.0 if isinstance(p, float) else (p == 1).any() and p == 1
            q = np.where(np.asarray(p) == 1, 1.0, 1.0 - np.asarray(p))
            sigma = np.sqrt(np.where(np.asarray(p) == 1, 0.0, p) / q)
        self.sigma = check_sigma(sigma)
        spread = periodic(self.sigma, self.shape)
        self.key: int | None = None
        self.draw: int | None = None
        self._noise: api.Noise | None = None
        if np.any(spread):
            self.key, self.draw = stream.key, stream.take()
        self._make()

    def _make(self) -> None:
        if self.key is not None and self.draw is not None:
            spread = periodic(self.sigma, self.shape)
            self._noise = api.Noise(self.key, self.draw, self.offset, size_of(self.shape), spread)

    @property
    def values(self) -> np.ndarray:
        """The factors ``1 + sigma n``: float32, of the mask's shape."""
        if self._noise is None:
            y = np.ones(self.shape, np.float32)
        else:
            y = self._noise.values().reshape(self.shape)
        return self._drop(y)

    @property
    def nbytes(self) -> int:
        """Bytes held from forward to backward: none."""
        return 0

    def _drop(self, y: np.ndarray) -> np.ndarray:
        if self._dropped is not False:
            np.copyto(y, np.zeros((), y.dtype), where=self._dropped)
        return y

    def apply(
        self, x: ArrayLike, out: np.ndarray | None = None, num_threads: int | None = None
    ) -> np.ndarray:
        """y = (1 + sigma n) x; forward for activations, backward for gradients.

        Parameters, result and errors are those of `Mask.apply`.
        """
        return applied(self._run, self.shape, x, out, num_threads)

    def _run(self, x: np.ndarray, y: np.ndarray, code: int, threads: int) -> None:
        if self._noise is not None:
            self._noise.apply(x, y, code, threads)
        elif y is not x:
            np.copyto(y, x)
        self._drop(y)

    backward = apply

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_noise"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._noise = None
        self._make()

    def __repr__(self) -> str:
        return (f"GaussianMask(shape={self.shape}, sigma={self.sigma}, key={self.key}, "
                f"draw={self.draw}, offset={self.offset})")
