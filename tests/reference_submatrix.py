"""Submatrices of a matrix in plain NumPy, and nets whose layers each run alone, under masks."""

import copy

import numpy as np

from cydropout.layers import Sequential


def picked(matrix, rows, columns):
    """Return some rows and columns of a matrix, or some columns of a vector."""
    if matrix.ndim == 1:
        return matrix[slice(None) if columns is None else columns]
    rows = np.arange(matrix.shape[0]) if rows is None else rows
    columns = np.arange(matrix.shape[1]) if columns is None else columns
    return matrix[np.ix_(rows, columns)]


def spread(block, shape, rows, columns):
    """Return a matrix of zeros with the block in its rows and columns."""
    places = picked(np.arange(np.prod(shape, dtype=int)).reshape(shape), rows, columns)
    whole = np.zeros(shape, block.dtype)
    whole.flat[places] = block
    return whole


def alone(model: Sequential) -> Sequential:
    """Return a model with copies of the layers that computes everything."""
    whole = Sequential(copy.deepcopy(model.layers), dtype=model.dtype, fuse=False)
    whole.build(model.input_shape)
    return whole
