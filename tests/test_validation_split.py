"""validation_split: as if the last samples had been given as validation_data."""

import numpy as np
import pytest
from training_cases import CLASSES, SAMPLES, assert_same_bits, network, state, without_seconds

from cydropout import Trainer
from cydropout.layers import Dense, Embedding, Sequential

KEPT = SAMPLES - SAMPLES // 4
WEIGHT = np.random.default_rng(3).random(SAMPLES)


def fit(x, y, *, model=None, loss="softmax_cross_entropy", epochs=2, **options):
    t = Trainer(model or network(), loss, "adam", rng=0)
    return t, t.fit(x, y, epochs=epochs, progress=False, **options)


def dense(x):
    return x


def sparse(x):
    return pytest.importorskip("scipy.sparse").csr_array(x)


def table(x):
    return pytest.importorskip("pandas").DataFrame(x)


@pytest.mark.parametrize("kind", [dense, sparse, table], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("options", [
    {}, {"shuffle": False}, {"drop_last": True}, {"batch_size": 7},
    {"class_weight": {0: 2.0}}, {"class_weight": "balanced"}, {"sample_weight": WEIGHT},
], ids=str)
def test_it_is_the_last_samples_as_validation_data(data, kind, options):
    x, y = data
    weight = options.get("sample_weight")
    apart = options if weight is None else {**options, "sample_weight": weight[:KEPT]}
    held = [x[KEPT:], y[KEPT:], *([] if weight is None else [weight[KEPT:]])]
    one, first = fit(x[:KEPT], y[:KEPT], validation_data=held, **apart)
    other, second = fit(kind(x), y, validation_split=0.25, **options)
    assert_same_bits(state(one), state(other))
    assert without_seconds(first) == without_seconds(second)


def test_a_memmap_is_not_read_whole(data, tmp_path):
    x, y = data
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    one, _ = fit(mapped, y, validation_split=0.25)
    other, _ = fit(x, y, validation_split=0.25)
    assert_same_bits(state(one), state(other))


@pytest.mark.parametrize("at", [3, SAMPLES - 3])
def test_a_bad_target_is_named_by_its_place_in_all_of_them(data, at):
    x, y = data[0], data[1].copy()
    y[at] = CLASSES
    with pytest.raises(ValueError, match=rf"at position {at} "):
        fit(x, y, validation_split=0.25)


def test_a_resumed_run_ends_the_same(data, tmp_path):
    path = tmp_path / "run"
    options = {"validation_split": 0.25, "checkpoint": path, "resume": True}
    whole, history = fit(*data, epochs=3, validation_split=0.25)
    fit(*data, epochs=1, **options)
    with pytest.raises(ValueError, match=r"data.validation_split was 0\.25 there, and is 0\.5"):
        fit(*data, epochs=3, **{**options, "validation_split": 0.5})
    resumed, again = fit(*data, epochs=3, **options)
    assert_same_bits(state(whole), state(resumed))
    assert without_seconds(again) == without_seconds(history)


@pytest.mark.parametrize("options, words", [
    ({"validation_split": 1.0}, "validation_split.*1.0"),
    ({"validation_split": -0.1}, "validation_split.*-0.1"),
    ({"validation_split": 0.001}, "validation_split=0.001 of 203 samples holds 0 back"),
    ({"validation_split": 0.5, "batch_size": 200, "drop_last": True}, "drop_last leaves no batch"),
    ({"validation_split": 0.5, "validation_data": (np.ones((2, 12)), np.ones(2, int))},
     "validation_data or validation_split"),
])
def test_errors(data, options, words):
    with pytest.raises(ValueError, match=words):
        fit(*data, **options)


def test_batches_of_ones_own_are_not_cut(data):
    with pytest.raises(ValueError, match="validation_split cuts x and y"):
        fit([data], None, validation_split=0.5)


def test_an_evaluation_measures_what_was_held_back(data):
    x, y = data
    t, history = fit(x, y, model=Sequential([Dense(CLASSES)]), validation_split=0.25)
    assert t.evaluate(x[KEPT:], y[KEPT:])["loss"] == history["val_loss"][-1]


def test_lengths_are_split_too():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, (40, 6)), rng.integers(0, CLASSES, (40, 6))
    lengths = rng.integers(1, 7, 40)

    def model():
        return Sequential([Embedding(9, 4), Dense(CLASSES)])

    one, first = fit(x, y, model=model(), lengths=lengths, validation_split=0.25)
    held = (x[30:], y[30:], None, lengths[30:])
    other, second = fit(x[:30], y[:30], model=model(), lengths=lengths[:30], validation_data=held)
    assert_same_bits(state(one), state(other))
    assert without_seconds(first) == without_seconds(second)
