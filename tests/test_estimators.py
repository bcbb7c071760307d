"""The transformer is one of scikit-learn's, and its subsets are those of the kernels."""

import pickle

import numpy as np
import pytest
import reference_sequence

from cydropout import MaskStream

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from cydropout.sklearn.feature_dropout import FeatureDropoutTransformer


@parametrize_with_checks(
    [
        FeatureDropoutTransformer(random_state=0),
        FeatureDropoutTransformer(features="sqrt", random_state=0),
        FeatureDropoutTransformer(drop="zero", random_state=0),
    ]
)
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


def table(rows=30, columns=20):
    x = np.random.default_rng(0).standard_normal((rows, columns)).astype("f4")
    x[::7] = np.nan
    return x


@pytest.mark.parametrize("drop", ["remove", "zero"])
@pytest.mark.parametrize(
    "settings, kept",
    [
        ({}, 10),
        ({"rate": 0.25}, 15),
        ({"rate": 0.0}, 20),
        ({"features": 7}, 7),
        ({"features": "sqrt"}, 4),
        ({"features": "log2"}, 4),
    ],
)
def test_so_many_columns_stay(settings, kept, drop):
    x = table()
    step = FeatureDropoutTransformer(**settings, drop=drop, random_state=3)
    y = step.fit_transform(x)
    seed = np.random.RandomState(3).randint(2**31 - 1)
    chosen = reference_sequence.subset(MaskStream(int(seed)).key, 0, 1, 20, kept)[0]
    np.testing.assert_array_equal(step.get_support(indices=True), chosen)
    expected = np.where(np.isin(np.arange(20), chosen), x, 0)
    np.testing.assert_array_equal(y, expected if drop == "zero" else x[:, chosen])
    assert y.dtype == x.dtype
    names = [f"x{i}" for i in (range(20) if drop == "zero" else chosen)]
    assert step.get_feature_names_out().tolist() == names
    again = pickle.loads(pickle.dumps(step))
    np.testing.assert_array_equal(again.transform(x), y)
    np.testing.assert_array_equal(clone(step).fit_transform(x), y)


@pytest.mark.parametrize("drop", ["remove", "zero"])
def test_sparse_tables(drop):
    sparse = pytest.importorskip("scipy.sparse")
    x = np.nan_to_num(table()) * (np.arange(600).reshape(30, 20) % 3 == 0)
    step = FeatureDropoutTransformer(drop=drop, random_state=0).fit(x)
    y = step.transform(sparse.csr_array(x))
    assert sparse.issparse(y)
    np.testing.assert_array_equal(y.toarray(), step.transform(x))


def test_columns_of_words():
    x = np.array([["a", "b", "c"], ["d", "e", "f"]], dtype=object)
    y = FeatureDropoutTransformer(features=2, random_state=0).fit_transform(x)
    assert y.shape == (2, 2) and y.dtype == object
    with pytest.raises(ValueError, match="convert"):
        FeatureDropoutTransformer(drop="zero").fit(x)


def test_other_seeds_draw_other_columns():
    x = table()
    found = {FeatureDropoutTransformer(random_state=seed).fit(x).support_.tobytes()
             for seed in range(20)}
    assert len(found) == 20


@pytest.mark.filterwarnings("ignore:scipy.optimize")  # of scikit-learn 1.6 with a newer SciPy
def test_a_pipeline_on_some_of_the_features():
    x, y = load_iris(return_X_y=True)
    for drop, columns in (("remove", 3), ("zero", 4)):
        model = make_pipeline(
            FeatureDropoutTransformer(0.25, drop=drop, random_state=0),
            LogisticRegression(max_iter=500),
        ).fit(x, y)
        assert model[-1].n_features_in_ == columns and model.score(x, y) > 0.85


@pytest.mark.parametrize(
    "settings, error, named",
    [
        ({"rate": 1.5}, ValueError, "1.5"),
        ({"rate": "half"}, TypeError, "half"),
        ({"features": 21}, ValueError, "21"),
        ({"features": -2}, ValueError, "-2"),
        ({"features": "all"}, ValueError, "all"),
        ({"drop": "nothing"}, ValueError, "nothing"),
    ],
)
def test_bad_settings_are_named_by_fit(settings, error, named):
    with pytest.raises(error, match=named):
        FeatureDropoutTransformer(**settings).fit(table())
