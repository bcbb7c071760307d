"""Functions of the user as metrics: measured of all predictions, watched, and kept."""

import numpy as np
import pytest

from cydropout import Trainer
from cydropout.layers import Dense, Dropout, Sequential
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
        ("f1", TypeError, "metric 'f1' must be a function.*not the str 'f1'"),
        ([Dropout], TypeError, "class Dropout; make one of it"),
        ({"loss": hits}, ValueError, "metric 'loss' is measured already"),
    ],
)
def test_what_is_no_metric_is_refused(metrics, error, words):
    with pytest.raises(error, match=words):
        trainer(metrics=metrics)


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
