"""Weights of classes, given to each position by its label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cydropout import _sklearn
from cydropout._samples import spread
from cydropout._validate import ArgumentTypeError, Array, check_integer, check_number, shown
from cydropout.training._batch import Batch
from cydropout.training._batches import Batches, Generators, OwnBatches
from cydropout.training.losses import Loss


class ClassWeighted:
    """Batches in which a position weighs what its class does, times its own weight.

    Parameters
    ----------
    class_weight : mapping of int to float, or "balanced"
        A class that the mapping leaves out weighs 1. Balanced are ``n / (classes n_c)`` for the
        ``n_c`` positions of a class.
    shape : tuple of int
        That of the prediction of a sample.
    """

    def __init__(
        self, data: Batches, loss: Loss, class_weight: Any, shape: tuple[int, ...]
    ) -> None:
        self.data, self.loss, self.shape = data, loss, shape
        self.samples, self.smallest = data.samples, data.smallest
        if isinstance(class_weight, str) and class_weight == "balanced":
            self.table = self._balanced()
        else:
            probe = np.zeros((0, *loss.positions(shape)), np.int64)
            self.table = as_table(class_weight, loss.labels(probe, shape)[1])

    def _balanced(self) -> Array:
        """Return the weights by the labels of all the data, without those that are ignored."""
        if isinstance(self.data, OwnBatches):
            raise ValueError(
                "class_weight='balanced' counts the labels of x and y; for batches of your own "
                "give a mapping"
            )
        labels = [self._labels(target, real) for _, (_, target, *_, real, _) in self.data.targets()]
        found = np.concatenate([one[weights > 0] for one, weights, _ in labels])
        if self.data.shares is not None:
            found = self.data.shares.gather(found)
        balanced = _sklearn.part("utils.class_weight", "sklearn").compute_class_weight
        table, classes = np.ones(labels[0][2]), np.unique(found)
        table[classes] = balanced("balanced", classes=classes, y=found)
        return table

    def _labels(
        self, target: Array, weight: Array | None
    ) -> tuple[Array, Array, int]:
        """Return the labels of positions, the positions' own weights, and how many classes."""
        labels, classes = self.loss.labels(target, self.shape)
        own = self.loss.one_pass.counted(target, (len(target), *self.shape), weight)[1]
        return labels, spread(np.ones(len(target)) if own is None else own, labels.shape), classes

    def epoch(self, number: int, generators: Generators, skip: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from 1, without the first ``skip``."""
        for batch in self.data.epoch(number, generators, skip):
            labels, own, _ = self._labels(batch.y, batch.weight)
            yield batch._replace(weight=self.table[labels] * own)


def as_table(class_weight: Any, classes: int) -> Array:
    """Return the weight of each class; raise if a label is none of them.

    Examples
    --------
    >>> as_table({1: 3.0}, 2)
    array([1., 3.])
    """
    if not isinstance(class_weight, Mapping):
        raise ArgumentTypeError(
            "class_weight must be a mapping of labels to weights, as dict(enumerate(weights)) is, "
            f"or 'balanced', not {shown(class_weight)}"
        )
    table = np.ones(classes)
    for label, weight in class_weight.items():
        place = check_integer("a label of class_weight", label, f"[0, {classes})")
        table[place] = check_number(f"class_weight[{label!r}]", weight, "[0, inf)")
    if not table.any():
        raise ValueError("class_weight must not be 0 for all classes")
    return table
