"""DropoutMLPClassifier: a multi-layer perceptron with dropout, as one of scikit-learn's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cydropout import _sklearn
from cydropout._samples import check_weights
from cydropout._validate import check_number
from cydropout.layers import Context
from cydropout.sklearn._estimator import Array, DropoutMLP, all_or_nothing
from cydropout.sklearn._network import Pairs
from cydropout.training.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy
from cydropout.training.losses.outputs import log_softmax
from cydropout.training.monte_carlo import MonteCarlo

if TYPE_CHECKING:
    from typing_extensions import Self

_base = _sklearn.part("base", "sklearn")
_multiclass = _sklearn.part("utils.multiclass", "sklearn")
_class_weight = _sklearn.part("utils.class_weight", "sklearn")
_validation = _sklearn.part("utils.validation", "sklearn")


class DropoutMLPClassifier(
    _base.ClassifierMixin,  # type: ignore[misc, name-defined]
    DropoutMLP,
):
    """Multi-layer perceptron with dropout: ``softmax(W_k m_k(...act(W_1 m_0(x) + b_1)...) + b_k)``.

    ``m_i`` are the masks of training; a prediction has none. Trained by `Trainer`, on minibatches.
    Two classes share one logit, and each label of multi-label targets has its own.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int
        Units of the hidden layers.
    dropout : float or sequence of float
        Share of the units that is dropped in each hidden layer, or one for each.
    input_dropout : float
        Share of the features that is dropped.
    noise : {"bernoulli", "gaussian", "alpha", "batchwise", "concrete"}
        The kind of dropout. "batchwise" shares a mask in a batch, and is the fastest in wide
        networks; "concrete" learns its rates, from ``dropout`` on.
    activation : {"identity", "logistic", "tanh", "relu", "softplus", "selu", "gelu"}
        Of the hidden layers.
    solver : str
        The optimizer, by its name in `training.optimizers`, such as "adam", "adamw" or "sgd".
    alpha : float
        ``alpha / (2 n) sum W**2`` is added to the loss of a batch of n samples, or of that sum of
        their weights; with "adamw" it is the decoupled decay of weights instead.
    batch_size : int or "auto"
        Samples in a batch; "auto" is 200, and no more than there are.
    learning_rate : {"constant", "invscaling", "adaptive"}
        With "invscaling" ``learning_rate_init / sqrt(samples seen)``; "adaptive" divides it by 5
        where training would stop. Holds for each solver.
    learning_rate_init : float
        Size of the steps.
    max_iter : int
        Most epochs of a call of `fit`.
    shuffle : bool
        Take the samples in a new order in each epoch.
    random_state : None, int or numpy.random.RandomState
        Weights, masks, orders and what is held out depend on it; None is new in each fit, also in
        forked processes.
    tol, n_iter_no_change : float, int or inf
        Training ends after so many epochs in which loss or score did not improve by ``tol``.
    verbose : bool
        Print loss and score of each epoch.
    warm_start : bool
        A further `fit` goes on with the network of the last. The classes must be the same.
    momentum, nesterovs_momentum : float, bool
        Of "sgd".
    early_stopping, validation_fraction : bool, float
        Hold out that share, watch its score instead of the loss, and keep the best epoch's weights.
    class_weight : dict, list of dict or "balanced", optional
        As in scikit-learn; the weights multiply ``sample_weight``.
    label_smoothing : float
        Share of a label that is spread over all classes.
    max_norm : float, optional
        Largest norm of what comes into a hidden unit.
    clip_norm : float, optional
        Largest norm of all gradients together.
    normalization : {"batch", "layer"}, optional
        `BatchNorm` or `LayerNorm` before each activation. With "batch" a last batch of one sample
        is left out.
    mc_samples : int
        With more than 0 `predict_proba` is the mean of so many passes with dropout.
    n_jobs : int, optional
        Threads: -1 for all; by default as many as pay. Never more than `get_num_threads` says,
        which is 1 in a worker of joblib that shares the machine.

    Attributes
    ----------
    classes_ : array
        The labels. Of multi-label targets the numbers of their columns.
    n_features_in_, feature_names_in_, n_outputs_ : int, array of str, int
        Features, their names where the data have some, and logits.
    n_iter_ : int
        Epochs of the last call.
    loss_curve_, best_loss_ : list of float, float
        Training loss of each epoch, with penalties and with dropout at work; the lowest.
    validation_scores_, best_validation_score_ : list of float, float
        Accuracy on what is held out, with ``early_stopping``; else both are None.
    coefs_, intercepts_ : list of array
        Weights and biases.
    model_ : Sequential
        The network.

    Notes
    -----
    Weights of samples are those of a mean over a batch, so that whole weights equal repeated
    samples exactly where one batch holds all samples and nothing is dropped; with minibatches other
    batches come about.

    References
    ----------
    Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting";
    Gal, Ghahramani 2016, "Dropout as a Bayesian approximation", for `predict_mc`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from cydropout.sklearn import DropoutMLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = DropoutMLPClassifier(
    ...     (32,), dropout=0.2, learning_rate_init=0.01, n_iter_no_change=5, tol=0.01,
    ...     random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.9
    True
    >>> model.predict_mc(X[:2], n_samples=20, random_state=0).entropy.shape
    (2,)
    """

    classes_: Array

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        dropout: Any = 0.5,
        input_dropout: float = 0.0,
        noise: str = "bernoulli",
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        class_weight: Any = None,
        label_smoothing: float = 0.0,
        max_norm: float | None = None,
        clip_norm: float | None = None,
        normalization: str | None = None,
        mc_samples: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self._keep(locals())

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> Self:
        """Train for one epoch; the first call needs all ``classes``, of multi-label data none."""
        if isinstance(self.class_weight, str) and self.class_weight == "balanced":
            raise ValueError("class_weight='balanced' needs all data at once; give a dict")
        first = not hasattr(self, "classes_")
        if first and classes is None and not _multiclass.type_of_target(y).startswith("multilabel"):
            raise ValueError("classes must be passed on the first call to partial_fit.")
        with all_or_nothing(self):
            if classes is not None:
                found = _multiclass.unique_labels(classes)
                if not first and not np.array_equal(found, self.classes_):
                    raise ValueError(f"classes={found} differ from those of the first call, "
                                     f"{self.classes_}")
                self.classes_ = found
            return self._fit(X, y, sample_weight, True)

    def predict(self, X: Any) -> Array:
        """Return the most probable class of each sample, or a row of labels as 0 and 1."""
        return self._named(self._decide(self._scores(self._inputs(X))))

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class (n, classes), or of each label (n, labels).

        It is that without dropout, or the mean of ``mc_samples`` passes, whose masks depend on
        ``random_state``.
        """
        p: Array = np.exp(log_softmax(self._logits(self._scores(self._inputs(X)))))
        return p[..., 1] if self._multilabel else p

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of `predict_proba`."""
        logarithms = log_softmax(self._logits(self._scores(self._inputs(X))))
        return logarithms[..., 1] if self._multilabel else logarithms

    def decision_function(self, X: Any) -> Array:
        """Return the logits; of two classes that of the second alone, (n,).

        With ``mc_samples`` they are those of the mean probabilities.
        """
        z = self._scores(self._inputs(X))
        return z[:, 0] if len(self.classes_) == 2 and not self._multilabel else z

    def predict_mc(self, X: Any, n_samples: int = 50, random_state: Any = None) -> MonteCarlo:
        """Return what passes with dropout say: probabilities, and how unsure they are.

        A pass is one thinned network for all samples, so that what is said of one depends on no
        other. ``mean`` and ``std`` of the probabilities have the shape of `predict_proba`;
        ``entropy`` and ``mutual_information``, in nats, are one number for each sample, or for each
        label. With ``random_state=None`` each call draws new masks.
        """
        return self._monte_carlo(self._inputs(X), n_samples, random_state)

    # ------------------------------------------------------------ targets

    def _encode(self, y: Array, go_on: bool) -> Array:
        """Return the places of the labels among the classes, which are set or compared."""
        _multiclass.check_classification_targets(y)
        kind = _multiclass.type_of_target(y)
        if kind == "multiclass-multioutput":
            raise ValueError(f"Unknown label type: {kind}; give 0 and 1 for each label")
        many = kind.startswith("multilabel")
        found = np.arange(y.shape[1]) if many else np.unique(y)
        given = getattr(self, "classes_", None)
        known = given if go_on or (given is not None and not hasattr(self, "model_")) else None
        if known is None:
            self.classes_ = known = found
        strict = go_on and self.warm_start
        if (strict and not np.array_equal(found, known)) or len(np.setdiff1d(found, known)):
            raise ValueError(
                f"y has the classes {found}, but the estimator was begun with {known}; "
                "make a new one")
        if len(known) < 2 and not many:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes, but the data contain "
                f"only one class: {known[0]!r}")
        self._multilabel = many
        self.n_outputs_ = 1 if len(known) == 2 and not many else len(known)
        return np.asarray(y, np.int64) if many else np.searchsorted(known, y)

    def _weights(self, y: Array, sample_weight: Any) -> Any:
        """Return the weights of samples, times those of their classes."""
        check_number("label_smoothing", self.label_smoothing, "[0, 1)")
        if self.class_weight is None:
            return sample_weight
        weights = check_weights(
            "class_weight", _class_weight.compute_sample_weight(self.class_weight, y))
        return weights if sample_weight is None else weights * sample_weight

    @property
    def _softmax(self) -> bool:
        return len(self.classes_) > 2 and not self._multilabel

    def _targets(self, codes: Array, smooth: bool = True) -> Array:
        if self._softmax:
            return codes
        share = self.label_smoothing if smooth else 0.0
        targets: Array = codes.reshape(len(codes), -1) * (1 - share) + share / 2
        return targets

    def _loss(self) -> Loss:
        return SoftmaxCrossEntropy(self.label_smoothing) if self._softmax else BinaryCrossEntropy()

    def _penalty(self, samples: float) -> float:
        return float(self.alpha / (2 * samples))

    # ------------------------------------------------------------ predictions

    def _decide(self, logits: Array) -> Array:
        """Return the places of the classes, or for each label whether it is one."""
        if self._softmax:
            return np.asarray(logits.argmax(axis=1))
        return logits > 0 if self._multilabel else (logits[:, 0] > 0).astype(np.int64)

    def _named(self, places: Array) -> Array:
        named: Array = places.astype(np.int64) if self._multilabel else self.classes_[places]
        return named

    def _score(self, logits: Array, targets: Array, sample_weight: Any = None) -> float:
        right = self._decide(logits) == targets.reshape(
            len(targets), -1)[:, slice(None) if self._multilabel else 0]
        every = right.all(axis=1) if right.ndim > 1 else right
        return float(np.average(every, weights=sample_weight))

    def _scores(self, X: Any) -> Array:
        """Return the logits of the network, or those of mean probabilities."""
        if not self.mc_samples:
            return self._output(X)
        p = self._monte_carlo(X, self.mc_samples, self.random_state).mean
        scores: Array = np.log(np.maximum(p, 1e-300))
        if self._multilabel:
            scores -= np.log(np.maximum(1 - p, 1e-300))
        elif not self._softmax:
            scores = scores[:, 1:] - scores[:, :1]
        return scores.astype(self.model_.dtype)

    def _logits(self, scores: Array) -> Array:
        """Return a logit for each class, or a pair of them for each label."""
        if self._softmax:
            return scores
        pairs: Array = Pairs().forward(scores, Context())[0]
        return pairs if self._multilabel else pairs[:, 0]

    def _monte_carlo(self, X: Any, samples: int, random_state: Any) -> MonteCarlo:
        if self._softmax:
            return self._passes(X, samples, random_state, "logits")
        found = self._passes(X, samples, random_state, "logits", Pairs())
        if self._multilabel:
            return replace(found, mean=found.mean[..., 1], std=found.std[..., 1])
        parts = {name: getattr(found, name)[:, 0]
                 for name in ("mean", "std", "entropy", "mutual_information")}
        return replace(found, **parts)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
