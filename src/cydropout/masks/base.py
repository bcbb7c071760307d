"""What all masks share: made from a key, a draw and a shape, they map arrays of that shape."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout._validate import check_integer

if TYPE_CHECKING:
    from typing_extensions import Self

#: run(x, y, code, num_threads) writes y, which may be x; both lie as the kernels want them.
Run = Callable[[np.ndarray, np.ndarray, int, int], None]

#: Keys and draws are below this.
WORD = 2**64


class BaseMask:
    """A map of arrays of one shape, and its gradient: a pure function of what made it.

    A mask that is drawn is made from a key, the number of a draw, and a shape; it knows nothing of
    the stream that hands these out (`cydropout.MaskStream.make`). A subclass says in `_run` what
    the map is, and in `_build` what the kernels need for it.

    Attributes
    ----------
    shape : tuple of ints
        The shape of the arrays that the mask is for.
    key, draw : int or None
        Which random numbers decide; None if none were used.

    Examples
    --------
    >>> from cydropout import masks
    >>> issubclass(masks.Mask, masks.BaseMask)
    True
    """

    shape: tuple[int, ...]
    key: int | None = None
    draw: int | None = None
    _plan: Any = None
    _shown: ClassVar[tuple[str, ...]] = ()

    def _build(self) -> None:
        """Make `_plan`, what the kernels need, from all else; it is not copied or pickled."""

    def _run(self, x: np.ndarray, y: np.ndarray, code: int, threads: int) -> None:
        raise NotImplementedError(f"{type(self).__name__} defines no map")

    @property
    def dropped_fraction(self) -> float:
        """The share of elements that are dropped; 0 of an empty mask."""
        raise NotImplementedError(f"{type(self).__name__} counts nothing")

    @property
    def nbytes(self) -> int:
        """Bytes held from forward to backward."""
        raise NotImplementedError(f"{type(self).__name__} counts no bytes")

    def fused_plan(self, shared_axes: tuple[int, ...] = ()) -> api.Plan | None:
        """Return what runs within another pass, or None if the mask needs one of its own.

        ``shared_axes`` are those along which that pass asks for one decision.
        """
        return None

    def apply(
        self, x: ArrayLike, out: np.ndarray | None = None, num_threads: int | None = None
    ) -> np.ndarray:
        """Return what the map makes of ``x``; parameters, result and errors as for `Mask.apply`."""
        return applied(self._run, self.shape, x, out, num_threads)

    def backward(
        self, dy: ArrayLike, out: np.ndarray | None = None, num_threads: int | None = None
    ) -> np.ndarray:
        """Return the gradient for x: of a linear mask, the mask of ``dy``."""
        return self.apply(dy, out, num_threads)

    def over(self, shape: tuple[int, ...]) -> "Self":
        """Return the same mask for arrays of ``shape``.

        Raises
        ------
        ValueError
            If the shape differs along an axis that is not shared.
        """
        if shape != self.shape:
            raise ValueError(f"x has shape {shape}, but the mask has shape {self.shape}")
        return self

    def _copy(self, **changes: Any) -> "Self":
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, **changes)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_plan"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._build()

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in ("shape", *self._shown))
        return f"{type(self).__name__}({shown})"


def check_mask(
    mask: Any, shape: tuple[int, ...], name: str, kind: type[BaseMask] = BaseMask
) -> None:
    """Raise unless ``mask`` is None or such a mask, for arrays of the shape of what is named."""
    if mask is None:
        return
    if not isinstance(mask, kind):
        raise TypeError(
            f"the mask of {name} must be a {kind.__name__} or None, not the {type(mask).__name__} "
            f"{mask!r}; masks.KeepMask makes one of an array of bool"
        )
    if mask.shape != shape:
        raise ValueError(f"{name} has shape {shape}, but the mask has shape {mask.shape}")


def check_source(key: Any, draw: Any) -> tuple[int, int]:
    """Return a key and the number of a draw; raise if they are no integers of 64 bits."""
    if type(key) is type(draw) is int and 0 <= key < WORD and 0 <= draw < WORD:
        return key, draw
    return check_integer("key", key, "[0, 2**64)"), check_integer("draw", draw, "[0, 2**64)")


def applied(
    run: Run,
    shape: tuple[int, ...],
    x: ArrayLike,
    out: np.ndarray | None,
    num_threads: int | None,
) -> np.ndarray:
    """Return what ``run`` makes of ``x``, in ``out`` if there is one; check all of them first."""
    threads = check_num_threads(num_threads)
    # The common call: most of the time of a small array goes into the checks below.
    code, source = api.ready(x, out), x
    if code >= 0 and isinstance(source, np.ndarray) and source.shape == shape:
        y = np.empty(shape, source.dtype) if out is None else out
        run(source, y, code, threads)
        return y
    x, code = _arrays.as_float_array(x)
    if x.shape != shape:
        raise ValueError(f"x has shape {x.shape}, but the mask has shape {shape}")
    if out is not None:
        _arrays.check_out(out, x)
    ready = _arrays.contiguous(x)
    # The result keeps the byte order of x; a copy made on the way is free to write to.
    if out is not None and _arrays.is_ready(out):
        y = out
    elif ready is not x and not np.may_share_memory(ready, x):
        y = ready
    else:
        y = np.empty(x.shape, x.dtype.newbyteorder("="))
    run(ready, y, code, threads)
    if out is None:
        return y.astype(x.dtype, copy=False)
    if y is not out:
        out[...] = y
    return out
