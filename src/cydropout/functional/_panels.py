"""Matrices as the kernels of products take them: panels of columns that stand side by side."""

from __future__ import annotations

import numpy as np

#: Bytes of a row of a panel.
WIDTH = 128


def columns_of(dtype: np.dtype) -> int:
    """Return how many columns a panel has."""
    return WIDTH // dtype.itemsize


def turned_panels(weight: np.ndarray) -> np.ndarray:
    """Return the panels of filters from their other end, with channels in the place of filters.

    Of filters (height, width, channels, filters), whose channels fill some panels.
    """
    height, width, channels, filters = weight.shape
    columns = columns_of(weight.dtype)
    split = weight[::-1, ::-1].reshape(height, width, channels // columns, columns, filters)
    turned = np.ascontiguousarray(split.transpose(2, 0, 1, 4, 3))
    return turned.reshape(len(turned), height * width * filters, columns)


def panels(matrix: np.ndarray) -> np.ndarray:
    """Return a matrix of (k, n) as (panels, k, columns); the last panel ends with zeros."""
    k, n = matrix.shape
    columns = columns_of(matrix.dtype)
    if n % columns:
        whole = np.zeros((k, -(-n // columns) * columns), matrix.dtype)
        whole[:, :n] = matrix
        matrix = whole
    return np.ascontiguousarray(matrix.reshape(k, -1, columns).swapaxes(0, 1))
