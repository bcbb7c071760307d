"""WeightNoise: what layers share that drop parameters instead of elements of their input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cydropout._rates import check_one_rate
from cydropout.layers._layer import Context, Layer, Shape
from cydropout.layers.dropout.dropout import Dropout


class WeightNoise(Layer):
    """Base of layers with a mask for each of several parameters, all of one rate.

    A subclass sets `noise`, of which the masks are drawn. `Context.masks` holds for the layer a
    dict of them by the parameter's name.
    """

    noise: Dropout

    @property
    def rate(self) -> float:
        """The probability of dropping; may be set again at any time."""
        return float(self.noise.rate)

    @rate.setter
    def rate(self, rate: Any) -> None:
        self.noise.rate = check_one_rate(rate, type(self).__name__)

    def used_masks(
        self, shapes: Mapping[str, Shape], ctx: Context, brought: Any = None
    ) -> dict[str, Any]:
        """Return a mask for each name: one brought, one that ``ctx`` holds, or a new one.

        What is brought is a mapping by name, or where there is one name its mask alone.

        Raises
        ------
        ValueError
            If one is brought for another name, or does not fit; no draw is taken then.
        """
        held = ctx.masks if ctx.training else None
        if brought is None:
            brought = held.get(self, {}) if held is not None else {}
        if not isinstance(brought, Mapping):
            if len(shapes) > 1:
                raise ValueError(f"{self.path} drops {[*shapes]}: bring their masks in a dict")
            brought = dict.fromkeys(shapes, brought)
        unknown = sorted(brought.keys() - shapes.keys())
        if unknown:
            raise ValueError(
                f"{self.path} got masks for {unknown}; those it drops are {[*shapes]}"
            )
        ready = {name: self.noise.fitted(mask, shapes[name]) for name, mask in brought.items()}
        used = {
            name: ready[name] if name in ready else self.noise.mask(shape, ctx)
            for name, shape in shapes.items()
        }
        if held is not None:
            held[self] = used
        return used
