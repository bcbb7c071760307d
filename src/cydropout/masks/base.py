"""What all masks share: made from a key, a draw and a shape, they map arrays of that shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from cydropout import _arrays
from cydropout._kernels import api
from cydropout._kernels.threads import check_num_threads
from cydropout._rates import size_of
from cydropout._validate import check_integer

if TYPE_CHECKING:
    from typing_extensions import Self

#: run(x, y, code, num_threads) writes y, which may be x; both lie as the kernels want them.
Run = Callable[[np.ndarray, np.ndarray, int, int], None]

#: Keys and draws are below this.
WORD = 2**64
#: So many elements, 2**61, of a draw have a whole word each: the counter has no room for more.
WORD_BITS = 61


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

    Notes
    -----
    ``mask(x)`` and ``mask * x`` are ``mask.apply(x)``. ``np.asarray(mask)`` are the factors of x,
    or of a gradient where they differ. Masks are equal where they make the same of every array.
    ``mask[a:b]`` is `rows`.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import Mask
    >>> mask, x = Mask(key=0, draw=0, shape=(3, 4), rate=0.5), np.ones((3, 4))
    >>> np.asarray(mask)
    array([[0., 2., 0., 2.],
           [0., 2., 0., 0.],
           [2., 2., 2., 0.]])
    >>> bool((mask(x) == mask * x).all()), mask == Mask(key=0, draw=0, shape=(3, 4), rate=0.5)
    (True, True)
    >>> mask[1:](x[1:])
    array([[0., 2., 0., 0.],
           [2., 2., 2., 0.]])
    """

    #: Arrays leave ``x * mask`` to the mask.
    __array_ufunc__ = None
    __iter__ = None
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

    def over(self, shape: tuple[int, ...]) -> Self:
        """Return the same mask for arrays of ``shape``.

        Raises
        ------
        ValueError
            If the shape differs along an axis that is not shared.
        """
        if shape != self.shape:
            raise ValueError(f"x has shape {shape}, but the mask has shape {self.shape}")
        return self

    def rows(self, start: int, stop: int) -> BaseMask:
        """Return the mask of the rows ``x[start:stop]``, which makes the same of them.

        No number of the other rows is drawn: two processes can each take a part of one mask.

        Raises
        ------
        ValueError, TypeError
            If there are no such rows.
        """
        if not self.shape:
            raise ValueError("a mask of shape () has no rows")
        stop = check_integer("stop", stop, f"[0, {self.shape[0]}]")
        start = check_integer("start", start, f"[0, {stop}]")
        return self._rows(start, stop)

    def _rows(self, start: int, stop: int) -> BaseMask:
        """Return the mask of some rows; arrays that have as many rows as x are cut like it."""
        size, *inner = self.shape
        cut = {
            name: value[start:stop] for name, value in vars(self).items()
            if isinstance(value, np.ndarray) and value.ndim == len(self.shape)
            and len(value) == size > 1
        }
        twin = self._copy(shape=(stop - start, *inner), **(cut | self._cut(start, stop)))
        twin._build()
        return twin

    def _cut(self, start: int, stop: int) -> dict[str, Any]:
        """Return the attributes, of this kind of mask, that are others for some of the rows."""
        return {}

    def __getitem__(self, rows: slice) -> BaseMask:
        if not isinstance(rows, slice) or rows.step not in (None, 1) or not self.shape:
            raise TypeError(
                f"a mask is cut along its first axis, as in mask[2:5], not by {rows!r}; "
                "np.asarray(mask) can be indexed in other ways"
            )
        start, stop, _ = rows.indices(self.shape[0])
        return self.rows(start, max(start, stop))

    def __call__(self, x: ArrayLike, **options: Any) -> np.ndarray:
        """Return ``apply(x)``."""
        return self.apply(x, **options)

    def __mul__(self, x: ArrayLike) -> np.ndarray:
        return self.apply(x)

    __rmul__ = __mul__

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("the numbers of a mask are computed: there is no array without a copy")
        wanted = np.dtype(np.float64 if dtype is None else dtype)
        native = wanted.name in ("float16", "float32", "bfloat16")
        factors = self.backward(np.ones(self._result_shape, wanted if native else np.float64))
        return factors.astype(wanted, copy=False)

    @property
    def _result_shape(self) -> tuple[int, ...]:
        """The shape of what the map makes."""
        return self.shape

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BaseMask):
            return NotImplemented
        if self is other or self.shape != other.shape:
            return self is other
        # Distinct numbers tell all these maps apart; copies, so that nothing is held afterwards.
        x = np.arange(1.0, 1.0 + size_of(self.shape)).reshape(self.shape)
        mine, theirs = (one._rebuilt().apply(x) for one in (self, other))
        return np.array_equal(mine, theirs, equal_nan=True)

    def __hash__(self) -> int:
        return hash(self.shape)

    def _rebuilt(self) -> Self:
        twin = self._copy()
        twin._build()
        return twin

    def _copy(self, **changes: Any) -> Self:
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
        y = api.new_like(source) if out is None else out
        run(source, y, code, threads)
        return y
    if _arrays.is_foreign(x):
        return _arrays.as_given(  # type: ignore[no-any-return]
            x, out, lambda array: applied(run, shape, array, out, num_threads))
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
