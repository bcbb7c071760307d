"""Matrices as the kernels of products take them: panels of columns that stand side by side."""

from __future__ import annotations

import numpy as np

#: Bytes of a row of a panel.
WIDTH = 128


def columns_of(dtype: np.dtype) -> int:
    """Return how many columns a panel has."""
    return WIDTH // dtype.itemsize


def filter_panels(weight: np.ndarray) -> np.ndarray:
    """Return filters (height, width, channels, filters) as (panels, height, width, channels, ...).

    The filters are as many as some panels have columns.
    """
    split = weight.reshape(*weight.shape[:3], -1, columns_of(weight.dtype))
    return np.ascontiguousarray(split.transpose(3, 0, 1, 2, 4))


def turned_panels(weight: np.ndarray) -> np.ndarray:
    """Return the panels of filters from their other end, with channels in the place of filters."""
    height, width, _, filters = weight.shape
    split = weight[::-1, ::-1].reshape(height, width, -1, columns_of(weight.dtype), filters)
    return np.ascontiguousarray(split.transpose(2, 0, 1, 4, 3))


def panels(matrix: np.ndarray) -> np.ndarray:
    """Return a matrix of (k, n) as (panels, k, columns); the last panel ends with zeros."""
    k, n = matrix.shape
    columns = columns_of(matrix.dtype)
    if n % columns:
        whole = np.zeros((k, -(-n // columns) * columns), matrix.dtype)
        whole[:, :n] = matrix
        matrix = whole
    return np.ascontiguousarray(matrix.reshape(k, -1, columns).swapaxes(0, 1))
