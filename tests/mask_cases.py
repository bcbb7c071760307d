"""Every mask: how it is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from functional_cases import Case, drawn, numbers

from cydropout import masks


def _source(**rest: Any) -> Callable[..., dict[str, Any]]:
    return lambda n=2, channels=3, height=4, width=5: {
        "key": 1, "draw": 2, "shape": (n, channels, height, width), **rest}


_WORDS = {"key": (-1, 2**64), "draw": (-1, 2**64)}
_OFFSETS = {**_WORDS, "offset": (-1, 2**64), "rate": (-0.1, 1.5, np.nan)}
_RATES = {**_WORDS, "rate": (-0.1, 1.5, np.nan)}

MASKS = {
    "Mask": Case(masks.Mask, _source(rate=0.4), outside=_OFFSETS),
    "Mask-rates": Case(
        masks.Mask, lambda n=3, units=4: {
            "key": 1, "draw": 2, "shape": (n, units), "rate": np.linspace(0.2, 0.6, units)}),
    "Mask-shared": Case(masks.Mask, _source(rate=0.4, shared_axes=(1, 3))),
    "InferenceMask": Case(
        masks.InferenceMask,
        lambda n=3, units=4: {"shape": (n, units), "rate": 0.4, "scaling": "classic"},
        outside={"rate": (-0.1, np.nan)}),
    "AlphaMask": Case(masks.AlphaMask, _source(rate=0.4), outside=_OFFSETS),
    "GaussianMask": Case(masks.GaussianMask, _source(rate=0.4), outside=_OFFSETS),
    "GaussianMask-sigma": Case(masks.GaussianMask, _source(sigma=0.4),
                               outside={"sigma": (-1.0, np.inf)}),
    "ConcreteMask": Case(masks.ConcreteMask, _source(logit=-1.0, temperature=0.1),
                         outside={**_WORDS, "temperature": (0.0, -1.0), "logit": (np.nan,)}),
    "BlockMask": Case(masks.BlockMask, _source(rate=0.4, block_size=2),
                      outside={**_RATES, "block_size": (0, -1)}),
    "WalkMask": Case(masks.WalkMask, _source(rate=0.4, walks=2),
                     outside={**_RATES, "walks": (0, 10**6)}),
    "CutoutMask": Case(masks.CutoutMask, _source(rate=0.4, holes=2),
                       outside={**_RATES, "holes": (0, 2000)}),
    "HeadMask": Case(masks.HeadMask, _source(rate=0.4, axis=1),
                     outside={**_RATES, "axis": (0, 4, -5, 1.5)}),
    "ColumnMask": Case(
        masks.ColumnMask, lambda n=3, columns=5: {
            "key": 1, "draw": 2, "shape": (n, columns), "count": min(columns, 2), "scale": 2.0},
        outside={**_WORDS, "count": (-1, 6), "scale": (-1.0, np.inf)}),
    "ColumnMask-rows": Case(
        masks.ColumnMask, lambda n=3, columns=5: {
            "key": 1, "draw": 2, "shape": (n, columns), "count": min(columns, 2),
            "per_sample": True}),
    "TokenMask": Case(
        masks.TokenMask, lambda n=3, tokens=5, features=2: {
            "key": 1, "draw": 2, "shape": (n, tokens, features), "count": min(tokens, 2)},
        outside={**_WORDS, "count": (-1, 6), "prefix": (-1, 6)}),
    "KeepMask": Case(
        masks.KeepMask, lambda n=3, units=5: {
            "shape": (n, units), "keep": numbers(n, units) > 0, "scale": np.full(n, 2.0)},
        outside={"scale": (-1.0, np.inf, np.nan)}),
    "KeepMask.from_bits": Case(
        masks.KeepMask.from_bits, lambda n=3, units=5: {
            "shape": (n, units), "bits": drawn(n, units).bits.copy(), "scale": 2.0},
        outside={"scale": (-1.0, np.inf)}),
    "ScaleMask": Case(masks.ScaleMask, lambda n=3, units=5: {"shape": (n, units), "scale": 2.0},
                      outside={"scale": (-1.0, np.inf, np.nan)}),
    "FactorMask": Case(masks.FactorMask, lambda n=3, units=5: {
        "shape": (n, units), "factors": numbers(units)}),
}
