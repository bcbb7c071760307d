"""Steps for scikit-learn's pipelines; needs ``cydropout[sklearn]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cydropout import _sklearn
from cydropout._rates import feature_count
from cydropout._validate import check_array, check_choice, check_features, check_number
from cydropout.masks import subset
from cydropout.random import MaskStream
from cydropout.sklearn._documentation import Documented

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["FeatureDropoutTransformer"]

_base = _sklearn.part("base", "sklearn")
_selection = _sklearn.part("feature_selection", "sklearn")
_utils = _sklearn.part("utils", "sklearn")
_validation = _sklearn.part("utils.validation", "sklearn")

DROPS = ("remove", "zero")


class FeatureDropoutTransformer(
    Documented,
    _selection.SelectorMixin,  # type: ignore[misc, name-defined]
    _base.BaseEstimator,  # type: ignore[misc, name-defined]
):
    """Drop an exact number of the columns of a table, drawn once, when it is fitted.

    A subset for each member of an ensemble makes a random subspace. All subsets of one size are
    equally likely; what is kept is not scaled.

    Parameters
    ----------
    rate : float
        Share of the columns that are dropped: ``round((1 - rate) * m)`` of m stay, and at least
        one unless the rate is 1. Not used where ``features`` is given.
    features : int or {"sqrt", "log2"}, optional
        How many columns stay: so many, or the root or the logarithm of their number.
    drop : {"remove", "zero"}
        Leave the dropped columns out of the result, or set them to 0.
    random_state : None, int or numpy.random.RandomState
        Where the subset is drawn from. The same int always gives the same.

    Attributes
    ----------
    support_ : array of bool, of shape (columns,)
        Which columns stay.
    n_features_in_ : int
        How many columns there were.

    Raises
    ------
    ValueError, TypeError
        By ``fit``, if a parameter is out of its range, or there are fewer columns than
        ``features``.

    References
    ----------
    Ho, "The random subspace method for constructing decision forests", PAMI 20 (1998); Breiman,
    "Random forests", Machine Learning 45 (2001).

    Examples
    --------
    >>> import numpy as np
    >>> table = np.arange(8.0).reshape(2, 4)
    >>> FeatureDropoutTransformer(0.5, random_state=0).fit_transform(table).shape
    (2, 2)
    """

    def __init__(
        self,
        rate: float = 0.5,
        *,
        features: int | Literal["sqrt", "log2"] | None = None,
        drop: Literal["remove", "zero"] = "remove",
        random_state: Any = None,
    ) -> None:
        self.rate = rate
        self.features = features
        self.drop = drop
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Draw the columns that stay; of ``X`` only their number and names matter."""
        rate, features = check_number("rate", self.rate, "[0, 1]"), check_features(self.features)
        check_choice("drop", self.drop, DROPS)
        X = self._checked(X, reset=True)
        kept = feature_count(features, rate, X.shape[1])
        seed = _utils.check_random_state(self.random_state).randint(2**31 - 1)
        key = MaskStream(int(seed)).key
        self.support_ = subset(key, 0, 1, X.shape[1], kept, flags=True)[0]
        return self

    def transform(self, X: Any) -> Any:
        """Return the columns that stay, or, with ``drop="zero"``, all with the others 0."""
        if self.drop == "remove":
            return super().transform(X)
        kept = self.get_support()
        X = self._checked(X, reset=False)
        if hasattr(X, "tocsr"):
            return self.inverse_transform(X[:, kept])
        return np.where(kept, X, X.dtype.type(0))

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the names of the columns of the result."""
        if self.drop == "remove":
            return super().get_feature_names_out(input_features)
        return _base.OneToOneFeatureMixin.get_feature_names_out(self, input_features)

    def _checked(self, X: Any, reset: bool) -> Any:
        if isinstance(X, np.ndarray):
            check_array("X", X)
        dtype = None if self.drop == "remove" else "numeric"
        return _validation.validate_data(
            self, X, accept_sparse="csr", dtype=dtype, ensure_all_finite=False, reset=reset
        )

    def _get_support_mask(self) -> Any:
        _validation.check_is_fitted(self)
        return self.support_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.input_tags.string = self.drop == "remove"
        return tags
