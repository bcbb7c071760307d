"""Initial weights: the variance that keeps signals at one size from layer to layer."""

from __future__ import annotations

import numpy as np

from cydropout._validate import check_choice
from cydropout.layers._layer import Array

ALIASES = {"glorot": "glorot_uniform", "he": "he_normal", "lecun": "lecun_normal"}
NAMES = tuple(
    f"{rule}_{law}" for rule in ("glorot", "he", "lecun") for law in ("uniform", "normal")
)


def check_init(init: str) -> str:
    """Return the full name of ``init``, or raise `ValueError` naming those that exist."""
    check_choice("init", init, (*ALIASES, *NAMES))
    return ALIASES.get(init, init)


def initial(
    init: str,
    fan_in: int,
    fan_out: int,
    rng: np.random.Generator,
    dtype: np.dtype[np.floating],
    *,
    columns: int | None = None,
) -> Array:
    """Draw a ``(fan_in, columns)`` array, with ``fan_out`` columns by default.

    Its variance is ``2 / (fan_in + fan_out)`` for "glorot" (Glorot & Bengio 2010), ``2 / fan_in``
    for "he" (He et al. 2015) and ``1 / fan_in`` for "lecun" (LeCun et al. 1998), uniform or normal.
    """
    rule, law = check_init(init).split("_")
    variance = {
        "glorot": 2 / max(1, fan_in + fan_out),
        "he": 2 / max(1, fan_in),
        "lecun": 1 / max(1, fan_in),
    }[rule]
    limit = (3 * variance) ** 0.5
    columns = fan_out if columns is None else columns
    if fan_in * columns >= 2**60:  # of which NumPy says no number
        raise MemoryError(f"there is no room for weights of shape ({fan_in}, {columns})")
    weight = np.empty((fan_in, columns), dtype)
    # Row by row in float64: both dtypes get the same weights, and no second array is made.
    for row in weight:
        if law == "normal":
            row[...] = rng.standard_normal(columns) * variance**0.5
        else:
            row[...] = rng.uniform(-limit, limit, columns)
    return weight


def orthogonal(
    rows: int, columns: int, rng: np.random.Generator, dtype: np.dtype[np.floating]
) -> Array:
    """Draw a ``(rows, columns)`` array with orthonormal rows, or columns if these are fewer.

    It is uniform among those: the ``Q`` of a normal matrix, with the signs of the diagonal of
    ``R`` (Saxe, McClelland, Ganguli 2014).
    """
    normal = rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q *= np.where(np.diag(r) < 0, -1, 1)
    weight: Array = (q.T if rows < columns else q).astype(dtype, order="C")
    return weight
