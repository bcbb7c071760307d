"""The estimators are scikit-learn's, for every kind of target, input and setting."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from mlp_cases import KINDS, Classifier, Regressor, data, fitted, refitted
from sklearn.base import clone
from sklearn.metrics import accuracy_score, r2_score
from sklearn.neural_network import MLPClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from cydropout.layers import Dense
from cydropout.sklearn._network import ACTIVATIONS, NOISES, NORMALIZATIONS, ForAll, thinned

MINIBATCHES = ("a weight of 2 is no second sample where minibatches are drawn, and masks with them "
               "(scikit-learn#30564); with one batch and no dropout it is, as a test here says")


def expected(estimator):
    return {f"check_sample_weight_equivalence_on_{kind}_data": MINIBATCHES
            for kind in ("dense", "sparse")}


@parametrize_with_checks(
    [
        Classifier(random_state=0),
        Regressor(random_state=0),
        Classifier(random_state=0, normalization="batch"),
        Regressor(random_state=0, normalization="batch"),
        Classifier(random_state=0, mc_samples=5),
        Regressor(random_state=0, mc_samples=5),
    ],
    expected_failed_checks=expected,
)
@pytest.mark.filterwarnings("ignore")  # of estimators that the checks stop early, and of SciPy
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_target(kind):
    x, y = data(kind)
    model = fitted(kind, max_iter=60, learning_rate_init=0.01, dropout=0.1)
    found = model.predict(x)
    assert found.shape == y.shape and found.dtype == (y if kind in ("one", "many") else found).dtype
    assert model.score(x, y) > (0.5 if kind == "labels" else 0.8)
    assert model.n_outputs_ == {"two": 1, "three": 3, "labels": 4, "one": 1, "many": 2}[kind]
    assert [w.shape for w in model.coefs_] == [(x.shape[1], 24), (24, model.n_outputs_)]
    assert [b.shape for b in model.intercepts_] == [(24,), (model.n_outputs_,)]
    if kind in ("one", "many"):
        return
    p, log_p = model.predict_proba(x), model.predict_log_proba(x)
    scores = model.decision_function(x)
    np.testing.assert_allclose(np.exp(log_p), p, rtol=1e-12)
    assert set(np.unique(found)) == set(np.unique(y))
    if kind == "labels":
        assert p.shape == y.shape == scores.shape
        np.testing.assert_array_equal(found, p > 0.5)
    else:
        np.testing.assert_allclose(p.sum(axis=1), 1)
        np.testing.assert_array_equal(found, model.classes_[p.argmax(axis=1)])
        best = scores > 0 if kind == "two" else scores.argmax(axis=1)
        np.testing.assert_array_equal(found, model.classes_[np.asarray(best, int)])


@pytest.mark.parametrize("kind", KINDS)
def test_uncertainty(kind):
    x, _ = data(kind)
    model = fitted(kind, max_iter=20)
    once = model.predict_mc(x, 30, random_state=1)
    shape = (model.predict if kind in ("one", "many") else model.predict_proba)(x).shape
    assert once.mean.shape == once.std.shape == shape and (once.std > 0).any()
    assert once.samples == 30 and once.mean.dtype == np.float64
    again, other = model.predict_mc(x, 30, random_state=1), model.predict_mc(x, 30)
    np.testing.assert_array_equal(once.mean, again.mean)
    assert (once.mean != other.mean).any() and (other.mean != model.predict_mc(x, 30).mean).any()
    if kind in ("one", "many"):
        assert once.entropy is None
        mean, std = model.predict(x, return_std=True)
        found = model.predict_mc(x, 50, random_state=model.random_state)
        np.testing.assert_array_equal(mean, found.mean)
        np.testing.assert_array_equal(std, found.std)
        return
    p = once.mean
    parts = np.stack([p, 1 - p]) if kind == "labels" else np.moveaxis(p, 1, 0)
    np.testing.assert_allclose(once.entropy, -(parts * np.log(parts)).sum(axis=0), rtol=1e-9)
    assert (once.mutual_information <= once.entropy).all() and (once.mutual_information >= 0).all()


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("kind", ["three", "labels", "one"])
def test_a_prediction_depends_on_no_other_sample(kind, noise):
    x = np.tile(data(kind)[0], (20, 1))[:2100]
    for samples in (0, 4):
        model = fitted(kind, noise=noise, max_iter=3, mc_samples=samples)
        predict = model.predict if kind == "one" else model.predict_proba
        whole = predict(x)
        parts = np.concatenate([predict(x[:1]), predict(x[1:1500]), predict(x[1500:])])
        np.testing.assert_allclose(whole, parts, rtol=1e-9)
        np.testing.assert_allclose(whole[::-1], predict(x[::-1]), rtol=1e-9)


@pytest.mark.parametrize("noise", NOISES)
def test_passes_have_the_noise_of_training(noise):
    x, _ = data("three")
    model = fitted("three", noise=noise, max_iter=3, input_dropout=0.2).model_
    from cydropout import MaskStream
    from cydropout.layers import Context

    twin = thinned(model)
    twin.build(x.shape[1:], 0)
    assert sum(isinstance(layer, ForAll) for layer in twin.layers) == 2

    def values(net, rows, seed):
        return net.forward(rows, Context(training=True, stream=MaskStream(seed),
                                         batch_statistics=False))[0]

    one = x[:1]
    for seed in range(5):
        np.testing.assert_allclose(values(model, one, seed), values(twin, one, seed), rtol=1e-9)
    np.testing.assert_allclose(
        values(twin, np.repeat(one, 3, axis=0), 0), np.repeat(values(twin, one, 0), 3, axis=0))


SETTINGS = [
    *({"noise": name} for name in NOISES), *({"activation": name} for name in ACTIVATIONS),
    *({"normalization": name} for name in NORMALIZATIONS), {"noise": "concrete", "max_norm": 2.0},
    {"solver": "adam"}, {"solver": "adamw"}, {"solver": "sgd", "learning_rate_init": 0.02},
    {"solver": "rmsprop"}, {"learning_rate": "invscaling", "learning_rate_init": 0.1},
    {"learning_rate": "adaptive"},
    {"hidden_layer_sizes": (16, 8), "dropout": (0.1, 0.0)}, {"hidden_layer_sizes": 16},
    {"hidden_layer_sizes": ()}, {"batch_size": 7}, {"max_norm": 1.0}, {"clip_norm": 0.5},
    {"shuffle": False}, {"early_stopping": True}, {"n_iter_no_change": np.inf}, {"n_jobs": 1},
    {"n_jobs": -1}, {"input_dropout": 0.1}, {"nesterovs_momentum": False, "solver": "sgd"},
    {"momentum": 0.0, "solver": "sgd", "learning_rate_init": 0.05}, {"mc_samples": 3},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=repr)
@pytest.mark.parametrize("kind", ["three", "one"])
def test_every_setting_trains(kind, settings):
    x, _ = data(kind)
    model = fitted(kind, max_iter=8, **settings)
    assert len(model.loss_curve_) == model.n_iter_ == 8
    assert model.best_loss_ == min(model.loss_curve_)
    if settings.get("solver") != "rmsprop":
        assert model.loss_curve_[-1] < model.loss_curve_[0]
    again = refitted(clone(model), *data(kind))
    np.testing.assert_array_equal(model.predict(x), again.predict(x))
    for one, other in zip(model.coefs_, again.coefs_, strict=True):
        np.testing.assert_array_equal(one, other)
    if "max_norm" in settings:
        assert np.linalg.norm(model.coefs_[0], axis=0).max() <= settings["max_norm"] * (1 + 1e-6)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_layer_sizes", (0,)), ("hidden_layer_sizes", "ten"), ("activation", "swish"),
        ("dropout", 1.5), ("dropout", (0.1, 0.2)), ("dropout", None), ("input_dropout", -0.1),
        ("noise", "pink"), ("solver", "lbfgs"), ("alpha", -1.0), ("batch_size", 0),
        ("learning_rate", "fast"), ("learning_rate_init", 0.0), ("max_iter", 0), ("shuffle", 1),
        ("random_state", "seed"), ("tol", -1.0), ("warm_start", "yes"), ("momentum", 1.0),
        ("nesterovs_momentum", None), ("early_stopping", 2), ("validation_fraction", 1.0),
        ("n_iter_no_change", 0), ("max_norm", 0.0), ("clip_norm", -1.0), ("normalization", "group"),
        ("mc_samples", -1), ("n_jobs", 0), ("class_weight", "even"), ("label_smoothing", 1.0),
    ],
)
def test_bad_settings_are_named_by_fit(name, value):
    model = Classifier(**{name: value})
    with pytest.raises((TypeError, ValueError), match=name.split("_")[0]):
        model.fit(*data("three"))


def test_every_parameter_is_documented_and_no_parameter_is_new():
    own = {"dropout", "input_dropout", "noise", "class_weight", "max_norm", "clip_norm",
           "normalization", "label_smoothing", "mc_samples", "n_jobs"}
    theirs = set(MLPClassifier().get_params())
    for kind in (Classifier, Regressor):
        assert set(kind().get_params()) - own <= theirs
    for name in Classifier().get_params():
        assert name in Classifier.__doc__
    assert set(Regressor().get_params()) == set(Classifier().get_params()) - {
        "class_weight", "label_smoothing"}
    for name, value in Classifier().get_params().items():
        if name in theirs - {"class_weight"}:
            assert value == MLPClassifier().get_params()[name], name


@pytest.mark.parametrize("kind", KINDS)
def test_whole_weights_are_repeated_samples_of_full_batches(kind):
    x, y = data(kind)
    times = np.arange(len(x)) % 3
    many = x.repeat(times, axis=0), y.repeat(times, axis=0)
    settings = {"dropout": 0.0, "max_iter": 5, "alpha": 0.1}
    one = fitted(kind, batch_size=len(x), weight=times, **settings)
    other = fitted(kind, many, batch_size=len(many[0]), **settings)
    for a, b in zip(one.coefs_, other.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("kind", ["two", "three", "labels"])
def test_class_weights_are_weights_of_samples(kind):
    from sklearn.utils.class_weight import compute_sample_weight

    y = data(kind)[1]
    given = [{0: 1, 1: 5}] * 4 if kind == "labels" else {"kiwi": 3.0, "apple": 0.5}
    if kind == "three":
        given["fig"] = 1.0
    for weights in (given, "balanced"):
        one = fitted(kind, class_weight=weights, max_iter=3)
        other = fitted(kind, weight=compute_sample_weight(weights, y), max_iter=3)
        np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])


def test_full_batches_of_sgd_are_those_of_scikit_learn():
    x, y = data("three")
    settings = {"hidden_layer_sizes": (9,), "activation": "tanh", "solver": "sgd", "alpha": 0.3,
                "batch_size": len(x), "max_iter": 12, "learning_rate_init": 0.1, "random_state": 0,
                "n_iter_no_change": 100}
    theirs = MLPClassifier(**settings | {"max_iter": 1}, warm_start=True)
    ours = Classifier(**settings | {"max_iter": 1}, warm_start=True, dropout=0.0)
    with pytest.warns(UserWarning):
        theirs.fit(x, y)
        ours.fit(x, y)
    for ours_, theirs_ in ((ours.coefs_, theirs.coefs_), (ours.intercepts_, theirs.intercepts_)):
        for one, other in zip(ours_, theirs_, strict=True):
            one[...] = other  # from here on the same
    ours.set_params(max_iter=12)
    theirs.set_params(max_iter=12)
    with pytest.warns(UserWarning):
        theirs.fit(x, y)
        ours.fit(x, y)
    np.testing.assert_allclose(ours.loss_curve_[1:], theirs.loss_curve_[1:], rtol=1e-6)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), rtol=1e-6)


def test_smoothed_labels():
    x, y = data("two")
    plain, smooth = (fitted("two", label_smoothing=s, max_iter=40, learning_rate_init=0.05,
                            dropout=0.0) for s in (0.0, 0.4))
    assert abs(smooth.decision_function(x)).mean() < abs(plain.decision_function(x)).mean() / 2
    assert smooth.score(x, y) > 0.8
    weighed = fitted("two", label_smoothing=0.4, class_weight={"apple": 2, "kiwi": 1}, max_iter=2)
    assert weighed.n_iter_ == 2


@pytest.mark.parametrize(("kind", "score"), [
    ("three", accuracy_score), ("labels", accuracy_score), ("one", r2_score)])
def test_scores_are_those_of_what_is_held_out(kind, score):
    x, y = data(kind)
    model = fitted(kind, early_stopping=True, validation_fraction=0.3, max_iter=9, weight=1 + y[
        :, 0] if kind == "labels" else None)
    codes = np.searchsorted(model.classes_, y) if kind == "three" else y
    weights = 1 + y[:, 0] if kind == "labels" else None
    _, _, _, held = model._hold_out(x, codes, weights, weights, model._stream.key, 0.3)
    assert len(held[0]) == 36 and len(model.validation_scores_) == 9
    right = model.classes_[held[1]] if kind == "three" else held[1]
    found = score(right, model.predict(held[0]), sample_weight=held[2][0] if held[2] else None)
    assert found == pytest.approx(max(model.validation_scores_))
    assert found == pytest.approx(model.best_validation_score_)


def test_the_input_layer_is_no_wider_for_a_dense():
    model = fitted("one", hidden_layer_sizes=(), max_iter=2)
    assert len(model.coefs_) == 1 and isinstance(model.model_.layers[-1], Dense)
