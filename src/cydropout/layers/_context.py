"""What a pass knows: `Context`, and `Masks`, which says what masks it uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from cydropout._rates import Scaling
from cydropout._samples import check_ends, within
from cydropout._validate import check_choice, check_flag, check_integer, shown
from cydropout.functional.host import check_num_threads
from cydropout.layers._workspace import Workspace
from cydropout.masks import InferenceMask, Mask
from cydropout.random import MaskStream

MODES = ("replay", "record", "override")


class Masks:
    """The masks that passes use, by layer: recorded, replayed or overridden.

    Parameters
    ----------
    masks : dict
        By layer; of a layer with several masks a dict of them by name.
    mode : {"replay", "record", "override"}
        "replay" has a mask that stands here used again, and records all that are used. "record"
        gives nothing back, so that passes draw as they would without it. "override" gives, and
        records nothing.
    behind : Masks, optional
        What is asked next, and records too.

    Examples
    --------
    >>> from cydropout import MaskStream
    >>> from cydropout.layers import Context, Dropout
    >>> layer, masks = Dropout(0.5), {}
    >>> ctx = Context(training=True, stream=MaskStream(0), masks=masks)
    >>> ctx.mask_for(layer, (4, 4)) is masks[layer]
    True
    """

    __slots__ = ("behind", "masks", "mode")

    def __init__(
        self,
        masks: dict[Any, Any],
        mode: Literal["replay", "record", "override"] = "replay",
        behind: Masks | None = None,
    ) -> None:
        check_choice("mode", mode, MODES)
        self.masks, self.mode, self.behind = masks, mode, behind

    def __getitem__(self, layer: Any) -> Any:
        return self.masks[layer.origin]

    def find(self, layer: Any) -> Any:
        """Return the mask that a layer has to use, or None."""
        found = None if self.mode == "record" else self.masks.get(layer.origin)
        return self.behind.find(layer) if found is None and self.behind is not None else found

    def record(self, layer: Any, mask: Any) -> None:
        """Write down which mask a layer used."""
        if self.mode != "override":
            self.masks[layer.origin] = mask
        if self.behind is not None:
            self.behind.record(layer, mask)


@dataclass(frozen=True, slots=True)
class Context:
    """What one pass through a model needs to know.

    Parameters
    ----------
    training : bool
        Whether noise is drawn.
    stream : MaskStream, optional
        Where masks are drawn from; needed when `training`.
    num_threads : int, optional
        Threads of the elementwise kernels; None takes what `cydropout.get_num_threads` says. The
        default is 1, since the products in between run on the threads of BLAS: two pools that
        take turns within a step wait for each other much longer than they work.
    input_gradient : bool
        False lets a model skip the gradient with respect to its own input, which a training step
        never reads; its backward pass then returns an empty array.
    masks : dict or Masks, optional
        The masks of a training pass by layer. A layer that finds its mask there uses it; one that
        does not draws a mask and puts it there. So a dict that starts empty tells which masks were
        used, passed again it has them used again, and cleared it ends that.
    backward : bool
        False where nobody asks for gradients, as in Monte Carlo dropout: noise then holds nothing
        for them.
    workspace : Workspace, optional
        Where layers take the arrays of their results from, all of which are then those of this
        step alone; without one they allocate them.
    states : dict, optional
        The states of recurrent layers by layer. A layer that finds its state there starts from it,
        and leaves the last one there: so a long sequence can go by in parts.
    batch_statistics : bool
        Whether a training pass normalises with the statistics of its batch, where a layer does
        so; False has it use the running averages, as at inference.
    lengths : array of int, optional
        How many positions of each sequence of a batch (n, time, ...) count; what lies behind them
        is padding, and moves nothing. `Layer.with_lengths` says which layers take that.
    rows : (start, stop, total), optional
        The batch is rows ``[start, stop)`` of one of ``total`` rows: the masks are those rows of
        the masks of the whole. A layer draws what is not cut like the batch, such as the mask of
        its weights, from `whole`.
    sums : function, optional
        Returns the sum of an array of float64 over all who have `rows` of the batch, each of whom
        calls it as often, in the same order; `Layer.by_sums` says which layers do.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream
    >>> from cydropout.layers import Context, Dropout
    >>> y, backward = Dropout(0.5).forward(np.ones(8), Context(True, MaskStream(0)))
    >>> bool((backward(np.ones(8)) == y).all())
    True
    """

    training: bool = False
    stream: MaskStream | None = None
    num_threads: int | None = 1
    input_gradient: bool = True
    masks: Any = None
    backward: bool = True
    workspace: Workspace | None = None
    states: dict[Any, Any] | None = None
    batch_statistics: bool = True
    lengths: Any = None
    rows: tuple[int, int, int] | None = None
    sums: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]] | None = None
    _inside: Context | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_num_threads(self.num_threads)
        for name in ("training", "input_gradient", "backward", "batch_statistics"):
            if type(getattr(self, name)) is not bool:
                object.__setattr__(self, name, check_flag(name, getattr(self, name)))
        for name, kind in (("stream", MaskStream), ("workspace", Workspace), ("states", dict)):
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise TypeError(
                    f"{name} of Context must be a {kind.__name__} or None, not {shown(value)}"
                )
        if self.lengths is not None:
            object.__setattr__(self, "lengths", check_ends("lengths", self.lengths))
        if self.rows is not None:
            object.__setattr__(self, "rows", _check_rows(self.rows))
        if self.sums is not None and not callable(self.sums):
            raise TypeError(f"sums of Context must be a function or None, not {shown(self.sums)}")
        if isinstance(self.masks, dict):
            object.__setattr__(self, "masks", Masks(self.masks))
        elif self.masks is not None and not isinstance(self.masks, Masks):
            raise TypeError(f"masks must be a dict by layer, or None, not {self.masks!r}")

    def room(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any] | None:
        """Return where a result may go, as ``out=``: an array of the workspace, or None."""
        return None if self.workspace is None else self.workspace.empty(shape, dtype)

    @property
    def inside(self) -> Context:
        """The context of layers within a model, all of which need the gradient of their input."""
        if self.input_gradient:
            return self
        if self._inside is None:
            object.__setattr__(self, "_inside", replace(self, input_gradient=True))
        assert self._inside is not None
        return self._inside

    @property
    def whole(self) -> Context:
        """The context in which masks are drawn as they are, whichever `rows` of a batch these are.

        Examples
        --------
        >>> from cydropout import MaskStream
        >>> from cydropout.layers import Context
        >>> ctx = Context(True, MaskStream(0), rows=(2, 4, 6))
        >>> mask, weights = ctx.draw((2, 3), 0.5), ctx.whole.draw((2, 3), 0.5)
        >>> whole = MaskStream(0)
        >>> mask == whole.draw((6, 3), 0.5)[2:4], weights == whole.draw((2, 3), 0.5)
        (True, True)
        """
        return self if self.rows is None else replace(self, rows=None)

    def entering(self, layer: Any) -> Context:
        """The context of the first layer inside a layer that runs in this one."""
        return self if layer.skips_input_gradient else self.inside

    def real(self, shape: tuple[int, ...]) -> np.ndarray[Any, Any] | None:
        """Return which positions (n, time) of sequences are no padding; None where all are."""
        if self.lengths is None:
            return None
        return within(check_ends("lengths", self.lengths, shape), shape[1])

    def behind(self, layers: Sequence[Any], shape: tuple[int, ...]) -> Context:
        """The context behind layers with inputs of ``shape``; raise if they take no `lengths`."""
        if self.lengths is None:
            return self
        check_ends("lengths", self.lengths, shape)
        keep = all([layer.keeps_lengths(shape[1:]) for layer in layers])
        return self if keep else replace(self, lengths=None)

    def supplying(self, masks: Mapping[Any, Any]) -> Context:
        """Return a context in which layers use these masks before all others."""
        return replace(self, masks=Masks(dict(masks), "override", self.masks))

    def supplied(self, layer: Any, shape: Any, mask: Any = None) -> Any:
        """Return the mask of a layer that somebody brings, for ``shape``, or None.

        That is ``mask`` itself, or in training one that `masks` overrides or replays.
        """
        if mask is None and self.training and self.masks is not None:
            mask = self.masks.find(layer)
        return None if mask is None else layer.fitted(mask, shape, self)

    def mask_for(self, layer: Any, shape: Any, mask: Any = None) -> Any:
        """Return the mask that a layer uses in this pass: one supplied, or a new one.

        Parameters
        ----------
        layer : Layer
            One with noise: its `mask` draws, and its `fitted` takes what is supplied.
        shape : tuple of int, or mapping
            Of what is masked; of a layer with several masks their shapes by name.
        mask : mask or array, or mapping, optional
            Used before all others.
        """
        used = self.supplied(layer, shape, mask)
        return self.record(layer, layer.mask(shape, self) if used is None else used)

    def record(self, layer: Any, mask: Any) -> Any:
        """Write down the mask of a training pass, if somebody asks for it; return it."""
        if self.training and self.masks is not None:
            self.masks.record(layer, mask)
        return mask

    def is_idle(self, layer: Any) -> bool:
        """Whether a layer's rate is 0, and nobody supplies its mask or asks for it."""
        return self.masks is None and isinstance(layer.rate, float) and layer.rate == 0

    def draw(
        self,
        shape: tuple[int, ...],
        rate: Any,
        *,
        scaling: Scaling = "inverted",
        shared_axes: Sequence[int] = (),
        storage: Literal["bits", "seed"] = "bits",
    ) -> Mask:
        """Draw the next mask of the stream, or at inference the map that stands for its mean."""
        shared = tuple(shared_axes)
        if not self.training:
            return InferenceMask(shape, rate, scaling=scaling, shared_axes=shared)
        stream = self.training_stream()
        if self.rows is None:
            return stream.draw(shape, rate, scaling=scaling, shared_axes=shared, storage=storage)
        mask: Mask = self._cut(
            stream.draw, shape, rate, scaling=scaling, shared_axes=shared, storage=storage)
        return mask

    def draw_as(
        self, kind: Callable[..., Any], shape: tuple[int, ...], *args: Any, **options: Any
    ) -> Any:
        """Return the next mask of a kind (`MaskStream.make`), or at inference the identity."""
        if not self.training:
            return InferenceMask(shape, 0.0)
        if "storage" in options and not self.backward:
            options["storage"] = "seed"
        make = partial(self.training_stream().make, kind)
        return make(shape, *args, **options) if self.rows is None else self._cut(
            make, shape, *args, **options)

    def _cut(
        self, draw: Callable[..., Any], shape: tuple[int, ...], *args: Any, **options: Any
    ) -> Any:
        """Draw for the whole batch, and return the rows of it that ``shape`` is for.

        The first axis may have several places for each sample, as that of rows of sequences.
        """
        assert self.rows is not None
        start, stop, total = self.rows
        count, places = stop - start, 1
        if count:
            places, rest = divmod(shape[0] if shape else 0, count)
            if rest or not places:
                raise ValueError(
                    f"a mask of shape {tuple(shape)} cannot be cut to rows {start} to {stop} of a "
                    f"batch of {total}; draw what is not cut like the batch from Context.whole"
                )
        mask = draw((total * places, *shape[1:]), *args, **options)
        return mask.rows(start * places, stop * places)

    def training_stream(self) -> MaskStream:
        """Return the stream, or raise if there is none."""
        if self.stream is None:
            raise ValueError("a training pass draws masks: give Context a stream=MaskStream(seed)")
        return self.stream

    def whole_stream(self, layer: Any) -> MaskStream:
        """Return the stream for a layer that draws by itself, and so for no `rows` alone."""
        if self.rows is not None:
            raise ValueError(f"{layer.path} cannot draw for some rows of a batch alone")
        return self.training_stream()


def _check_rows(rows: Any) -> tuple[int, int, int]:
    """Return the rows of a batch as Python's numbers, or raise."""
    if not isinstance(rows, tuple) or len(rows) != 3:
        raise TypeError(f"rows must be (start, stop, total) or None, not {rows!r}")
    total = check_integer("total of rows", rows[2], "[0, inf)")
    stop = check_integer("stop of rows", rows[1], f"[0, {total}]")
    return check_integer("start of rows", rows[0], f"[0, {stop}]"), stop, total
