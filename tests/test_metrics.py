"""Functions of the user as metrics: measured of all predictions, watched, and kept."""

from functools import partial

import numpy as np
import pytest

from cydropout import Trainer
from cydropout.layers import Dense, Dropout, Layer, Sequential, Sigmoid, Tanh
from cydropout.training import losses
from cydropout.training.callbacks import Callback, EarlyStopping

X = np.random.default_rng(0).standard_normal((50, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


def hits(prediction, target):
    return int((prediction.argmax(axis=1) == target).sum())


def trainer(**options):
    model = Sequential([Dense(8, activation="relu"), Dropout(0.5), Dense(2)])
    return Trainer(model, "softmax_cross_entropy", "adam", rng=0, **options)


@pytest.mark.parametrize("metrics, name", [
    (hits, "hits"), ([hits], "hits"), ({"right": hits}, "right"), (iter([hits]), "hits"),
])
def test_a_function_is_a_metric_of_all_predictions(metrics, name):
    t = trainer(metrics=metrics)
    history = t.fit(X, Y, epochs=2, validation_data=(X[:30], Y[:30]), progress=False)
    assert name not in history.to_dict()
    assert history[f"val_{name}"][-1] == hits(t.predict(X[:30]), Y[:30])
    for batch_size in (7, 1024):
        found = t.evaluate(X, Y, batch_size=batch_size)
        assert found[name] == hits(t.predict(X), Y) and set(found) == {"loss", "accuracy", name}
    plain = trainer().fit(X, Y, epochs=2, validation_data=(X[:30], Y[:30]), progress=False)
    assert plain["val_loss"] == history["val_loss"]


@pytest.mark.parametrize(
    ("metrics", "error", "words"),
    [
        (3, TypeError, "metric '3' must be a function"),
        ("f1_makro", ValueError, "'f1_makro' is no scorer of scikit-learn; did you mean 'f1_macr"),
        ([Dropout], TypeError, "class Dropout; make one of it"),
        ({"loss": hits}, ValueError, "metric 'loss' is measured already"),
    ],
)
def test_what_is_no_metric_is_refused(metrics, error, words):
    with pytest.raises(error, match=words):
        trainer(metrics=metrics)


def weighed(prediction, target, sample_weight=None):
    right = prediction.argmax(axis=1) == target
    return np.average(right, weights=sample_weight)


@pytest.mark.parametrize("batch_size", [7, 1024])
def test_metrics_that_take_weights_get_them(batch_size):
    w = np.random.default_rng(1).random(50)
    seen = []

    def always(prediction, target, *, sample_weight):
        seen.append(sample_weight)
        return 0.0

    t = trainer(metrics=[weighed, hits])
    history = t.fit(X, Y, epochs=1, validation_data=(X, Y, w), progress=False)
    right = t.predict(X).argmax(axis=1) == Y
    for found in (history.records[-1]["val_weighed"],
                  t.evaluate(X, Y, sample_weight=w, batch_size=batch_size)["weighed"]):
        assert found == np.average(right, weights=w) != right.mean()
    assert t.evaluate(X, Y)["weighed"] == right.mean()
    assert t.evaluate(X, Y, sample_weight=w)["hits"] == right.sum()
    parts = [(X[:20], Y[:20]), (X[20:], Y[20:], w[20:])]
    assert t.evaluate(parts)["weighed"] == np.average(right, weights=np.r_[np.ones(20), w[20:]])
    trainer(metrics=always).evaluate(X, Y, sample_weight=w, batch_size=batch_size)
    np.testing.assert_array_equal(seen, [w])


@pytest.mark.parametrize("value", [None, "0.5", np.ones(2), 1j])
def test_a_metric_must_return_a_number(value):
    with pytest.raises(TypeError, match="metric 'wrong' must return one number, not"):
        trainer(metrics={"wrong": lambda prediction, target: value}).evaluate(X, Y)


@pytest.mark.parametrize("higher, epochs", [(True, [1, 2, 3, 4]), (False, [1, 2])])
def test_early_stopping_watches_a_metric(higher, epochs):
    values = iter(range(99))
    t = trainer(metrics={"count": lambda prediction, target: next(values)})
    stop = EarlyStopping("val_count", patience=1, higher=higher)
    history = t.fit(X, Y, epochs=4, validation_data=(X, Y), callbacks=stop, progress=False)
    assert history["epoch"] == epochs and stop.best == (3 if higher else 0)


def test_early_stopping_does_not_guess_which_is_better():
    t = trainer(metrics=hits)
    with pytest.raises(ValueError, match="'val_hits' is better: say higher=True"):
        t.fit(X, Y, epochs=1, validation_data=(X, Y), callbacks=EarlyStopping("val_hits"),
              progress=False)
    with pytest.raises(TypeError, match="higher must be True or False, not the int 1"):
        EarlyStopping("val_hits", higher=1)


def test_what_a_callback_adds_stays_in_the_history(tmp_path):
    class Adds(Callback):
        def on_epoch_end(self, trainer, epoch, record):
            record["twice"] = 2 * epoch

    path = tmp_path / "run"
    history = trainer().fit(X, Y, epochs=2, callbacks=[Adds()], progress=False, checkpoint=path)
    assert history["twice"] == [2, 4]
    again = trainer().fit(X, Y, epochs=3, callbacks=[Adds()], progress=False, checkpoint=path,
                          resume=True)
    assert again["twice"] == [2, 4, 6]


class Normalised(Layer):
    """A softmax, for losses that take probabilities."""

    def forward(self, x, ctx):
        y = np.exp(x - x.max(axis=1, keepdims=True))
        y /= y.sum(axis=1, keepdims=True)
        return y, lambda dy: y * (dy - (dy * y).sum(axis=1, keepdims=True))


SCORERS = ["f1", "jaccard", "roc_auc", "neg_log_loss", "balanced_accuracy", "average_precision"]


@pytest.mark.parametrize("name", SCORERS)
@pytest.mark.parametrize("loss", [
    "softmax_cross_entropy", "r_drop", "negative_log_likelihood", "binary_cross_entropy",
    losses.BinaryCrossEntropy(from_logits=False),
])
def test_a_scorer_of_scikit_learn_scores_what_an_estimator_would(loss, name):
    metrics = pytest.importorskip("sklearn.metrics")
    binary = "inary" in str(loss)
    last = Normalised() if "likelihood" in str(loss) else Tanh()
    last = Sigmoid() if "from_logits=False" in str(loss) else last
    model = Sequential([Dense(1 if binary else 2), last])
    t = Trainer(model, loss, "adam", rng=0, metrics=[name])
    y = Y.astype("float32") if binary else Y
    history = t.fit(X, y, epochs=2, validation_data=(X, y), progress=False)
    z = t.predict(X).astype(float)
    if binary:
        p = z[:, 0] if "from_logits=False" in str(loss) else 1 / (1 + np.exp(-z[:, 0]))
        p = np.stack([1 - p, p], axis=1)
    else:
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        p = t.predict(X) if "likelihood" in str(loss) else p
    wanted = {
        "f1": lambda: metrics.f1_score(Y, p.argmax(axis=1)),
        "jaccard": lambda: metrics.jaccard_score(Y, p.argmax(axis=1)),
        "balanced_accuracy": lambda: metrics.balanced_accuracy_score(Y, p.argmax(axis=1)),
        "roc_auc": lambda: metrics.roc_auc_score(Y, p[:, 1]),
        "average_precision": lambda: metrics.average_precision_score(Y, p[:, 1]),
        "neg_log_loss": lambda: -metrics.log_loss(Y, p),
    }
    assert history[f"val_{name}"][-1] == pytest.approx(wanted[name](), rel=1e-5)


def test_scorers_of_values_of_several_classes_and_of_sequences():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, 50)
    given = {"macro": metrics.make_scorer(metrics.f1_score, average="macro"),
             "ovr": "roc_auc_ovr"}
    t = Trainer(Sequential([Dense(3)]), "softmax_cross_entropy", "adam", rng=0, metrics=given)
    for target in (y, np.eye(3)[y]):
        found = t.evaluate(X, target)
        z = t.predict(X)
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        assert found["macro"] == metrics.f1_score(y, z.argmax(axis=1), average="macro")
        assert found["ovr"] == pytest.approx(metrics.roc_auc_score(y, p, multi_class="ovr"))
    words = rng.integers(0, 3, (50, 4))
    words[:, 2:] = -1
    loss = losses.SoftmaxCrossEntropy(ignore_index=-1)
    t = Trainer(Sequential([Dense(3)]), loss, "adam", rng=0, metrics=["f1_micro"])
    sequences = np.repeat(X[:, None], 4, axis=1)
    z = t.predict(sequences)
    wanted = (z.argmax(axis=-1) == words)[:, :2].mean()
    assert t.evaluate(sequences, words)["f1_micro"] == pytest.approx(wanted)
    for target in (X[:, :1], X[:, 0]):
        t = Trainer(Sequential([Dense(1)]), "mse", "adam", rng=0,
                    metrics=["r2", "neg_mean_absolute_error"])
        found = t.evaluate(X, target)
        assert found["r2"] == pytest.approx(metrics.r2_score(X[:, 0], t.predict(X)[:, 0]))
        assert found["neg_mean_absolute_error"] < 0
    several = (X > 0).astype("float32")
    t = Trainer(Sequential([Dense(4)]), "binary_cross_entropy", "adam", rng=0,
                metrics=["f1_macro"])
    wanted = metrics.f1_score(several, t.evaluate(X, several) and t.predict(X) > 0, average="macro")
    assert t.evaluate(X, several)["f1_macro"] == wanted


def test_scorers_get_the_weights():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    w, y, words = rng.random(50), rng.integers(0, 3, 50), rng.integers(0, 3, (50, 4))

    def evaluated(units, loss, names, x, target, weight):
        t = Trainer(Sequential([Dense(units)]), loss, "adam", rng=0, metrics=names)
        return t.predict(x), t.evaluate(x, target, sample_weight=weight, batch_size=20)

    z, found = evaluated(3, "softmax_cross_entropy", ["f1_macro"], X, y, w)
    assert found["f1_macro"] == metrics.f1_score(
        y, z.argmax(axis=1), average="macro", sample_weight=w)
    z, found = evaluated(1, "mse", ["r2", "neg_max_error"], X, X[:, :1], w)
    assert found["r2"] == pytest.approx(metrics.r2_score(X[:, 0], z[:, 0], sample_weight=w))
    assert found["neg_max_error"] == pytest.approx(-abs(X[:, 0] - z[:, 0]).max())  # takes none
    z, found = evaluated(1, "binary_cross_entropy", {"right": "accuracy"}, X,
                         Y.astype("f4"), w)
    assert found["right"] == pytest.approx(np.average((z[:, 0] > 0) == Y, weights=w))
    words[:, 2:] = -1
    sequences = np.repeat(X[:, None], 4, axis=1) * rng.random((50, 4, 1)).astype("f4")
    for weight in (w, rng.random((50, 4))):
        z, found = evaluated(3, losses.SoftmaxCrossEntropy(ignore_index=-1), "balanced_accuracy",
                             sequences, words, weight)
        each = np.broadcast_to(weight[:, None] if weight.ndim == 1 else weight, (50, 4))[:, :2]
        assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(
            words[:, :2].ravel(), z.argmax(axis=-1)[:, :2].ravel(), sample_weight=each.ravel()))


def test_early_stopping_watches_a_scorer():
    pytest.importorskip("sklearn")
    stop = EarlyStopping("val_f1", patience=1, higher=True)
    trainer(metrics="f1").fit(
        X, Y, epochs=3, validation_data=(X, Y), callbacks=stop, progress=False)
    assert 0 < stop.best <= 1


def test_a_function_of_scikit_learn_is_refused_with_what_mends_it():
    metrics = pytest.importorskip("sklearn.metrics")
    function = metrics.r2_score
    for given in (function, partial(function, force_finite=False), {"r2": function}):
        with pytest.raises(TypeError, match=r"'r2_score': .* take targets first.*make_scorer\(r2"):
            trainer(metrics=given)
