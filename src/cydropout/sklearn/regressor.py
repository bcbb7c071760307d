"""DropoutMLPRegressor: a multi-layer perceptron with dropout, as one of scikit-learn's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cydropout import _sklearn
from cydropout.sklearn._estimator import Array, DropoutMLP, all_or_nothing
from cydropout.training.losses import Loss, MeanSquaredError
from cydropout.training.monte_carlo import MonteCarlo

if TYPE_CHECKING:
    from typing_extensions import Self

_base = _sklearn.part("base", "sklearn")
_metrics = _sklearn.part("metrics", "sklearn")


class DropoutMLPRegressor(
    _base.RegressorMixin,  # type: ignore[misc, name-defined]
    DropoutMLP,
):
    """Multi-layer perceptron with dropout: ``W_k m_k(...act(W_1 m_0(x) + b_1)...) + b_k``.

    ``m_i`` are the masks of training; a prediction has none, and a spread comes of passes with
    them. The loss is the mean squared error, over the samples and over the columns of ``y``.

    Parameters
    ----------
    hidden_layer_sizes, activation, input_dropout, noise, solver, batch_size, learning_rate
        As for `DropoutMLPClassifier`, and so are all others but these:
    dropout : float or sequence of float
        Share of the units that is dropped in each hidden layer, or one for each. It is lower than
        for classes, as noise in the units is noise in the number predicted.
    alpha : float
        ``alpha / n sum W**2`` is added to the loss of a batch of n samples, in proportion as much
        as in scikit-learn's network; with "adamw" it is the decoupled decay.
    mc_samples : int
        With more than 0 `predict` is the mean of so many passes with dropout.

    Attributes
    ----------
    n_features_in_, feature_names_in_, n_outputs_, n_iter_, loss_curve_, best_loss_, coefs_, \
intercepts_, model_
        As for `DropoutMLPClassifier`.
    validation_scores_, best_validation_score_ : list of float, float
        R2 on what is held out, with ``early_stopping``; else both are None.

    References
    ----------
    Gal, Ghahramani 2016, "Dropout as a Bayesian approximation: representing model uncertainty in
    deep learning".

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.sklearn import DropoutMLPRegressor
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> model = DropoutMLPRegressor(
    ...     (64,), dropout=0.05, learning_rate_init=0.01, tol=0.001, random_state=0)
    >>> model.fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2) > 0.9
    True
    >>> mean, std = model.predict([[0.0], [3.0]], return_std=True)
    >>> bool(std[1] > std[0])
    True
    """

    _confidence = 2.0

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        dropout: Any = 0.1,
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
        max_norm: float | None = None,
        clip_norm: float | None = None,
        normalization: str | None = None,
        mc_samples: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self._keep(locals())

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch, from where the last call ended."""
        with all_or_nothing(self):
            return self._fit(X, y, sample_weight, True)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the value of each sample, or with ``return_std`` mean and standard deviation.

        These are of ``mc_samples`` passes with dropout, or of 50, whose masks depend on
        ``random_state``: the part of the spread that more data would lessen, without the noise of
        the targets.
        """
        X = self._inputs(X)
        if not return_std and not self.mc_samples:
            return self._shaped(self._output(X))
        found = self._monte_carlo(X, self.mc_samples or 50, self.random_state)
        mean, std = (one.astype(self.model_.dtype) for one in (found.mean, found.std))
        return (mean, std) if return_std else mean

    def predict_mc(self, X: Any, n_samples: int = 50, random_state: Any = None) -> MonteCarlo:
        """Return ``mean`` and ``std`` over passes with dropout, of the shape of `predict`.

        A pass is one thinned network for all samples. With ``random_state=None`` each call draws
        new masks. There are no classes, and so no entropy.
        """
        return self._monte_carlo(self._inputs(X), n_samples, random_state)

    def _encode(self, y: Array, go_on: bool) -> Array:
        outputs = 1 if y.ndim == 1 else y.shape[1]
        if go_on and outputs != self.n_outputs_:
            raise ValueError(f"y has {outputs} columns, but the estimator was begun with "
                             f"{self.n_outputs_}; make a new one")
        self.n_outputs_, self._flat = outputs, y.ndim == 1
        return y

    def _weights(self, y: Array, sample_weight: Any) -> Any:
        return sample_weight

    def _targets(self, codes: Array, smooth: bool = True) -> Array:
        return codes.reshape(len(codes), -1)

    def _loss(self) -> Loss:
        return MeanSquaredError()

    def _penalty(self, samples: float) -> float:
        return float(self.alpha / samples)

    def _score(self, values: Array, targets: Array, sample_weight: Any = None) -> float:
        return float(_metrics.r2_score(targets, values, sample_weight=sample_weight))

    def _shaped(self, values: Array) -> Array:
        return values[:, 0] if self._flat else values

    def _monte_carlo(self, X: Any, samples: int, random_state: Any) -> MonteCarlo:
        found = self._passes(X, samples, random_state, "values")
        return replace(found, mean=self._shaped(found.mean), std=self._shaped(found.std))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
