"""Which variant a pass runs, as text that a graph can hold: a layer's name and settings in JSON."""

import json
from functools import lru_cache
from inspect import unwrap
from typing import Any

import numpy as np

from cydropout import layers
from cydropout.layers import Context
from cydropout.layers.dropout._masked import MaskedLayer
from cydropout.layers.dropout._variants import VARIANTS as TABLE
from cydropout.masks import ConcreteMask
from cydropout.random import MaskStream

#: Each element by itself: no layer is asked.
ELEMENT = ""


def _is_one_mask(name: str) -> bool:
    layer: Any = getattr(layers, name, None)
    forward: Any = getattr(layer, "forward", None)
    return unwrap(forward) is MaskedLayer.forward and bool(layer.keeps_shape)


#: The variants that are one mask of their input, and so need no module of their own.
VARIANTS = tuple(filter(_is_one_mask, TABLE))


def shared(axes: tuple[int, ...]) -> str:
    """Return the text of dropout with one decision along these axes."""
    # Written by hand: the compiler does not look into json.
    listed = ", ".join(map(str, axes))
    return f'["Dropout", {{"shared_axes": [{listed}]}}]' if axes else ELEMENT


def of(layer: str, **settings: Any) -> str:
    """Return the text of a layer of `cydropout.layers`, by its name and settings but the rate."""
    return json.dumps([layer, settings])


def over_batch(noise: str) -> str | None:
    """Return the text of the same mask for each of a batch in front, or None."""
    if noise == ELEMENT:
        return shared((0,))
    name, settings = json.loads(noise)
    if name != "Dropout":
        return None
    return shared((0, *(a + 1 if a >= 0 else a for a in settings["shared_axes"])))


@lru_cache(maxsize=256)
def _layer(noise: str, p: float) -> Any:
    name, settings = json.loads(noise)
    if "shared_axes" in settings:
        settings["shared_axes"] = tuple(settings["shared_axes"])
    return getattr(layers, name)(p, **settings)


def mask(noise: str, shape: tuple[int, ...], p: float, key: int, draw: int) -> Any:
    """Return the mask of this key and draw."""
    ctx = Context(training=True, stream=MaskStream.from_state(key, draw))
    return _layer(noise, p).mask(shape, ctx)


def check(name: str, p: float, settings: dict[str, Any]) -> None:
    """Raise what the layer raises for settings that it does not take."""
    getattr(layers, name)(p, **settings)


def mean(noise: str, shape: tuple[int, ...], p: float) -> float:
    """Return what a variant multiplies by at inference: 1, but for another scaling."""
    return float(_layer(noise, p).mask(shape, Context()).scale)


def logistic(shape: tuple[int, ...], key: int, draw: int) -> Any:
    """Return the variates of Concrete noise: log(u / (1 - u)) for each element."""
    # (1 - z) of a rate of one half at temperature 1 is 1 - sigmoid(logit u).
    half = ConcreteMask(key, draw, shape, 0.0, temperature=1.0).apply(np.full(shape, 0.5))
    return np.log1p(-half) - np.log(half)
