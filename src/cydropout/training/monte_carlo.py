"""Monte Carlo dropout: what a model says, and how sure it is, from many passes with noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cydropout._samples import check_samples
from cydropout._validate import check_choice, check_count, optional
from cydropout.layers._fusion import plan
from cydropout.layers._layer import Context, Layer
from cydropout.random import RNG, MaskStream, as_stream
from cydropout.training._batches import batches
from cydropout.training._checks import check_batch, check_model
from cydropout.training.losses.classes import log_softmax

Array = npt.NDArray[Any]
Outputs = Literal["values", "logits", "probabilities"]


@dataclass(frozen=True, slots=True, eq=False)
class MonteCarlo:
    """What `predict_mc` found; float64, of the shape of the model's output.

    Attributes
    ----------
    mean, std : array
        Over the passes; ``std`` is the root of the mean squared distance from ``mean``.
    entropy : array or None
        ``-sum_c m_c log m_c`` in nats, of the mean probabilities ``m``: how unsure the model is
        in all. It has no last axis, which are the classes; None where the output is no classes.
    mutual_information : array or None
        ``entropy`` minus the mean entropy of the passes, in nats, at least 0: the part of it on
        which the passes disagree (Houlsby et al. 2011, "Bayesian active learning for
        classification and preference learning").
    keys : tuple of int
        The key of each pass's stream, with which `predict_pass` repeats that pass.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.layers import Dropout
    >>> predict_mc(Dropout(0.0), np.ones((1, 2)), samples=3, rng=0).std
    array([[0., 0.]])
    """

    mean: Array
    std: Array
    entropy: Array | None
    mutual_information: Array | None
    keys: tuple[int, ...]

    @property
    def samples(self) -> int:
        """How many passes there were."""
        return len(self.keys)


def predict_mc(
    model: Layer,
    x: Any,
    samples: int = 50,
    *,
    rng: RNG = None,
    batch_size: int = 1024,
    outputs: Outputs = "values",
    num_threads: int | None = 1,
) -> MonteCarlo:
    """Return mean and spread of the model's output over passes with noise, as in training.

    The layers before the first one that draws run once for each batch. Memory does not grow with
    the number of passes.

    Parameters
    ----------
    model : Layer
        Built, and commonly a `Sequential`; another layer runs whole in every pass.
    x : array-like
        Samples along the first axis.
    samples : int
        How many passes.
    rng : None, int, SeedSequence, Generator or MaskStream
        Where the keys come from; of a `MaskStream` it takes one draw.
    batch_size : int
        Samples in a batch. The masks depend on it: each batch of a pass has draws of its own.
    outputs : {"values", "logits", "probabilities"}
        What the model gives. Of logits the softmax along the last axis is taken in each pass, and
        it is the probabilities that are averaged.
    num_threads : int, optional
        Threads of the elementwise kernels, as in `Context`.

    Returns
    -------
    MonteCarlo

    Raises
    ------
    ValueError
        If an argument is out of its range, or an output is no probabilities; only the latter is
        found after the draw was taken.

    Notes
    -----
    Pass ``s`` draws from ``MaskStream.from_state(keys[s], 0)``, its batches one after the other,
    with ``keys[s] = SeedSequence([key, draw], spawn_key=(s,)).generate_state(1, "uint64")[0]`` for
    the key of ``rng`` and the draw taken. So the first passes are the same however many follow.

    References
    ----------
    Gal, Ghahramani 2016, "Dropout as a Bayesian approximation: representing model uncertainty in
    deep learning".

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.layers import Dense, Dropout, Sequential
    >>> model = Sequential([Dropout(0.5), Dense(2, activation="relu")])
    >>> model.build((4,), np.random.default_rng(0))
    >>> found = predict_mc(model, np.ones((3, 4), "float32"), samples=20, rng=0)
    >>> found.mean.shape, found.std.shape, found.samples
    ((3, 2), (3, 2), 20)
    """
    x = _checked(model, x, batch_size, outputs, num_threads)
    check_count("samples", samples)
    source = as_stream(rng)
    draw = source.take()
    seeds = [np.random.SeedSequence([source.key, draw], spawn_key=(s,)) for s in range(samples)]
    keys = tuple(int(seed.generate_state(1, np.uint64)[0]) for seed in seeds)
    streams = [MaskStream.from_state(key, 0) for key in keys]
    parts = [
        _moments(_passes(model, x[rows], streams, outputs, num_threads), outputs != "values")
        for rows in batches(len(x), batch_size)
    ]
    mean, std, *rest = (np.concatenate(part) for part in zip(*parts, strict=True))
    entropy, information = rest or (None, None)
    return MonteCarlo(mean, std, entropy, information, keys)


def predict_pass(
    model: Layer,
    x: Any,
    key: int,
    *,
    batch_size: int = 1024,
    outputs: Outputs = "values",
    num_threads: int | None = 1,
) -> Array:
    """Return the output of one pass of `predict_mc`, in float64.

    Parameters are those of `predict_mc`, of which ``x``, ``batch_size`` and ``outputs`` must be
    the same, and ``key`` one of `MonteCarlo.keys`.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.layers import Dropout
    >>> x = np.ones((2, 3))
    >>> found = predict_mc(Dropout(0.5), x, samples=2, rng=0)
    >>> passes = [predict_pass(Dropout(0.5), x, key) for key in found.keys]
    >>> bool((np.mean(passes, axis=0) == found.mean).all())
    True
    """
    x = _checked(model, x, batch_size, outputs, num_threads)
    stream = [MaskStream.from_state(key, 0)]
    parts = (
        _passes(model, x[rows], stream, outputs, num_threads)
        for rows in batches(len(x), batch_size)
    )
    return np.concatenate([next(part) for part in parts])


def _checked(
    model: Any, x: Any, batch_size: int, outputs: str, num_threads: int | None
) -> Array:
    check_model(model)
    check_choice("outputs", outputs, ("values", "logits", "probabilities"))
    check_count("batch_size", batch_size)
    optional(check_count, "num_threads", num_threads)
    samples: Array = check_batch(model, check_samples(x))
    return samples


def _passes(
    model: Layer, x: Array, streams: Sequence[MaskStream], outputs: str, num_threads: int | None
) -> Iterator[Array]:
    """Yield the output of a batch for each stream."""
    layers = model.parts()
    probe = Context(True, MaskStream.from_state(0, 0), num_threads, backward=False,
                    batch_statistics=False)
    place, x = _fixed(layers, model.convert(x), probe)
    steps = plan(layers[place:], getattr(model, "fuse", True))
    for stream in streams:
        ctx, y = replace(probe, stream=stream), x
        for step in steps:
            y, _ = step.forward(y, ctx)
        yield _read(y, outputs)


def _fixed(layers: Sequence[Layer], x: Array, probe: Context) -> tuple[int, Array]:
    """Run the layers before the first that draws; return its place and its input."""
    stream = probe.stream
    for place, layer in enumerate(layers):
        y, _ = layer.forward(x, probe)
        if stream is not None and stream.next_draw:
            return place, x
        x = y
    return len(layers), x


def _read(y: Array, outputs: str) -> Array:
    wide: Array = y.astype(np.float64)
    if outputs == "values":
        return wide
    if wide.ndim < 2:
        raise ValueError(f"classes need outputs (n, ..., classes), got shape {wide.shape}")
    if outputs == "logits":
        probabilities: Array = np.exp(log_softmax(wide))
        return probabilities
    sums = wide.sum(axis=-1)
    wrong = (wide < 0).any(axis=-1) | (abs(sums - 1) > 1e-3)
    if wrong.any():
        raise ValueError(
            f"the outputs are no probabilities: one row sums to {sums[wrong][0]:g} and its "
            f"smallest entry is {wide[wrong][0].min():g}; for logits use outputs='logits'"
        )
    return wide


def _moments(passes: Iterable[Array], classes: bool) -> list[Array]:
    """Return mean and deviation, and of classes entropy and mutual information."""
    mean, squares, entropies = np.float64(0), np.float64(0), np.float64(0)
    # Welford's recurrence, which loses no digits where the mean is large.
    for count, y in enumerate(passes, 1):
        before = y - mean
        mean = mean + before / count
        squares = squares + before * (y - mean)
        if classes:
            entropies = entropies + (_entropy(y) - entropies) / count
    found = [mean, np.sqrt(squares / count)]
    if classes:
        total = _entropy(mean)
        found += [total, np.maximum(total - entropies, 0)]
    return found


def _entropy(p: Array) -> Array:
    """Return ``-sum_c p_c log p_c``, where a class of probability 0 counts for nothing."""
    entropy: Array = -(p * np.log(np.where(p > 0, p, 1))).sum(axis=-1)
    return entropy
