"""BatchNorm: each channel brought to mean 0 and variance 1, then scaled and shifted."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from cydropout import functional
from cydropout._arrays import contiguous, rows_of
from cydropout.functional.batch_norm import Sums, can_pool
from cydropout.layers._layer import (
    Array,
    Backward,
    Context,
    Parameter,
    Pass,
    Shape,
    as_float,
    as_gradient,
    in_order,
    native_dtype,
)
from cydropout.layers._penalties import Penalised
from cydropout.layers._settings import Flag, Integer, Number
from cydropout.layers.pooling import MaxPool2D


class BatchNorm(Penalised):
    """``y = (x - mean) / sqrt(var + epsilon) * weight + bias``, for each channel by itself.

    In training mean and (biased) variance are those of the batch, over all axes but that of the
    channels. At inference they are the running averages, as they are where
    `Context.batch_statistics` is False. The averages move by ``1 - momentum`` towards those of a
    batch, of the unbiased variance, when its gradient comes back: a pass without a backward, as a
    Monte Carlo estimate makes them, leaves the layer as it is. They are parameters that are not
    trainable, and are saved with the others.

    Where neither weight nor bias is trained, as after `freeze`, the averages are used in training
    too, and stay as they are. With one of them frozen alone only that one stays.

    Several processes that train together (`Context.sums`) take the statistics of all rows of a
    batch, or where they are not ``synchronized`` each those of its own, whose means over the
    processes, by their rows, go into the averages.

    Of sequences with `Context.lengths` the padding does not count, and gives 0; their channels lie
    along another axis than that of time.

    Parameters
    ----------
    momentum : float
        Share of the running averages that stays, in [0, 1]. PyTorch's is 1 minus this.
    epsilon : float
        Added to the variance.
    axis : int
        Of the channels: 1 where they come first, -1 where they come last.
    synchronized : bool
        Whether several processes share their statistics, as in Keras.
    l1, l2
        As for `Dense`. An ``l1`` switches channels off (Liu et al. 2017, "Learning efficient
        convolutional networks through network slimming").
    name : str, optional
        Name within a `Sequential`.

    Raises
    ------
    ValueError
        For an input with another number of channels, or in training of one row.

    References
    ----------
    Ioffe, Szegedy, "Batch normalization: accelerating deep network training by reducing internal
    covariate shift", ICML 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> layer = layers.BatchNorm()
    >>> layer.build((2,), 0, "float64")
    >>> y, backward = layer.forward(np.array([[1.0, 5], [3, 9]]), layers.Context(training=True))
    >>> y.round(3)
    array([[-1., -1.],
           [ 1.,  1.]])
    """

    positional = "momentum epsilon"
    momentum = Number(0.9, "[0, 1]")
    epsilon = Number(1e-5, "(0, inf)")
    axis = Integer(1, shapes=True)
    synchronized = Flag(True)
    with_lengths = "keep"
    by_rows = False  # the statistics are those of all
    by_sums = True
    _of_one_row = False

    @property
    def unit_axis(self) -> int | None:  # type: ignore[override]
        """That of the channels."""
        return int(self.axis)

    @property
    def least_samples(self) -> int:  # type: ignore[override]
        """Two where a sample has one row, which has no variance, and the batch's is used."""
        return 2 if self._of_one_row and self.needs_gradient else 1

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Create the parameters: weight and running variance 1, bias and running mean 0."""
        self.output_shape(input_shape)
        if self._parameters:
            return
        kind = native_dtype(dtype or "float32")
        channels = (0, *input_shape)[self.axis]
        self._of_one_row = math.prod(input_shape) == channels
        for name, value in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)):
            self._parameters[name] = Parameter(
                np.full(channels, value, kind), name, trainable=not name.startswith("running")
            )

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return ``y``, and the function that adds up the gradients and returns ``dx``."""
        return self.run(x, ctx)

    def run(
        self, x: Array, ctx: Context, relu: bool = False, pool: MaxPool2D | None = None
    ) -> tuple[Array, Backward]:
        """Run the layer, and with ``relu`` the ReLU that shares its pass, and a pool that does."""
        if not self._parameters:
            raise RuntimeError(f"{self.path} has no weights yet: call build(input_shape) first")
        weight, bias, running_mean, running_var = self._parameters.values()
        x = as_float(x, self.path).astype(weight.value.dtype, copy=False)
        self.output_shape(x.shape[1:])
        real = ctx.real(x.shape)
        windows = None if pool is None else self._windows(x, pool, real)
        if pool is not None and windows is None:
            return in_order([Pass((self,), partial(self.run, relu=relu)), pool], x, ctx)
        if real is not None:
            self.keeps_lengths(x.shape[1:])
        rows, whole = self._rows(x, real)
        shape = whole
        if windows is not None:
            shape = (whole[0], *windows.counts, whole[-1])
        threads, trained = ctx.num_threads, weight.trainable or bias.trainable
        of_batch = ctx.training and ctx.batch_statistics and trained
        alone = None if self.synchronized else ctx.sums  # each for itself, but for the averages
        sums = ctx.sums if of_batch and alone is None else None
        mean, variance, count = running_mean.value, running_var.value, len(rows)
        if of_batch:
            own = functional.moments(rows, num_threads=threads)
            if sums is not None:
                count, own = _over_all(count, *own, sums)
            if count == 1:
                raise ValueError(f"{self.path} has no variance of one row, of shape {x.shape}")
            mean, variance = own if count else (mean, variance)
        y, done = functional.normalise(
            rows, mean, variance, weight.value, bias.value, epsilon=self.epsilon, relu=relu,
            of_batch=of_batch and count > 0, count=count, pool=windows, num_threads=threads,
        )
        out = self._shaped(y, shape, real)

        def backward(dy: Array) -> Array:
            rows, _ = self._rows(as_gradient(dy, out.shape, x.dtype), real)
            dx, dweight, dbias = functional.normalise_backward(
                rows, done, sums=sums, num_threads=threads)
            weight.accumulate(dweight)
            bias.accumulate(dbias)
            if of_batch:
                new: Any = mean, variance * (count / max(count - 1, 1))
                total = count
                if alone is not None:
                    *flat, total = alone(np.append(count * np.stack(new), count))
                    new = np.reshape(flat, (2, -1)) / max(total, 1)
                for running, value in zip((running_mean, running_var), new, strict=True):
                    if total:
                        running.value += (1 - self.momentum) * (value - running.value)
            return self._shaped(dx, whole, real)

        return out, backward

    def _windows(self, x: Array, pool: MaxPool2D, real: Array | None) -> functional.Windows | None:
        """Return those of a pool that can share the pass, or None."""
        last = self.axis in (3, -1) and pool.data_format == "channels_last"
        if x.ndim != 4 or not last or real is not None:
            return None
        windows = pool.windows(x.shape[1:3])
        return windows if can_pool(windows, x.shape[3]) else None

    def _rows(self, x: Array, real: Array | None) -> tuple[Array, Shape]:
        """Return what is no padding as rows of channels, and the shape of x with these last."""
        moved = np.moveaxis(x, self.axis, -1)
        return rows_of(contiguous(moved if real is None else moved[real])), moved.shape

    def _shaped(self, rows: Array, shape: Shape, real: Array | None) -> Array:
        """Return rows as the array that they were, with zeros for padding."""
        if real is None:
            return np.moveaxis(rows.reshape(shape), -1, self.axis)
        whole = np.zeros(shape, rows.dtype)
        whole[real] = rows.reshape(-1, *shape[2:])
        return np.moveaxis(whole, -1, self.axis)

    def keeps_lengths(self, input_shape: Shape) -> bool:
        """Return True; raise where the channels lie along the axis of time."""
        if self.axis % (len(input_shape) + 1) == 1:
            raise ValueError(
                f"{self.path} would mix sequences with their padding: with lengths its channels "
                "must lie along another axis than that of time, as with axis=-1"
            )
        return super().keeps_lengths(input_shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return ``input_shape``."""
        shape = (0, *input_shape)
        if not -len(shape) <= self.axis < len(shape) or self.axis in (0, -len(shape)):
            raise ValueError(
                f"{self.path} has channels along axis {self.axis}, but inputs {input_shape}"
            )
        weight = self._parameters.get("weight")
        if weight is not None and shape[self.axis] != weight.value.size:
            raise ValueError(
                f"{self.path} has {weight.value.size} channels, got {shape[self.axis]}"
            )
        return tuple(input_shape)


def _over_all(
    count: int, mean: Array, variance: Array, sums: Sums
) -> tuple[int, tuple[Array, Array]]:
    """Return number, mean and variance of the rows of all."""
    with np.errstate(invalid="ignore", over="ignore"):
        *first, rows = sums(np.append(count * mean, count))
        total = int(rows)
        center = np.array(first) / max(total, 1)
        # A mean of squares would lose the digits that a mean far from 0 has.
        return total, (center, sums(count * (variance + (mean - center) ** 2)) / max(total, 1))
