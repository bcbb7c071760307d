"""The estimators within scikit-learn: inputs, searches, calibration, routing, processes."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")

import sklearn
from joblib import Parallel, delayed
from mlp_cases import FRUITS, KINDS, Classifier, Regressor, data, estimator, fitted, refitted
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cydropout.sklearn import FeatureDropoutTransformer, _documentation, _estimator

quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SHORT = {"max_iter": 15, "learning_rate_init": 0.02, "dropout": 0.1}


def predictions(model, x):
    return model.predict_proba(x) if hasattr(model, "predict_proba") else model.predict(x)


# ---------------------------------------------------------------- inputs


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["csr_matrix", "csr_array", "csc_matrix", "csc_array"])
def test_sparse_samples(kind, form):
    make = getattr(pytest.importorskip("scipy.sparse"), form)
    x, y = data(kind)
    x[abs(x) < 0.5] = 0
    dense, sparse = fitted(kind, (x, y), max_iter=3), fitted(kind, (make(x), y), max_iter=3)
    np.testing.assert_array_equal(predictions(dense, x), predictions(sparse, make(x)))
    np.testing.assert_array_equal(
        dense.predict_mc(x, 5, random_state=0).std, sparse.predict_mc(make(x), 5, 0).std)
    refitted(estimator(kind, max_iter=2, early_stopping=True), make(x), y)


def test_sparse_samples_are_made_dense_a_batch_at_a_time(monkeypatch):
    sparse = pytest.importorskip("scipy.sparse")
    rows = []
    toarray = sparse.csr_matrix.toarray

    def watched(self, *args, **options):
        rows.append(self.shape[0])
        return toarray(self, *args, **options)

    monkeypatch.setattr(sparse.csr_matrix, "toarray", watched)
    x, y = data("three")
    many = sparse.csr_matrix(np.tile(x, (20, 1)))
    model = fitted("three", (many, np.tile(y, 20)), max_iter=1)
    model.predict(many)
    model.predict_mc(many, 3)
    assert max(rows) == 1024 and sum(rows) >= 3 * 2400


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("kind", ["three", "one"])
def test_frames(kind, library):
    frame = pytest.importorskip(library, reason=f"{library} is not installed")
    x, y = data(kind)
    names = [f"f{place}" for place in range(6)]
    table = frame.DataFrame({name: x[:, place] for place, name in enumerate(names)})
    model = fitted(kind, (table, frame.Series(y.astype(object) if kind == "three" else y)),
                   max_iter=3)
    assert model.n_features_in_ == 6
    np.testing.assert_array_equal(
        predictions(model, table), predictions(fitted(kind, max_iter=3), x))
    if hasattr(StandardScaler().fit(table), "feature_names_in_"):  # 1.6 knows none of polars
        assert model.feature_names_in_.tolist() == names
        with pytest.raises(ValueError, match="feature names"):
            model.predict(table[names[::-1]])


@pytest.mark.parametrize("kind", KINDS)
def test_float32_stays(kind):
    x, y = data(kind, "float32")
    model = fitted(kind, (x, y), max_iter=3, mc_samples=0)
    assert {w.dtype for w in model.coefs_ + model.intercepts_} == {np.dtype("float32")}
    assert predictions(model, x).dtype == np.float32
    model.set_params(mc_samples=3)
    assert predictions(model, x).dtype == np.float32
    assert {w.dtype for w in fitted(kind, max_iter=1).coefs_} == {np.dtype("float64")}


def test_labels_of_any_type_with_early_stopping():
    x, y = data("three")
    codes = np.unique(y, return_inverse=True)[1]
    first = fitted("three", early_stopping=True, max_iter=6)
    for names in (FRUITS.astype(object), np.array([-7, 0, 90]), np.array([0.0, 1.0, 2.0])):
        model = fitted("three", (x, names[codes]), early_stopping=True, max_iter=6)
        np.testing.assert_array_equal(model.classes_, names)
        np.testing.assert_array_equal(model.predict_proba(x), first.predict_proba(x))
        assert model.predict(x).dtype == names.dtype
    bools = fitted("two", (x, y == "fig"), early_stopping=True, max_iter=6)
    assert bools.predict(x).dtype == bool


# ---------------------------------------------------------------- one fit after another


def test_a_warm_start_goes_on_and_refuses_other_classes_and_networks():
    x, y = data("three")
    model = fitted("three", warm_start=True, max_iter=3)
    before = model.coefs_[0].copy()
    refitted(model, x, y)
    assert model.n_iter_ == 3 and len(model.loss_curve_) == 6
    assert abs(model.coefs_[0] - before).max() < 0.5 and (model.coefs_[0] != before).any()
    cold = fitted("three", max_iter=3)
    refitted(cold, x, y)
    np.testing.assert_array_equal(cold.coefs_[0], before)
    for other in (y[y != "fig"], np.where(y == "fig", "plum", y)):
        with pytest.raises(ValueError, match="classes.*begun with"):
            model.fit(x[: len(other)], other)
    with pytest.raises(ValueError, match="other hidden_layer_sizes"):
        model.set_params(hidden_layer_sizes=(5,)).fit(x, y)
    with pytest.raises(ValueError, match="2 columns"):
        refitted(fitted("one", warm_start=True, max_iter=1), *data("many"))


@pytest.mark.parametrize("kind", KINDS)
def test_partial_fit_adds_an_epoch(kind):
    x, y = data(kind)
    model = estimator(kind)
    first = {"classes": np.unique(y)} if kind in ("two", "three") else {}
    model.partial_fit(x[:50], y[:50], **first)
    for _ in range(3):
        model.partial_fit(x, y, sample_weight=np.ones(120))
    assert model.n_iter_ == 1 and len(model.loss_curve_) == 4
    whole = fitted(kind, max_iter=4)
    again = estimator(kind)
    for _ in range(4):
        again.partial_fit(x, y, **first)
    np.testing.assert_array_equal(predictions(whole, x), predictions(again, x))


def test_partial_fit_wants_the_classes_and_no_others():
    x, y = data("three")
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        Classifier().partial_fit(x, y)
    with pytest.raises(ValueError, match="plum"):
        Classifier().partial_fit(x, np.full(120, "plum"), classes=FRUITS)
    model = Classifier(random_state=0).partial_fit(x[:3], ["fig"] * 3, classes=FRUITS)
    with pytest.raises(ValueError, match="differ"):
        model.partial_fit(x, y, classes=FRUITS[:2])
    for settings in ({"early_stopping": True}, {"class_weight": "balanced"}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            Classifier(**settings).partial_fit(x, y, classes=FRUITS)


@quiet
def test_no_random_state_repeats():
    x, y = data("three")
    found = set()
    for _ in range(3):
        np.random.seed(0)
        found.add(Classifier(max_iter=1).fit(x, y).coefs_[0].tobytes())
    found |= set(Parallel(n_jobs=2, backend="multiprocessing")(
        delayed(weights)(x, y) for _ in range(4)))
    assert len(found) == 7
    state = np.random.RandomState(3)
    one, other = (Classifier(max_iter=1, random_state=state).fit(x, y) for _ in range(2))
    assert (one.coefs_[0] != other.coefs_[0]).any()


def weights(x, y):
    return Classifier(max_iter=1).fit(x, y).coefs_[0].tobytes()


def test_it_says_that_it_was_not_done_and_ends_when_it_is(capsys):
    x, y = data("two")
    with pytest.warns(ConvergenceWarning, match="max_iter=2 before the loss"):
        Classifier(max_iter=2, random_state=0).fit(x, y)
    model = Classifier((50,), learning_rate_init=0.05, tol=0.05, n_iter_no_change=3, max_iter=500,
                       random_state=0, verbose=True).fit(x, y)
    assert model.n_iter_ < 500
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == model.n_iter_ and lines[0].startswith("Iteration 1, loss = ")
    slower = Classifier((50,), learning_rate_init=0.05, tol=0.05, n_iter_no_change=3, max_iter=500,
                        random_state=0, learning_rate="adaptive").fit(x, y)
    assert slower.n_iter_ > model.n_iter_ and slower._optimizer.learning_rate < 1e-6


def test_before_fit():
    for model in (Classifier(), Regressor()):
        with pytest.raises(NotFittedError):
            model.predict(data("one")[0])
        with pytest.raises(AttributeError, match="fit"):
            model.coefs_  # noqa: B018
        assert not hasattr(model, "coefs_")
    with pytest.raises(ValueError, match="only one class"):
        Classifier().fit([[1.0], [2.0]], ["a", "a"])
    with pytest.raises(ValueError, match="Unknown label type"):
        Classifier().fit(*data("one"))
    with pytest.raises(ValueError, match="fewer than 2"):
        Regressor(early_stopping=True).fit([[1.0]] * 5, [1.0] * 5)
    with pytest.raises(ValueError, match="sample_weight .* at least 0"):
        Regressor().fit([[1.0]] * 5, [1.0] * 5, sample_weight=[1, 1, -1, 1, 1])


# ---------------------------------------------------------------- scikit-learn


@quiet
def test_pipelines_searches_and_calibration():
    x, y = data("three")
    model = estimator("three", **SHORT)
    steps = make_pipeline(StandardScaler(), FeatureDropoutTransformer(0.0, random_state=0), model)
    assert steps.fit(x, y).score(x, y) > 0.85
    assert cross_val_score(steps, x, y, cv=3).mean() > 0.6
    search = GridSearchCV(steps, {
        "dropoutmlpclassifier__dropout": [0.0, (0.2,), 1.0],
        "dropoutmlpclassifier__noise": ["bernoulli", "gaussian"]}, n_jobs=2, cv=2, error_score=0)
    search.fit(x, y)
    assert search.best_score_ > 0.6 and search.best_params_["dropoutmlpclassifier__dropout"] != 1.0
    calibrated = CalibratedClassifierCV(model, cv=2).fit(x, y)
    assert calibrated.score(x, y) > 0.8
    np.testing.assert_allclose(calibrated.predict_proba(x).sum(axis=1), 1)
    assert cross_val_score(estimator("one", **SHORT), *data("one"), cv=3).mean() > 0.5


@quiet
@pytest.mark.parametrize("kind", KINDS)
def test_pickles(kind):
    x, y = data(kind)
    model = fitted(kind, early_stopping=True, max_iter=4)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(predictions(again, x), predictions(model, x))
    np.testing.assert_array_equal(
        again.predict_mc(x, 3, random_state=0).mean, model.predict_mc(x, 3, random_state=0).mean)
    one = fitted(kind, max_iter=2)
    other = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(
        predictions(one.partial_fit(x, y), x), predictions(other.partial_fit(x, y), x))


@quiet
def test_frames_between_the_steps():
    frame = pytest.importorskip("pandas", reason="pandas is not installed")
    x, y = data("two")
    table = frame.DataFrame(x, columns=list("abcdef"))
    steps = make_pipeline(StandardScaler(), FeatureDropoutTransformer(0.5, random_state=0),
                          estimator("two", max_iter=2)).set_output(transform="pandas")
    steps.fit(table, y)
    assert steps[-1].feature_names_in_.tolist() == steps[:-1].get_feature_names_out().tolist()
    assert steps[-1].n_features_in_ == 3


@quiet
def test_weights_are_routed():
    x, y = data("three")
    w = np.random.default_rng(0).random(120)
    with sklearn.config_context(enable_metadata_routing=True):
        model = estimator("three", max_iter=2).set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        steps = make_pipeline(scaler, model).fit(x, y, sample_weight=w)
        scaled = StandardScaler().fit_transform(x)
        direct = fitted("three", (scaled, y), w, max_iter=2)
        np.testing.assert_array_equal(steps[-1].coefs_[0], direct.coefs_[0])
        scores = cross_val_score(
            model.set_score_request(sample_weight=False), x, y, params={"sample_weight": w}, cv=2)
        assert len(scores) == 2
        Regressor().set_predict_request(return_std=True)


def test_the_page_of_an_estimator_links_to_its_documentation(monkeypatch):
    from cydropout import sklearn as estimators

    for kind in (getattr(estimators, name) for name in estimators.__all__):
        model, name = kind(), kind.__name__
        assert name in model._repr_html_() and "Documentation for" not in model._repr_html_()
        monkeypatch.setattr(kind, "_doc_link_template", "https://example.org/{estimator_name}")
        assert f"https://example.org/{name}" in model._repr_html_()


def test_where_the_documentation_is_comes_from_the_package(monkeypatch):
    from email.message import Message

    told = Message()
    monkeypatch.setattr(_documentation, "metadata", lambda name: told)
    assert _documentation.documentation() == ""
    told["Project-URL"] = "Documentation, https://example.org/docs/"
    assert _documentation.documentation() == (
        "https://example.org/docs/api/cydropout.sklearn.{estimator_name}.html")


# ---------------------------------------------------------------- threads


def threads(x, y):
    """Return the threads of NumPy's BLAS and of the kernels while an estimator is fitted."""
    from training_cases import OneThread

    model = estimator("three", max_iter=2, n_jobs=2)
    model._new_optimizer = lambda: OneThread(0.1)
    return refitted(model, x, y).n_iter_


def test_one_thread_in_each_worker(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\nfrom joblib import Parallel, delayed\n"
        f"sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        "from mlp_cases import data\nfrom test_mlp_workflows import threads\n"
        "if __name__ == '__main__':\n"
        "    print(Parallel(n_jobs=2)(delayed(threads)(*data('three')) for _ in range(2)))\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(
        [os.path.dirname(__file__), *sys.path]), "LOKY_MAX_CPU_COUNT": "2"}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True,
                          env=environment, timeout=300, check=False)
    assert done.stdout.strip() == "[2, 2]", done.stderr[-2000:]


def test_threads_are_those_asked_for_and_never_more_than_there_may_be(monkeypatch):
    monkeypatch.setattr(_estimator, "get_num_threads", lambda: 4)
    for jobs, found in ((None, None), (1, 1), (3, 3), (9, 4), (-1, 4), (-2, 3), (-9, 1)):
        assert Classifier(n_jobs=jobs)._threads() == found
