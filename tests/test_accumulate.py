"""Gradient accumulation: several batches make the step of one that holds all their samples."""

from itertools import pairwise

import numpy as np
import pytest
from optimizer_reference import OPTIMIZERS
from training_cases import (
    CLASSES,
    SAMPLES,
    Stop,
    assert_same_bits,
    network,
    state,
    without_seconds,
)

from cydropout import Trainer
from cydropout.layers import LSTM, BatchwiseDropout, Dense, Embedding, Sequential
from cydropout.training import losses, optimizers
from cydropout.training.callbacks import Callback, ExponentialMovingAverage, Guard

WEIGHT = np.random.default_rng(3).random(SAMPLES) * (np.arange(SAMPLES) % 5 > 0)


def fit(data, batch_size, accumulate, *, optimizer="adam", model=None, loss=None, epochs=2,
        trainer=None, **options):
    model = model or Sequential([Dense(16, activation="tanh", l2=0.01), Dense(CLASSES, l1=0.01)],
                                dtype="float64")
    t = Trainer(model, loss or "softmax_cross_entropy", optimizer, rng=0, **trainer or {})
    history = t.fit(*data, epochs=epochs, batch_size=batch_size, accumulate=accumulate,
                    progress=False, **options)
    return t, history


def close(one, other, rtol=1e-9):
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=rtol, atol=rtol, err_msg=name)


@pytest.mark.parametrize("options", [
    {}, {"sample_weight": WEIGHT}, {"class_weight": {0: 3.0, 2: 0.5}},
    {"sample_weight": WEIGHT, "class_weight": "balanced", "shuffle": False},
    {"drop_last": True}, {"trainer": {"clip_norm": 0.1}}, {"trainer": {"clip_value": 0.01}},
], ids=str)
def test_small_batches_make_the_step_of_a_large_one(data, options):
    drop_last = "drop_last" in options
    x, y = (part[:192] if drop_last else part for part in data)
    large, first = fit((x, y), 32, 1, **options)
    for size, accumulate in ((8, 4), (16, 2), (32, 1), (4, 8)):
        small, second = fit((x, y), size, accumulate, **options)
        assert small.optimizer.steps == large.optimizer.steps
        close(state(large), state(small))
        for name in ("loss", "accuracy"):
            np.testing.assert_allclose(first[name], second[name], rtol=1e-9)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_with_every_optimizer(data, name):
    large, _ = fit(data, 24, 1, optimizer=OPTIMIZERS[name]())
    small, _ = fit(data, 8, 3, optimizer=OPTIMIZERS[name]())
    close(state(large), state(small), 1e-8)


@pytest.mark.parametrize("loss, targets", [
    ("mean_squared_error", "one-hot"), ("binary_cross_entropy", "one-hot"), ("r_drop", "labels"),
    (losses.SoftmaxCrossEntropy(label_smoothing=0.1, ignore_index=1), "labels"),
    ("softmax_cross_entropy", "one-hot"),
])
def test_with_every_loss(data, loss, targets):
    x, y = data
    y = np.eye(CLASSES)[y] if targets == "one-hot" else y
    large, first = fit((x, y), 32, 1, loss=loss)
    small, second = fit((x, y), 8, 4, loss=loss)
    close(state(large), state(small))
    np.testing.assert_allclose(first["loss"], second["loss"], rtol=1e-9)


def test_with_sequences_and_a_weight_for_each_position():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, (40, 6)), rng.integers(0, CLASSES, (40, 6))
    weight = (rng.random((40, 6)) > 0.4).astype(float)

    def model():
        return Sequential([Embedding(9, 4), LSTM(5), Dense(CLASSES)], dtype="float64")

    large, first = fit((x, y), 16, 1, model=model(), sample_weight=weight)
    small, second = fit((x, y), 4, 4, model=model(), sample_weight=weight)
    close(state(large), state(small))
    np.testing.assert_allclose(first["loss"], second["loss"], rtol=1e-9)


def test_batches_of_ones_own(data):
    x, y = data
    large, _ = fit(([(x[i:i + 60], y[i:i + 60]) for i in range(0, SAMPLES, 60)],), 1, 1,
                   shuffle=False)
    cuts = [0, 7, 60, 80, 120, 121, 180, 200, SAMPLES]
    pairs = [(x[a:b], y[a:b]) for a, b in pairwise(cuts)]
    small, _ = fit((pairs,), 1, 2, shuffle=False)
    close(state(large), state(small))


def test_weights_of_0_alone_change_nothing_but_what_a_penalty_does(data):
    weight = np.zeros(SAMPLES)
    weight[32:] = 1.0
    large, _ = fit(data, 32, 1, sample_weight=weight, shuffle=False, optimizer="sgd")
    small, _ = fit(data, 8, 4, sample_weight=weight, shuffle=False, optimizer="sgd")
    close(state(large), state(small))


