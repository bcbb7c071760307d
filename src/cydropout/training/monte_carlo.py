"""Monte Carlo dropout: what a model says, and how sure it is, from many passes with noise."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cydropout._samples import check_each, check_samples
from cydropout._validate import (
    ArgumentTypeError,
    check_choice,
    check_count,
    check_made,
    is_ours,
    optional,
)
from cydropout.layers._fusion import plan
from cydropout.layers._layer import Context, Layer, check_model
from cydropout.random import RNG, MaskStream, as_stream
from cydropout.training._batches import padded
from cydropout.training._checks import check_batch, check_sequences
from cydropout.training._evaluation import Evaluation
from cydropout.training.history import figure_of, save_figure
from cydropout.training.losses.outputs import OUTPUTS, Outputs, probabilities_of

Array = npt.NDArray[Any]
#: What runs in a pass: a layer, or a function of samples and a stream.
Model = Layer | Callable[[Array, MaskStream], Any]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MonteCarlo:
    """What `predict_mc` found; float64, of the shape of the model's output.

    Attributes
    ----------
    mean, std : array
        Over the passes; ``std`` is the root of the mean squared distance from ``mean``.
    entropy : array or None
        ``-sum_c m_c log m_c`` in nats, of the mean probabilities ``m``: how unsure the model is
        in all. It has no last axis, which are the classes, but where each output is a yes or no;
        None where the output is no classes.
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

    def __repr__(self) -> str:
        words = [f"samples={self.samples}", f"shape={self.mean.shape}"]
        for name in ("std", "entropy", "mutual_information"):
            if getattr(self, name) is not None:
                words.append(f"mean_{name}={getattr(self, name).mean():.4g}")
        return f"MonteCarlo({', '.join(words)})"

    def plot(
        self, path: str | os.PathLike[str], x: Any = None, *, title: str | None = None
    ) -> None:
        """Draw what was found into the file ``path``; its suffix decides the format.

        That is the mean with bands of one and two standard deviations, for each output; of classes
        the entropy and the mutual information. ``x`` has a place on the axis for each sample; by
        default it is counted, and classes are in the order of their entropy.

        Examples
        --------
        >>> import numpy as np
        >>> from cydropout.layers import Dropout
        >>> predict_mc(Dropout(0.5), np.ones((9, 1)), rng=0).plot("mc.png")  # doctest: +SKIP
        """
        count = len(self.mean)
        at = np.arange(count) if x is None else np.asarray(x, np.float64)
        if at.shape != (count,):
            raise ValueError(f"x must have one number for each of {count} samples, not {at.shape}")
        figure, (panel,) = figure_of(1)
        if self.entropy is None or self.mutual_information is None:
            order = np.argsort(at, kind="stable")
            mean, std = (each.reshape(count, -1)[order] for each in (self.mean, self.std))
            for column in range(mean.shape[1]):
                m, s, color = mean[:, column], std[:, column], f"C{column}"
                panel.plot(at[order], m, color=color, label=f"mean of output {column}")
                for width in (1, 2):
                    panel.fill_between(at[order], m - width * s, m + width * s, color=color,
                                       alpha=0.2, linewidth=0)
        else:
            both = [each.reshape(count, -1).mean(axis=1)
                    for each in (self.entropy, self.mutual_information)]
            order = np.argsort(both[0] if x is None else at, kind="stable")
            for each, name in zip(both, ("entropy", "mutual information"), strict=True):
                panel.plot(at if x is None else at[order], each[order], label=name)
            panel.set_ylabel("nats")
        panel.set_xlabel("sample" if x is None else "x")
        if title:
            figure.suptitle(title)
        save_figure(figure, path)


