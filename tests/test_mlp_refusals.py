"""What the estimators refuse is named, and leaves them as they were."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from mlp_cases import KINDS, Classifier, Regressor, data, estimator, fitted, refitted
from sklearn.metrics import accuracy_score

X, Y = data("three")
ONES = np.ones(len(X))
#: What is passed to `fit` or set before, and what the error says.
REFUSED = [
    ({}, {"X": X[:, :4], "sample_weight": -ONES}, "sample_weight must be .* at least 0, got -1.0"),
    ({}, {"sample_weight": np.r_[ONES[1:], np.inf]}, "sample_weight contains infinity"),
    ({}, {"sample_weight": 0 * ONES}, "[Ss]ample.weight"),
    ({}, {"X": X * np.nan}, "NaN"),
    ({"class_weight": {"apple": -1.0, "fig": 1, "kiwi": 1}}, {}, "class_weight must be .* -1.0"),
    ({"class_weight": dict.fromkeys(("apple", "fig", "kiwi"), 0)}, {}, "class_weight"),
    ({"noise": "concrete", "dropout": 1.0}, {}, "dropout .* below 1 .* 1.0"),
    ({"early_stopping": True}, {"X": X[:20], "y": ["fig"] * 19 + ["kiwi"]},
     "validation_fraction=0.1 of 20 samples: .*only 1 member"),
    ({"early_stopping": True, "validation_fraction": 0.001}, {}, "validation_fraction=0.001"),
    ({"solver": "sgd", "learning_rate_init": 1e30, "max_iter": 9}, {}, "finite"),
]


@pytest.mark.parametrize(("settings", "passed", "words"), REFUSED,
                         ids=[str(place) for place in range(len(REFUSED))])
@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_fit_that_fails_changes_nothing(settings, passed, words):
    model = fitted("three", max_iter=2)
    before, p = dict(vars(model.set_params(**settings))), model.predict_proba(X)
    with pytest.raises((ValueError, ArithmeticError), match=words):
        model.fit(**{"X": X, "y": Y, **passed})
    assert set(vars(model)) == set(before)
    assert all(vars(model)[name] is value for name, value in before.items())
    np.testing.assert_array_equal(model.predict_proba(X), p)


def test_a_first_partial_fit_that_fails_knows_no_classes():
    model = Classifier()
    with pytest.raises(ValueError, match="NaN"):
        model.partial_fit(X * np.nan, Y, classes=np.unique(Y))
    assert not hasattr(model, "classes_") and not hasattr(model, "n_features_in_")
    regressor = Regressor().partial_fit(X, X[:, 0])
    with pytest.raises(ValueError, match="2 columns"):
        regressor.partial_fit(X, X[:, :2])
    assert regressor.n_outputs_ == 1 and regressor.predict(X).shape == (120,)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_learned_before_ctrl_c_can_be_used(kind, monkeypatch):
    from cydropout.training import optimizers

    x, y = data(kind)
    step, taken = optimizers.Adam.step, []

    def interrupted(self, *args, **options):
        taken.append(step(self, *args, **options))
        if len(taken) == 6:
            raise KeyboardInterrupt

    model = estimator(kind, max_iter=9)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(optimizers.Adam, "step", interrupted)
        model.fit(x, y)
    assert model.n_iter_ == len(model.loss_curve_) == 1 and model.predict(x).shape == y.shape
    assert model.partial_fit(x, y).loss_curve_[0] == fitted(kind, max_iter=1).loss_curve_[0]


def test_a_new_fit_forgets_the_scores_of_the_last():
    model = fitted("three", max_iter=2, early_stopping=True)
    assert model.best_validation_score_ == max(model.validation_scores_)
    refitted(model.set_params(early_stopping=False), X, Y)
    assert model.validation_scores_ is None and model.best_validation_score_ is None


@pytest.mark.parametrize("form", ["csr_matrix", "csc_array"])
def test_sparse_labels(form):
    make = getattr(pytest.importorskip("scipy.sparse"), form)
    x, y = data("labels")
    dense, sparse = fitted("labels", max_iter=2), fitted("labels", (x, make(y)), max_iter=2)
    np.testing.assert_array_equal(dense.predict_proba(x), sparse.predict_proba(x))
    more = estimator("labels").partial_fit(x, make(y))
    np.testing.assert_array_equal(more.predict(x).shape, y.shape)


def test_a_batch_that_lacks_classes_takes_their_weights():
    weights = {"apple": 2.0, "fig": 1.0, "kiwi": 3.0}
    rows = Y != "fig"
    one = estimator("three", class_weight=weights).partial_fit(X[rows], Y[rows], np.unique(Y))
    other = estimator("three").partial_fit(
        X[rows], Y[rows], np.unique(Y), [weights[name] for name in Y[rows]])
    np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])


def test_what_is_held_out_without_weight_does_not_count():
    weights = np.where(Y == "fig", 0.0, 1.0)
    model = fitted("three", early_stopping=True, validation_fraction=0.5, max_iter=2,
                   weight=weights)
    codes = np.searchsorted(model.classes_, Y)
    *_, (x, targets, held) = model._hold_out(X, codes, weights, weights, model._stream.key, 0.5)
    counted = held[0] > 0
    assert 0 < counted.sum() < len(x)
    assert max(model.validation_scores_) == pytest.approx(
        accuracy_score(model.classes_[targets[counted]], model.predict(x[counted])))
