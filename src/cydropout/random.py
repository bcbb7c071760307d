"""Where masks are drawn from: a stream is a key and the number of its next draw."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from cydropout._validate import check_integer
from cydropout.masks.base import WORD, BaseMask
from cydropout.masks.bernoulli import Mask

#: What every public function takes as ``rng=`` (SPEC 7).
RNG: TypeAlias = "int | np.random.SeedSequence | np.random.Generator | MaskStream | None"

_Kind = TypeVar("_Kind", bound=BaseMask)
_Result = TypeVar("_Result")


@lru_cache(maxsize=256)
def _key_of_seed(seed: int) -> int:
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])


def _key(seed: Any) -> int:
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(seed, np.random.SeedSequence):
        return int(seed.generate_state(1, np.uint64)[0])
    if isinstance(seed, MaskStream):
        raise TypeError("a MaskStream is no seed; use it as it is, or copy it with copy.copy")
    try:
        return _key_of_seed(check_integer("a seed", seed, "[0, inf)"))
    except TypeError:
        raise TypeError(
            "rng must be None, an int, a SeedSequence, a numpy.random.Generator or a MaskStream, "
            f"not the {type(seed).__name__} {seed!r}"
        ) from None


class MaskStream:
    """A stream of masks: draw ``d`` of key ``k`` is always the same mask.

    The whole state is two integers, ``key`` and ``next_draw``. A stream may be shared between
    threads: every draw is handed out once.

    Parameters
    ----------
    seed : None, int, SeedSequence or numpy.random.Generator
        None takes fresh entropy. An int ``s`` gives the key
        ``SeedSequence(s).generate_state(1, "uint64")[0]``. A `Generator` gives one random key.

    Raises
    ------
    TypeError, ValueError
        If the seed is none of these, or negative.

    Notes
    -----
    Stream version 1: element ``i`` of draw ``d`` owns 32 random bits ``u_i`` of Philox4x32-10
    (Salmon et al. 2011) and is kept if and only if ``u_i < round((1 - rate) * 2**32)``.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream
    >>> stream = MaskStream(0)
    >>> mask = stream.draw((4,), 0.5)
    >>> mask.apply(np.ones(4))
    array([2., 2., 0., 0.])
    >>> stream.next_draw
    1
    """

    def __init__(self, seed: Any = None) -> None:
        # A Generator is only used when a key is needed: a refused call must not move it on.
        self._generator = seed if isinstance(seed, np.random.Generator) else None
        self._key = 0 if self._generator is not None else _key(seed)
        self._next_draw = 0
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        # How many calls may give their draws back, and which threads drew while there were any.
        self._watches, self._drawing = 0, set[int]()

    @classmethod
    def from_state(cls, key: int, next_draw: int) -> MaskStream:
        """Return the stream with this ``key`` whose next draw is number ``next_draw``."""
        key = check_integer("key", key, "[0, 2**64)")
        next_draw = check_integer("next_draw", next_draw, "[0, 2**64)")
        stream = cls.__new__(cls)
        stream.__setstate__((key, next_draw))
        return stream

    @property
    def key(self) -> int:
        """The 64-bit key."""
        if self._generator is not None:
            with self._lock:
                if self._generator is not None:
                    self._key = int(self._generator.integers(0, WORD, dtype=np.uint64))
                    self._generator = None
        return self._key

    @property
    def next_draw(self) -> int:
        """The number of the draw that comes next; may be set."""
        return self._next_draw

    @next_draw.setter
    def next_draw(self, value: int) -> None:
        self._next_draw = check_integer("next_draw", value, "[0, 2**64)")

    def take(self, count: int = 1) -> int:
        """Hand out the number of the next draw, the first of ``count``, and count on."""
        if count != 1:
            check_integer("count", count, "[0, 2**64)")
        with self._lock:
            draw = self._next_draw
            if draw >= WORD - count:
                raise OverflowError("this stream has no draw left; use another seed")
            self._next_draw = draw + count
            if self._watches:
                self._drawing.add(threading.get_ident())
        return draw

    def give_back(self, draw: int, count: int = 1) -> None:
        """Have ``count`` numbers from ``draw`` on handed out again, if they were the last ones.

        What they were for failed.
        """
        with self._lock:
            if self._next_draw == draw + count:
                self._next_draw = draw

    def restoring(self, call: Callable[..., _Result], *args: Any, **options: Any) -> _Result:
        """Return ``call(*args, **options)``; if it fails, the draws that it took are given back.

        Not so if other threads drew meanwhile, since each draw is handed out once.

        Examples
        --------
        >>> from cydropout import MaskStream
        >>> stream = MaskStream(0)
        >>> def fail():
        ...     raise MemoryError(f"behind draw {stream.take()}")
        ...
        >>> stream.restoring(fail)
        Traceback (most recent call last):
        MemoryError: behind draw 0
        >>> stream.next_draw
        0
        """
        with self._lock:
            first, self._watches = self._next_draw, self._watches + 1
        try:
            return call(*args, **options)
        except BaseException:
            with self._lock:
                if self._drawing <= {threading.get_ident()}:
                    self._next_draw = first
            raise
        finally:
            with self._lock:
                self._watches -= 1
                if not self._watches:
                    self._drawing.clear()

    def make(
        self, kind: Callable[..., _Kind], shape: int | tuple[int, ...], *args: Any, **options: Any
    ) -> _Kind:
        """Return ``kind(key, draw, shape, *args, **options)`` of the next draw.

        The stream moves on only if the mask could be made, and uses random numbers.

        Parameters
        ----------
        kind : type of mask
            Such as `cydropout.masks.AlphaMask`.
        shape : int or tuple of ints
            The shape of the arrays that the mask is for.
        *args, **options
            What else ``kind`` takes.

        Raises
        ------
        ValueError, TypeError
            If ``kind`` refuses an argument.

        Examples
        --------
        >>> from cydropout import MaskStream
        >>> from cydropout.masks import HeadMask
        >>> stream = MaskStream(0)
        >>> stream.make(HeadMask, (8, 12, 64), 0.2).draw, stream.next_draw
        (0, 1)
        """
        mask = kind(self._key, self._next_draw, shape, *args, **options)
        if self._grant(mask):
            return mask
        draw = self.take()
        try:
            return kind(self.key, draw, shape, *args, **options)
        except BaseException:
            self.give_back(draw)
            raise

    def _grant(self, mask: BaseMask) -> bool:
        """Count on if a mask was made with what comes next; False if it must be made again.

        So it must if another thread took that draw, or a Generator has yet to give the key.
        """
        if mask.draw is None:
            return True
        with self._lock:
            granted = (
                self._generator is None
                and mask.draw == self._next_draw < WORD - 1
                and mask.key == self._key
            )
            self._next_draw += granted
            if self._watches:
                self._drawing.add(threading.get_ident())
        return granted

    def draw(
        self,
        shape: int | tuple[int, ...],
        rate: ArrayLike,
        *,
        scaling: Literal["inverted", "classic", "sqrt"] = "inverted",
        shared_axes: int | tuple[int, ...] = (),
        storage: Literal["bits", "seed"] = "bits",
        offset: int = 0,
    ) -> Mask:
        """Return the `cydropout.Mask` of the next draw; see there for the parameters.

        A rate of 0 uses no random number: the stream does not move on. Nothing is drawn here, so no
        thread is started: the mask's first use draws its bits, with a team that suits its size and
        that waits for no thread which BLAS keeps busy (`cydropout.set_num_threads`).
        """
        # As `make`, but without the dict of options on the way.
        mask = Mask(
            self._key, self._next_draw, shape, rate, scaling=scaling, shared_axes=shared_axes,
            storage=storage, offset=offset,
        )
        if self._grant(mask):
            return mask
        return self.make(
            Mask, shape, rate, scaling=scaling, shared_axes=shared_axes, storage=storage,
            offset=offset,
        )

    def __getstate__(self) -> tuple[int, int]:
        return self.key, self._next_draw

    def __setstate__(self, state: tuple[int, int]) -> None:
        self._generator = None
        self._key, self._next_draw = state
        self._begin()

    def __repr__(self) -> str:
        return f"MaskStream.from_state(key={self.key}, next_draw={self._next_draw})"


_shared: dict[str, MaskStream] = {}


def as_stream(rng: RNG = None) -> MaskStream:
    """Return the stream that ``rng`` stands for.

    None gives a stream of this process, seeded with fresh entropy; a `MaskStream` itself; all
    else a new stream at its first draw, so that the same int always gives the same mask, and
    ``rng=0`` inside a loop repeats one mask.

    Examples
    --------
    >>> from cydropout.random import as_stream
    >>> as_stream(0).key == as_stream(0).key
    True
    """
    if isinstance(rng, MaskStream):
        return rng
    if rng is None:
        if "stream" not in _shared:
            _shared.setdefault("stream", MaskStream())
        return _shared["stream"]
    return MaskStream(rng)


# A forked child must not repeat the masks of its parent.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shared.clear)
