"""Max-norm in plain NumPy, after Srivastava et al. 2014."""

import numpy as np


def bounded(w: np.ndarray, max_norm: float) -> np.ndarray:
    """Return ``w`` with each column longer than ``max_norm`` scaled back to it, in float64."""
    columns = w.reshape(-1, w.shape[-1]).astype(np.float64)
    scale = np.ones(columns.shape[1])
    for j in range(columns.shape[1]):
        norm = np.sqrt((columns[:, j] ** 2).sum())
        if max_norm < norm < np.inf:
            scale[j] = max_norm / norm
    return w * scale
