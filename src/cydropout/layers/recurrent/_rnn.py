"""Recurrent: what the layers share that run a cell over the steps of a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from cydropout import functional
from cydropout.layers._initializers import check_init, initial, orthogonal
from cydropout.layers._layer import (
    NO_GRADIENT,
    Array,
    Backward,
    Context,
    Shape,
    as_float,
    as_gradient,
    native_dtype,
    restoring_draws,
)
from cydropout.layers._penalties import Weighted
from cydropout.layers._settings import Checked, Count, Flag, Noise, OneOf
from cydropout.layers._state import Entries, Entry, SecondBias
from cydropout.layers.dropout.dropout import Dropout
from cydropout.layers.dropout.locked import LockedDropout
from cydropout.layers.dropout.recurrent_dropout import SPANS
from cydropout.layers.dropout.zoneout import Zoneout


def one_mask(rate: Any, per: str) -> Dropout:
    """Return the dropout of one mask for a sequence, or of one for each of its steps."""
    layer = LockedDropout(rate) if per == "sequence" else Dropout(rate)
    if not isinstance(layer.rate, float):
        raise ValueError(f"a recurrent layer needs one rate, got {layer.rate}")
    return layer


class Recurrent(Weighted):
    """Base of `SimpleRNN`, `LSTM` and `GRU`; parameters and errors are those of `LSTM`.

    With `Context.lengths` the state stays behind the end of a sequence as it is there, in what is
    returned and in `Context.states`.

    A subclass names the cell of `cydropout.functional.recurrence` and how many gates it has.
    Parameters are "weight" (in, gates * units), "recurrent_weight" (units, gates * units) and
    "bias" (gates * units,).
    """

    weights = ("weight", "recurrent_weight")
    gates: ClassVar[int]
    cell: str

    positional = "units"
    units = Count(shapes=True)
    return_sequences = Flag(True)
    dropout = Noise(lambda rate, layer: one_mask(rate, layer.dropout_per))
    dropout_per = OneOf(SPANS, "sequence", fixed=True)
    recurrent_dropout = Noise(lambda rate, layer: one_mask(rate, layer.recurrent_per))
    recurrent_per = OneOf(SPANS, "sequence", fixed=True)
    zoneout = Noise(lambda rate, _: Zoneout(rate))
    init = Checked(check_init, "glorot")
    bias = Flag(True, shapes=True)

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Draw the weights from the NumPy generator ``rng``; recurrent ones are orthogonal."""
        self.output_shape(input_shape)
        if self._parameters:
            return
        kind, rng = native_dtype(dtype or "float32"), np.random.default_rng(rng)
        size = self.gates * self.units
        self._add("weight", initial(self.init, input_shape[-1], size, rng, kind))
        self._add("recurrent_weight", orthogonal(self.units, size, rng, kind))
        if self.bias:
            self._add("bias", np.zeros(size, kind))

    def _sequence(self, x: Array) -> Array:
        if not self._parameters:
            raise RuntimeError(f"{self.path} has no weights yet: call build(input_shape) first")
        x = as_float(x, self.path).astype(self._parameters["weight"].value.dtype, copy=False)
        if x.ndim != 3:
            raise ValueError(f"{self.path} needs x of (n, steps, features), got shape {x.shape}")
        self.output_shape(x.shape[1:])
        return x

    def _states(self, count: int, state: Any, ctx: Context) -> dict[str, Array]:
        """Return the state to start from, by the name of each part."""
        if state is None and ctx.states is not None:
            state = ctx.states.get(self.origin)
        if state is None:
            return {}
        names, shape = ("h0", "c0") if self.cell == "lstm" else ("h0",), (count, self.units)
        if len(state) != len(names) or any(np.shape(part) != shape for part in state):
            raise ValueError(
                f"{self.path} needs a state of {len(names)} arrays of shape {shape}, got "
                f"{[np.shape(part) for part in state]}"
            )
        dtype = self._parameters["weight"].value.dtype
        return {
            name: np.asarray(part, dtype) for name, part in zip(names, state, strict=True)
        }

    def _check_masks(self, masks: Mapping[str, Any]) -> None:
        unknown = sorted(masks.keys() - set(self.noises))
        if unknown:
            raise ValueError(f"{self.path} got masks for {unknown}; it takes {[*self.noises]}")

    def _masks(self, shape: Shape, ctx: Context, masks: Mapping[str, Any]) -> dict[str, Any]:
        """Return the masks of the cell, each by its name in `functional.recurrence`."""
        return {
            "hidden": self._mask("recurrent_dropout", shape, ctx, masks),
            "zoneout_h": self._mask("zoneout", shape, ctx, masks),
        }

    def _mask(self, name: str, shape: Shape, ctx: Context, masks: Mapping[str, Any]) -> Any:
        """Return the mask of a layer of noise in this pass, or None where it changes nothing."""
        noise = getattr(self, name)
        mask = ctx.supplied(noise, shape, masks.get(name)) if ctx.training else None
        changes = noise.rate and (ctx.training or isinstance(noise, Zoneout))
        return ctx.mask_for(noise, shape, mask) if mask is not None or changes else None

    @property
    def with_lengths(self) -> str:
        """What becomes of them depends on what is returned."""
        return "keep" if self.return_sequences else "end"

    @restoring_draws
    def forward(
        self,
        x: Array,
        ctx: Context,
        state: tuple[Array, ...] | None = None,
        mask: Mapping[str, Any] | None = None,
    ) -> tuple[Array, Backward]:
        """Return the states, and the function that adds up gradients and returns ``dx``.

        Parameters
        ----------
        x : array of shape (n, steps, in)
            Float, of any dtype.
        ctx : Context
            Of the pass; its ``states`` hold the last state, and give the first one.
        state : tuple of arrays of shape (n, units), optional
            The first state instead: h, and of an LSTM c behind it. It is taken as a constant.
        mask : dict, optional
            Masks, or arrays of bool, by "dropout", "recurrent_dropout", "zoneout", and of an LSTM
            "zoneout_cell", used in training instead of those that are drawn.
        """
        supplied = mask or {}
        self._check_masks(supplied)
        x = self._sequence(x)
        values = {name: parameter.value for name, parameter in self._parameters.items()}
        shape = (*x.shape[:2], self.units)
        real = ctx.real(x.shape)
        if real is not None:
            x = np.where(real[..., None], x, x.dtype.type(0))
        start = self._states(len(x), state, ctx)
        entering = self._mask("dropout", x.shape, ctx, supplied)
        masks = self._masks(shape, ctx, supplied)
        if entering is not None:
            x = entering.apply(x, num_threads=ctx.num_threads)
        rows = x.reshape(len(x) * x.shape[1], x.shape[2])
        z = np.matmul(rows, values["weight"]).reshape(*shape[:2], self.gates * self.units)
        done = functional.recurrence(
            self.cell, z, values["recurrent_weight"], values.get("bias"),
            values.get("inner_bias"), h0=start.get("h0"), c0=start.get("c0"), **masks,
            lengths=ctx.lengths, num_threads=ctx.num_threads,
        )
        last = [
            part[:, -1].copy() if shape[1] else np.array(start.get(name, part.sum(axis=1)))
            for name, part in (("h0", done.h), ("c0", done.c))
            if part is not None
        ]
        if ctx.states is not None:
            ctx.states[self.origin] = tuple(last)
        y = done.h if self.return_sequences else last[0].copy()

        def backward(dy: Array) -> Array:
            dy = as_gradient(dy, y.shape, z.dtype)
            back = functional.recurrence_backward(dy, done, num_threads=ctx.num_threads)
            dz, ds = (d.reshape(-1, self.gates * self.units) for d in (back.dz, back.ds))
            before = back.before.reshape(-1, self.units)
            self._parameters["weight"].accumulate_product(rows.T, dz)
            self._parameters["recurrent_weight"].accumulate_product(before.T, ds)
            for name, ends in (("bias", dz), ("inner_bias", ds[:, -self.units :])):
                if name in values and self._parameters[name].trainable:
                    self._parameters[name].accumulate(ends.sum(axis=0))
            if not ctx.input_gradient:
                return NO_GRADIENT
            dx: Array = np.matmul(dz, values["weight"].T).reshape(x.shape)
            return dx if entering is None else entering.backward(dx, num_threads=ctx.num_threads)

        return y, backward

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (steps, units), or (units,) where only the last state is returned."""
        if len(input_shape) != 2:
            raise ValueError(f"{self.path} needs inputs of (steps, features), got {input_shape}")
        features = self._parameters["weight"].value.shape[0] if self._parameters else None
        if features is not None and input_shape[1] != features:
            raise ValueError(f"{self.path} has {features} input features, got {input_shape[1]}")
        return (input_shape[0], self.units) if self.return_sequences else (self.units,)

    def torch_entries(self) -> Entries:
        """Return the parameters as the layers of `torch.nn` hold them, whose gates stand alike."""
        names = {"weight": "weight_ih_l0", "recurrent_weight": "weight_hh_l0", "bias": "bias_ih_l0"}
        own = self._parameters
        found: Entries = {
            theirs: Entry(own[name], np.transpose) for name, theirs in names.items() if name in own
        }
        if "bias" in own:
            found["bias_hh_l0"] = SecondBias(own["bias"], own.get("inner_bias"))
        return found