def predict_mc(
    model: Any,
    x: Any,
    samples: int = 50,
    *,
    rng: RNG = None,
    batch_size: int = 1024,
    outputs: Outputs | None = None,
    num_threads: int | None = 1,
    lengths: Any = None,
) -> MonteCarlo:
    """Return mean and spread of the model's output over passes with noise, as in training.

    The layers before the first one that draws run once for each batch. Memory does not grow with
    the number of passes.

    Parameters
    ----------
    model : Layer, Trainer or function
        A layer is built, and commonly a `Sequential`; another one runs whole in every pass. Of a
        `Trainer` it is its model, and its loss says what the outputs are. A function
        ``f(x, stream)`` takes a batch and the `MaskStream` of its pass, from which it draws.
    x : array-like
        Samples along the first axis.
    samples : int
        How many passes.
    rng : None, int, SeedSequence, Generator or MaskStream
        Where the keys come from; of a `MaskStream` it takes one draw.
    batch_size : int
        Samples in a batch. The masks depend on it: each batch of a pass has draws of its own.
    outputs : {"values", "logits", "probabilities", "binary_logits", "binary_probabilities"}
        What the model gives: of a `Trainer` what its loss takes (`Loss.outputs`), else by default
        values, which are averaged as they are. Of logits the softmax along the last axis is taken
        in each pass, and it is the probabilities that are averaged. Of binary ones each output is
        the logit, or the probability, of a yes.
    num_threads : int, optional
        Threads of the elementwise kernels, as in `Context`.
    lengths : array of int, optional
        Of sequences, as in `Context`.

    Returns
    -------
    MonteCarlo

    Raises
    ------
    ValueError
        If an argument is out of its range, or an output is no probabilities; only the latter is
        found after the draw was taken.
    TypeError
        If ``model`` is nothing of that.

    Warns
    -----
    UserWarning
        If no pass drew from its stream, all were alike, and a layer or a function of your own was
        among them: noise that comes from elsewhere, as from NumPy, is not seen here.

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
    model, x, lengths, kind = _checked(model, x, lengths, batch_size, outputs, num_threads)
    check_count("samples", samples)
    source = as_stream(rng)
    draw = source.take()
    seeds = [np.random.SeedSequence([source.key, draw], spawn_key=(s,)) for s in range(samples)]
    keys = tuple(int(seed.generate_state(1, np.uint64)[0]) for seed in seeds)
    streams = [MaskStream.from_state(key, 0) for key in keys]
    parts = [
        _moments(_passes(model, *rows, streams, kind, num_threads), _ENTROPIES[kind])
        for rows in padded(x, lengths, batch_size)
    ]
    mean, std, *rest = (np.concatenate(part) for part in zip(*parts, strict=True))
    entropy, information = rest or (None, None)
    if not any(stream.next_draw for stream in streams) and not std.any():
        _warn(model)
    return MonteCarlo(mean, std, entropy, information, keys)


def predict_pass(
    model: Any,
    x: Any,
    key: int,
    *,
    batch_size: int = 1024,
    outputs: Outputs | None = None,
    num_threads: int | None = 1,
    lengths: Any = None,
) -> Array:
    """Return the output of one pass of `predict_mc`, in float64.

    Parameters are those of `predict_mc`, of which ``x``, ``batch_size``, ``outputs`` and
    ``lengths`` must be the same, and ``key`` one of `MonteCarlo.keys`.

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
    model, x, lengths, kind = _checked(model, x, lengths, batch_size, outputs, num_threads)
    stream = [MaskStream.from_state(key, 0)]
    parts = (
        _passes(model, *rows, stream, kind, num_threads)
        for rows in padded(x, lengths, batch_size)
    )
    return np.concatenate([next(part) for part in parts])


def _checked(
    model: Any, x: Any, lengths: Any, batch_size: int, outputs: Any, num_threads: int | None
) -> tuple[Model, Array, Array | None, Outputs]:
    """Return what runs, its samples and their lengths, and what its outputs are."""
    if isinstance(model, Evaluation):
        trainer: Evaluation = check_made(model)
        model, outputs = trainer.model, trainer.loss.outputs if outputs is None else outputs
    is_function = callable(model) and not isinstance(model, (Layer, type))
    if not is_function:
        try:
            check_model(model)
        except ArgumentTypeError as error:
            raise ArgumentTypeError(f"{error}; or a Trainer, or a function f(x, stream)") from None
    kind: Outputs = check_choice("outputs", "values" if outputs is None else outputs, OUTPUTS)
    check_count("batch_size", batch_size)
    optional(check_count, "num_threads", num_threads)
    samples = check_samples(x)
    if is_function:
        if lengths is not None:
            raise ValueError("lengths are taken by the layers of a model, not by a function")
        return model, samples, None, kind
    samples = check_batch(model, samples)
    return model, samples, check_sequences(model, samples, lengths), kind


