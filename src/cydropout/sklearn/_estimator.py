"""DropoutMLP: what the estimators share, from the parameters to the trainer."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cydropout import _sklearn
from cydropout._samples import check_weights
from cydropout._text import show
from cydropout._validate import check_choice, check_count, check_flag, check_integer, check_number
from cydropout.functional import get_num_threads
from cydropout.layers import Layer
from cydropout.random import MaskStream
from cydropout.sklearn._documentation import Documented
from cydropout.sklearn._network import (
    check_settings,
    dense_layers,
    draw_weights,
    network,
    thinned,
)
from cydropout.training import Trainer, optimizers
from cydropout.training.callbacks import Callback, EarlyStopping, LearningRateSchedule
from cydropout.training.monte_carlo import MonteCarlo, predict_mc

if TYPE_CHECKING:
    from typing_extensions import Self

_base = _sklearn.part("base", "sklearn")
_exceptions = _sklearn.part("exceptions", "sklearn")
_selection = _sklearn.part("model_selection", "sklearn")
_utils = _sklearn.part("utils", "sklearn")
_validation = _sklearn.part("utils.validation", "sklearn")

Array = np.ndarray[Any, Any]
RATES = ("constant", "invscaling", "adaptive")


class Adaptive(Callback):
    """Divide the learning rate by 5 where a run would stop, until it is below 1e-6."""

    def __init__(self, stopping: EarlyStopping) -> None:
        self.stopping = stopping

    def on_epoch_end(self, trainer: Any, epoch: int, record: Mapping[str, float]) -> None:
        """Go on with a smaller rate."""
        if trainer.stop_training and trainer.optimizer.learning_rate > 1e-6:
            trainer.optimizer.learning_rate /= 5
            trainer.stop_training = False
            self.stopping.load_state_dict(self.stopping.state_dict() | {"waited": 0})


@contextmanager
def all_or_nothing(estimator: Any) -> Iterator[None]:
    """Give an estimator its attributes back if what is done with it raises an error."""
    before = dict(vars(estimator))
    try:
        yield
    except Exception:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


class DropoutMLP(
    Documented,
    _base.BaseEstimator,  # type: ignore[misc, name-defined]
):
    """Base of `DropoutMLPClassifier` and `DropoutMLPRegressor`, over `Trainer`."""

    _confidence = 1.0  # of concrete dropout in its rates, for each sample
    n_outputs_: int
    _settings: dict[str, Any]
    _stream: MaskStream

    def _keep(self, parameters: Mapping[str, Any]) -> None:
        """Set the parameters as they were given; `fit` checks them."""
        for name in inspect.signature(type(self).__init__).parameters:
            if name != "self":
                setattr(self, name, parameters[name])

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the network to ``X`` of shape (n, features), dense or sparse, and ``y``.

        ``sample_weight`` holds a weight of at least 0 for each sample; the loss of a batch is the
        weighted mean. Returns the estimator.
        """
        with all_or_nothing(self):
            return self._fit(X, y, sample_weight, False)

    def _fit(self, X: Any, y: Any, sample_weight: Any, more: bool) -> Self:
        """Train for up to ``max_iter`` epochs, or for one ``more``."""
        settings, control = check_settings(self), self._control()
        if more and self.early_stopping:
            raise ValueError("partial_fit does one epoch and has no early_stopping; use fit")
        go_on = hasattr(self, "model_") and (more or control["warm_start"])
        if go_on and settings != self._settings:
            changed = [name for name in settings if settings[name] != self._settings[name]]
            raise ValueError(f"the network is there already, with other {', '.join(changed)}; "
                             "make a new estimator")
        X, y = self._samples(X, y, not go_on)
        if self.normalization == "batch" and X.shape[0] == 1:
            raise ValueError("normalization='batch' needs 2 samples or more, got n_samples = 1")
        if sample_weight is not None:
            sample_weight = check_weights(
                "sample_weight", _validation._check_sample_weight(sample_weight, X))
        codes = self._encode(y, go_on)
        weight = self._weights(y, sample_weight)
        stream = self._stream if go_on else MaskStream(_seed(self.random_state))
        held = None
        if self.early_stopping:
            X, codes, weight, held = self._hold_out(
                X, codes, weight, sample_weight, stream.key, control["validation_fraction"])
        if weight is not None and not weight.any():
            raise ValueError("no sample to train on has a weight above 0; see sample_weight, "
                             "class_weight and validation_fraction")
        size = min(200 if self.batch_size == "auto" else control["batch_size"], X.shape[0])
        if not go_on:
            self.model_ = network(self.n_outputs_, self._confidence / X.shape[0],
                                  X.dtype, **settings)
            draw_weights(self.model_, X.shape[1], settings["activation"], stream.key)
            self._settings, self._stream, self._epochs = settings, stream, 0
            self.loss_curve_: list[float] = []
            self.validation_scores_: list[float] | None = None
            self.best_validation_score_: float | None = None
        if not (go_on and more):
            self._optimizer = self._new_optimizer()
        mean = 1.0 if weight is None else float(weight.mean())
        for layer in dense_layers(self.model_):
            layer.l2 = 0.0 if self.solver == "adamw" else self._penalty(mean * size)
        callbacks = [] if more else self._callbacks(control, X.shape[0])
        if self.verbose:
            callbacks.append(_tell)  # type: ignore[arg-type]
        trainer = self._trainer({"score": self._score} if held else ())
        try:
            trainer.fit(
                X, self._targets(codes), epochs=1 if more else control["max_iter"], batch_size=size,
                validation_data=held and (held[0], self._targets(held[1], smooth=False), *held[2]),
                callbacks=callbacks, progress=False, shuffle=control["shuffle"],
                drop_last=self.normalization == "batch" and X.shape[0] % size == 1 < size,
                sample_weight=weight,
            )
        finally:  # what was learned before Ctrl-C can be used
            self._told(trainer, bool(held))
        if not more and not trainer.stop_training and not math.isinf(self.n_iter_no_change):
            warnings.warn(
                f"{type(self).__name__} reached max_iter={self.max_iter} before "
                f"{'the score' if held else 'the loss'} stopped improving by tol={self.tol}",
                _exceptions.ConvergenceWarning, stacklevel=3)
        return self

    def _told(self, trainer: Trainer, scored: bool) -> None:
        """Keep what a training has measured."""
        found = trainer.history.to_dict()
        self._epochs, self.n_iter_ = trainer.epoch, len(trainer.history)
        self.loss_curve_ = self.loss_curve_ + found.get("loss", [])
        self.best_loss_ = min(self.loss_curve_, default=math.inf)
        if scored:
            self.validation_scores_ = (self.validation_scores_ or []) + found.get("val_score", [])
            self.best_validation_score_ = max(self.validation_scores_, default=-math.inf)

    def _samples(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        X, y = _validation.validate_data(
            self, X, y, accept_sparse="csr", multi_output=True, reset=reset,
            dtype=[np.float64, np.float32], y_numeric=_base.is_regressor(self))
        if hasattr(y, "toarray"):
            y = y.toarray()
        if y.ndim == 2 and y.shape[1] == 1:
            y = _validation.column_or_1d(y, warn=True)
        return X, y

    def _inputs(self, X: Any) -> Any:
        """Return samples as the network takes them."""
        _validation.check_is_fitted(self)
        return _validation.validate_data(
            self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)

    def _control(self) -> dict[str, Any]:
        """Return the parameters of the training that are numbers or flags, each of it checked."""
        check_choice("solver", self.solver, optimizers.NAMES)
        check_choice("learning_rate", self.learning_rate, RATES)
        for name, interval in (("alpha", "[0, inf)"), ("learning_rate_init", "(0, inf)"),
                               ("tol", "[0, inf)"), ("momentum", "[0, 1)")):
            check_number(name, getattr(self, name), interval)
        check_integer("mc_samples", self.mc_samples, "[0, inf)")
        found: dict[str, Any] = {
            name: check_flag(name, getattr(self, name))
            for name in ("shuffle", "warm_start", "early_stopping", "nesterovs_momentum")}
        if self.batch_size != "auto":
            found["batch_size"] = check_count("batch_size", self.batch_size)
        found["max_iter"] = check_count("max_iter", self.max_iter)
        endless = isinstance(self.n_iter_no_change, float) and math.isinf(self.n_iter_no_change)
        found["patience"] = found["max_iter"] + 1 if endless else check_count(
            "n_iter_no_change", self.n_iter_no_change)
        found["validation_fraction"] = check_number(
            "validation_fraction", self.validation_fraction, "(0, 1)")
        return found

    def _hold_out(
        self, X: Any, codes: Array, weight: Any, sample_weight: Any, key: int, share: float
    ) -> tuple[Any, Array, Any, tuple[Any, Array, list[Array]]]:
        """Return what is trained on, and what is held out for the score, with its weights."""
        arrays = [one for one in (X, codes, weight, sample_weight) if one is not None]
        stratify = codes if _base.is_classifier(self) and codes.ndim == 1 else None
        try:
            parts = _selection.train_test_split(
                *arrays, test_size=share, random_state=key % 2**32, stratify=stratify)
        except ValueError as error:
            raise ValueError(
                f"early_stopping cannot hold out validation_fraction={share} of {X.shape[0]} "
                f"samples: {error}") from None
        if parts[1].shape[0] < 2:
            raise ValueError(
                f"validation_fraction={share} of {X.shape[0]} samples leaves fewer than 2 to "
                "measure; raise it, or give more samples")
        held_weight = [parts[-1]] if sample_weight is not None else []
        return (parts[0], parts[2], None if weight is None else parts[4],
                (parts[1], parts[3], held_weight))

    def _new_optimizer(self) -> optimizers.Optimizer:
        rate = self.learning_rate_init
        if self.solver == "adamw":
            return optimizers.AdamW(rate, weight_decay=self.alpha)
        if self.solver == "sgd":
            nesterov = self.nesterovs_momentum and self.momentum > 0
            return optimizers.SGD(rate, momentum=self.momentum, nesterov=nesterov)
        return optimizers.get(self.solver, rate)

    def _callbacks(self, control: Mapping[str, Any], samples: int) -> list[Callback]:
        """Return what ends the training, and what changes its learning rate."""
        monitor = "val_score" if self.early_stopping else "loss"
        stopping = EarlyStopping(
            monitor, control["patience"], self.tol, self.early_stopping, self.early_stopping)
        rate = self.learning_rate_init
        if self.learning_rate == "invscaling":
            falling = LearningRateSchedule(lambda epoch: rate / (samples * (epoch - 1) + 1) ** 0.5)
            return [stopping, falling]
        return [stopping, Adaptive(stopping)] if self.learning_rate == "adaptive" else [stopping]

    def _trainer(self, metrics: Any = ()) -> Trainer:
        """Return a trainer that goes on where the last one ended."""
        trainer = Trainer(
            self.model_, self._loss(), self._optimizer, rng=self._stream, metrics=metrics,
            clip_norm=self.clip_norm, num_threads=self._threads())
        trainer.epoch = self._epochs
        return trainer

    def _threads(self) -> int | None:
        """Return how many threads ``n_jobs`` asks for: never more than the process may have."""
        if self.n_jobs is None:
            return None
        most, jobs = get_num_threads(), check_integer("n_jobs", self.n_jobs, "(-inf, inf)")
        if jobs == 0:
            raise ValueError("n_jobs must be a number of threads, or -1 for all, not 0")
        return min(jobs, most) if jobs > 0 else max(1, most + 1 + jobs)

    def _output(self, X: Any) -> Array:
        """Return what the network gives for samples that are checked."""
        return self._trainer().predict(X)

    def _passes(
        self, X: Any, samples: int, random_state: Any, outputs: Any, *more: Layer
    ) -> MonteCarlo:
        """Return what passes say in which all samples have the same masks: any part says it too."""
        key = MaskStream(_seed(random_state)).key
        model = thinned(self.model_, *more)
        model.build((self.n_features_in_,), 0)
        rows = (slice(start, start + 1024) for start in range(0, X.shape[0], 1024))
        parts = [predict_mc(model, X[part], samples, rng=MaskStream.from_state(key, 0),
                            outputs=outputs, num_threads=self._threads()) for part in rows]
        joined: dict[str, Any] = {name: None if getattr(parts[0], name) is None
                  else np.concatenate([getattr(part, name) for part in parts])
                  for name in ("mean", "std", "entropy", "mutual_information")}
        return replace(parts[0], **joined)

    @property
    def coefs_(self) -> list[Array]:
        """The weight matrices of the layers, as the network holds them."""
        return [layer.parameter("weight").value for layer in self._layers()]

    @property
    def intercepts_(self) -> list[Array]:
        """The biases of the layers, as the network holds them."""
        return [layer.parameter("bias").value for layer in self._layers()]

    def _layers(self) -> list[Any]:
        if not hasattr(self, "model_"):
            raise AttributeError(f"{type(self).__name__} is not fitted: call fit first")
        return dense_layers(self.model_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.non_deterministic = self.random_state is None
        return tags


def _seed(random_state: Any) -> int | None:
    """Return a seed, or None for fresh entropy, which also differs between processes."""
    if random_state is None:
        return None
    return int(_utils.check_random_state(random_state).randint(2**31 - 1))


def _tell(trainer: Any, epoch: int, record: Mapping[str, float]) -> None:
    """Print the record of an epoch."""
    score = f", score = {record['val_score']:.6f}" if "val_score" in record else ""
    show(f"Iteration {epoch}, loss = {record['loss']:.8f}{score}")
