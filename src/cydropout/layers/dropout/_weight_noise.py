"""WeightNoise: what layers share that drop parameters instead of elements of their input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cydropout.layers._layer import Context, Shape
from cydropout.layers._settings import OneOf, Rate
from cydropout.layers.dropout._masked import NoisyLayer
from cydropout.layers.dropout.dropout import STORAGES, Dropout


class WeightNoise(NoisyLayer):
    """Base of layers with a mask for each of several parameters, all of one rate.

    `Context.masks` holds for the layer a dict of them by the parameter's name.
    """

    rate = Rate()
    storage = OneOf(STORAGES, "bits")

    @property
    def per_row(self) -> bool:
        """Whether the masks are cut along their first axis like the batch."""
        return False

    def mask(self, shape: Mapping[str, Shape], ctx: Context) -> dict[str, Any]:  # type: ignore[override]
        """Draw a mask for each name."""
        ctx = ctx if self.per_row else ctx.whole
        return {name: self._noise.mask(one, ctx) for name, one in shape.items()}

    @property
    def _noise(self) -> Dropout:
        return Dropout(self.rate, storage=self.storage)

    def fitted(  # type: ignore[override]
        self, mask: Any, shape: Mapping[str, Shape], ctx: Context
    ) -> dict[str, Any]:
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
        noise = self._noise
        ready = {name: noise.fitted(one, shape[name], ctx) for name, one in mask.items()}
        drawn = self.mask({name: shape[name] for name in shape if name not in ready}, ctx)
        return {name: {**drawn, **ready}[name] for name in shape}