def _warn(model: Model) -> None:
    """Say which layers of the user's own drew nothing."""
    if isinstance(model, Layer):
        paths = [(path or layer.path, layer) for path, layer in model._walk()]
        own = [f"{path} ({type(one).__name__})" for path, one in paths if not is_ours(type(one))]
        take = "its forward from ctx.draw or ctx.draw_as"
    else:
        own, take = [getattr(model, "__name__", repr(model))], "the function from its stream"
    if own:
        warnings.warn(
            f"predict_mc: all passes are alike, since nothing was drawn; if {' or '.join(own)} has "
            f"noise, as of NumPy, take it in {take}", stacklevel=3)


def _passes(
    model: Model, x: Array, lengths: Array | None, streams: Sequence[MaskStream], outputs: Outputs,
    num_threads: int | None,
) -> Iterator[Array]:
    """Yield the output of a batch for each stream."""
    if not isinstance(model, Layer):
        for stream in streams:
            yield _read(np.asarray(model(x, stream)), outputs)
        return
    layers = model.parts()
    probe = Context(True, MaskStream.from_state(0, 0), num_threads, backward=False,
                    batch_statistics=False, lengths=lengths)
    place, x, probe = _fixed(layers, model.convert(x), probe)
    steps = plan(layers[place:], getattr(model, "fuse", True))
    for stream in streams:
        ctx, y = replace(probe, stream=stream), x
        for step in steps:
            behind = ctx.behind(step.layers, y.shape)
            y, _ = step.forward(y, ctx)
            ctx = behind
        yield _read(y, outputs)


def _fixed(
    layers: Sequence[Layer], x: Array, probe: Context
) -> tuple[int, Array, Context]:
    """Run the layers before the first that draws; return its place, its input and its context."""
    stream = probe.stream
    for place, layer in enumerate(layers):
        behind = probe.behind([layer], x.shape)
        y, _ = layer.forward(x, probe)
        if stream is not None and stream.next_draw:
            return place, x, probe
        x, probe = y, behind
    return len(layers), x, probe


def _read(y: Array, outputs: Outputs) -> Array:
    wide: Array = y.astype(np.float64)
    if outputs == "binary_probabilities":
        check_each(wide, (wide >= 0) & (wide <= 1), "the outputs are no probabilities: they must "
                   "lie between 0 and 1 (of logits use outputs='binary_logits')")
    if outputs in ("logits", "probabilities") and wide.ndim < 2:
        raise ValueError(f"classes need outputs (n, ..., classes), got shape {wide.shape}")
    if outputs == "probabilities":
        _check_rows(wide)
    probabilities = probabilities_of(wide, outputs)
    return wide if probabilities is None else probabilities


def _check_rows(wide: Array) -> None:
    """Raise unless each row is of probabilities that sum to 1."""
    sums = wide.sum(axis=-1)
    wrong = (wide < 0).any(axis=-1) | (abs(sums - 1) > 1e-3)
    if wrong.any():
        raise ValueError(
            f"the outputs are no probabilities: one row sums to {sums[wrong][0]:g} and its "
            f"smallest entry is {wide[wrong][0].min():g}; for logits use outputs='logits'"
        )


def _moments(
    passes: Iterable[Array], entropy: Callable[[Array], Array] | None
) -> list[Array]:
    """Return mean and deviation, and of classes entropy and mutual information."""
    mean, squares, entropies = np.float64(0), np.float64(0), np.float64(0)
    # Welford's recurrence, which loses no digits where the mean is large.
    for count, y in enumerate(passes, 1):
        before = y - mean
        mean = mean + before / count
        squares = squares + before * (y - mean)
        if entropy:
            entropies = entropies + (entropy(y) - entropies) / count
    found = [mean, np.sqrt(squares / count)]
    if entropy:
        total = entropy(mean)
        found += [total, np.maximum(total - entropies, 0)]
    return found


def _entropy(p: Array) -> Array:
    """Return ``-sum_c p_c log p_c``, where a class of probability 0 counts for nothing."""
    entropy: Array = -(p * np.log(np.where(p > 0, p, 1))).sum(axis=-1)
    return entropy


def _binary_entropy(p: Array) -> Array:
    """Return the entropy of a yes or no, of probability p each."""
    return _entropy(np.stack([p, 1 - p], axis=-1))


_ENTROPIES: dict[str, Callable[[Array], Array] | None] = {
    "values": None, "logits": _entropy, "probabilities": _entropy,
    "binary_logits": _binary_entropy, "binary_probabilities": _binary_entropy,
}