@pytest.mark.parametrize("lazy", [True, False])
def test_gradients_of_submatrices_add_up(data, lazy):
    def model(lazy):
        return Sequential([BatchwiseDropout(0.5, lazy=lazy), Dense(16, activation="relu"),
                           BatchwiseDropout(0.5, lazy=lazy), Dense(CLASSES)], dtype="float64")

    found, _ = fit(data, 16, 3, model=model(lazy), epochs=1)
    other, _ = fit(data, 16, 3, model=model(not lazy), epochs=1)
    assert_same_bits(state(found), state(other))
    net = model(lazy)
    net.build((data[0].shape[1],), 0)
    assert not np.array_equal(found.model.state_dict()["1.dense.weight"],
                              net.state_dict()["1.dense.weight"])


class Kill(Callback):
    def __init__(self, at):
        self.at = at

    def on_batch_begin(self, trainer, epoch, step):
        if step == self.at:
            for parameter in trainer.model.parameters():
                parameter.value += 1
                parameter.accumulate(np.ones_like(parameter.value))
            raise Stop


@pytest.mark.parametrize("at", [1, 2, 3, 5, 6, 7, 8, 11])
@pytest.mark.parametrize("kind", ["dropout", "batchwise"])
def test_a_run_that_is_killed_in_between_resumes_to_the_bit(data, tmp_path, at, kind):
    def run(path, *callbacks, **options):
        model = network() if kind == "dropout" else Sequential(
            [Dense(16, activation="relu", l2=0.1), BatchwiseDropout(0.5, lazy=True),
             Dense(CLASSES)])
        return fit(data, 32, 3, model=model, epochs=2, callbacks=callbacks, checkpoint=path,
                   checkpoint_every=1, **options)

    whole, history = run(tmp_path / "whole")
    with pytest.raises(Stop):
        run(tmp_path / "run", Kill(at))
    resumed, again = run(tmp_path / "run", resume=True, override={"callbacks"})
    assert_same_bits(state(whole), state(resumed))
    assert without_seconds(history) == without_seconds(again)


def test_a_run_of_other_batches_begins_its_epoch_with_no_gradient(data, tmp_path):
    path = tmp_path / "run"
    with pytest.raises(Stop):
        fit(data, 32, 3, callbacks=[Kill(5)], checkpoint=path, checkpoint_every=1)
    found, _ = fit(data, 64, 1, checkpoint=path, resume=True, override={"data", "callbacks"})
    assert found.optimizer.steps == 1 + 2 * 4


def test_averages_take_in_steps_and_not_batches(data):
    found = []
    for size, accumulate in ((32, 1), (8, 4)):
        average = ExponentialMovingAverage(0.9)
        t, _ = fit(data, size, accumulate, callbacks=average)
        found.append(t.model.state_dict())
    close(*found)


def test_a_guard_keeps_what_was_added_up(data, tmp_path):
    class Spoil(Callback):
        def on_batch_begin(self, trainer, epoch, step):
            if step == 5:
                trainer.model.parameters()[0].value[...] = np.nan

    path = tmp_path / "good"
    with pytest.raises(FloatingPointError):
        fit(data, 32, 3, callbacks=[Guard(1.0, checkpoint=path), Spoil()])
    whole, _ = fit(data, 32, 3)
    resumed, _ = fit(data, 32, 3, checkpoint=path, resume=True, override={"callbacks"})
    assert_same_bits(state(whole), state(resumed))


def test_frozen_parameters_have_no_gradient(data):
    model = network()
    model.layers[0].freeze()
    t, _ = fit(data, 16, 3, model=model, optimizer=optimizers.SGD(0.1))
    assert all(one._grad is None for one in t.model.layers[0].parameters())


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, None])
def test_errors(data, wrong):
    with pytest.raises((TypeError, ValueError), match="accumulate"):
        fit(data, 32, wrong)


def test_with_lengths_of_sequences_in_batches_of_other_widths_too():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, (40, 6)), rng.integers(0, CLASSES, (40, 6))
    lengths = rng.integers(1, 7, 40)

    def model():
        return Sequential([Embedding(9, 4), LSTM(5), Dense(CLASSES)], dtype="float64")

    large, first = fit((x, y), 8, 1, model=model(), lengths=lengths, shuffle=False)
    small, second = fit((x, y), 2, 4, model=model(), lengths=lengths, shuffle=False)
    close(state(large), state(small))
    np.testing.assert_allclose(first["loss"], second["loss"], rtol=1e-9)
    parts = [slice(start, start + 2) for start in range(0, 40, 2)]
    cut = [(x[rows, :lengths[rows].max()], y[rows, :lengths[rows].max()], None, lengths[rows])
           for rows in parts]
    other, third = fit((cut,), 1, 4, model=model(), shuffle=False)
    close(state(large), state(other))
    np.testing.assert_allclose(first["loss"], third["loss"], rtol=1e-9)
