"""WeightNoise: what layers share that drop parameters instead of elements of their input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cydropout._validate import check_one_rate
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

    def mask(self, shape: Mapping[str, Shape], ctx: Context) -> dict[str, Any]:
        """Draw a mask for each name."""
        return {name: self.noise.mask(one, ctx) for name, one in shape.items()}

    def fitted(self, mask: Any, shape: Mapping[str, Shape], ctx: Context) -> dict[str, Any]:
        """Return a mask for each name: the one supplied, or a new one.

        What is supplied is a mapping by name, or where there is one name its mask alone.

        Raises
        ------
        ValueError
            If one is supplied for another name, or does not fit; no draw is taken then.
        """
        if not isinstance(mask, Mapping):
            if len(shape) > 1:
                raise ValueError(f"{self.path} drops {[*shape]}: supply their masks in a dict")
            mask = dict.fromkeys(shape, mask)
        unknown = sorted(mask.keys() - shape.keys())
        if unknown:
            raise ValueError(f"{self.path} got masks for {unknown}; those it drops are {[*shape]}")
        ready = {name: self.noise.fitted(one, shape[name], ctx) for name, one in mask.items()}
        drawn = self.mask({name: shape[name] for name in shape if name not in ready}, ctx)
        return {name: {**drawn, **ready}[name] for name in shape}
