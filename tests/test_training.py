"""The trainer: it learns, repeats itself to the bit, and resumes to the bit."""

import io
import os
import sys

import numpy as np
import pytest
from training_cases import (
    CLASSES,
    FEATURES,
    SAMPLES,
    Crash,
    Stop,
    assert_same_bits,
    drawn,
    network,
    state,
    trainer,
    without_seconds,
)

from cydropout import MaskStream, Trainer
from cydropout.layers import Dense, Dropout, Sequential
from cydropout.layers._layer import Layer
from cydropout.training import history as history_module
from cydropout.training.callbacks import EarlyStopping
from cydropout.training.checkpoint import load_checkpoint
from cydropout.training.history import History, plot_histories


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fit_lowers_the_loss(data, dtype):
    t = trainer(dtype=dtype)
    history = t.fit(*data, epochs=12, batch_size=8, validation_data=data, progress=False)
    assert history["epoch"] == list(range(1, 13))
    assert history["loss"][-1] < 0.6 * history["loss"][0]
    assert history["val_accuracy"][-1] > 0.85
    assert t.evaluate(*data) == {
        "loss": history["val_loss"][-1],
        "accuracy": history["val_accuracy"][-1],
    }
    assert t.predict(data[0]).dtype == dtype


def test_regression_has_no_accuracy(data):
    x = data[0]
    t = Trainer(Sequential([Dense(1)]), "mean_squared_error", "adam", rng=0)
    history = t.fit(x, x.sum(axis=1, keepdims=True), epochs=3, progress=False)
    assert set(history.to_dict()) == {"epoch", "loss", "seconds"}
    assert set(t.evaluate(x, x[:, :1])) == {"loss"}


def test_every_sample_is_used_once_an_epoch(data):
    seen = []

    class Spy(Layer):
        def forward(self, x, ctx):
            seen.append(x.copy())
            return x, lambda dy: dy

    t = Trainer(Sequential([Spy(), Dense(CLASSES)]), "softmax_cross_entropy", "sgd", rng=0)
    t.fit(*data, epochs=2, batch_size=32, progress=False)
    steps = -(-SAMPLES // 32)
    assert [len(batch) for batch in seen[:steps]] == [32] * (steps - 1) + [SAMPLES % 32]
    first, second = np.concatenate(seen[:steps]), np.concatenate(seen[steps:])
    assert not np.array_equal(first, data[0]) and not np.array_equal(first, second)
    for epoch in (first, second):
        np.testing.assert_array_equal(np.sort(epoch, axis=0), np.sort(data[0], axis=0))
    seen.clear()
    t.fit(*data, epochs=1, batch_size=32, progress=False, shuffle=False)
    np.testing.assert_array_equal(np.concatenate(seen), data[0])


def test_evaluate_and_predict_in_batches(data):
    t = trainer()
    t.fit(*data, epochs=1, progress=False)
    draw = t.stream.next_draw
    whole, parts = t.predict(data[0]), t.predict(data[0], batch_size=7)
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-6)
    whole, parts = t.evaluate(*data), t.evaluate(*data, batch_size=7)
    assert parts == pytest.approx(whole, rel=1e-5)
    assert t.stream.next_draw == draw, "inference draws nothing"


# ---------------------------------------------------------------- the same bits again


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_same_seed_gives_the_same_bits(data, optimizer):
    runs = [trainer(rng, optimizer) for rng in (7, MaskStream(7), 8)]
    histories = [t.fit(*data, epochs=3, progress=False) for t in runs]
    assert_same_bits(state(runs[0]), state(runs[1]))
    assert without_seconds(histories[0]) == without_seconds(histories[1])
    weight = "0.dense.weight"
    assert not np.array_equal(state(runs[0])[weight], state(runs[2])[weight])


def test_threads_do_not_change_the_bits(data):
    runs = [
        Trainer(network(), "softmax_cross_entropy", "adam", rng=1, num_threads=n) for n in (1, 3)
    ]
    for t in runs:
        t.fit(*data, epochs=2, progress=False)
    assert_same_bits(state(runs[0]), state(runs[1]))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("rng", [3, None], ids=["seed", "entropy"])
def test_a_resumed_run_ends_bit_identical(data, tmp_path, optimizer, rng):
    # Without a seed the second half starts from a trainer with another key.
    seed = MaskStream(rng).key if rng is None else rng
    path = tmp_path / "run.safetensors"
    options = {"epochs": 6, "validation_data": data, "progress": False}

    def fit(t, crash=None, **more):
        callbacks = [EarlyStopping(patience=9), Crash(crash)]
        return t.fit(*data, **options, callbacks=callbacks, **more)

    straight, stopped, resumed = (trainer(r, optimizer) for r in (seed, seed, rng))
    whole = fit(straight)
    with pytest.raises(Stop):
        fit(stopped, crash=4, checkpoint=path)
    assert load_checkpoint(path)["epoch"] == 3
    history = fit(resumed, checkpoint=path, resume=True)
    assert_same_bits(state(straight), state(resumed))
    assert without_seconds(whole) == without_seconds(history)
    assert resumed.stream.key == straight.stream.key


def test_resume_without_a_file_starts_and_with_a_finished_one_returns(data, tmp_path):
    path = tmp_path / "run"
    options = {"epochs": 2, "progress": False, "checkpoint": path, "resume": True}
    first, again = trainer(), trainer()
    a, b = first.fit(*data, **options), again.fit(*data, **options)
    assert a.records == b.records
    assert_same_bits(state(first), state(again))


def test_resume_sets_the_callers_own_stream(data, tmp_path):
    options = {"epochs": 2, "progress": False, "checkpoint": tmp_path / "run", "resume": True}
    trainer(5).fit(*data, **options)
    stream = MaskStream(5)
    resumed = trainer(stream)
    resumed.fit(*data, **options)
    assert resumed.stream is stream and stream.next_draw > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 16}, "batch_size"),
        ({"shuffle": False}, "shuffle"),
        ({"callbacks": [Crash()]}, "callbacks"),
        ({"optimizer": "sgd"}, "optimizer"),
        ({"units": 16}, "model.layers.0.units"),
        ({"dtype": "float64"}, "model.dtype"),
    ],
)
def test_resume_refuses_another_run_and_changes_nothing(data, tmp_path, change, message):
    options = {"epochs": 2, "progress": False, "checkpoint": tmp_path / "run", "resume": True}
    trainer().fit(*data, **options)
    change = dict(change)
    model = Sequential(
        [
            Dense(change.pop("units", 32), activation="relu"),
            Dropout(0.5),
            Dense(CLASSES),
        ],
        dtype=change.pop("dtype", "float32"),
    )
    other = Trainer(model, "softmax_cross_entropy", change.pop("optimizer", "adam"), rng=1)
    model.build((FEATURES,), rng=0)
    before = state(other)
    with pytest.raises(ValueError, match=f"another run.*{message}"):
        other.fit(*data, **{**options, **change})
    assert_same_bits(before, state(other))


# ---------------------------------------------------------------- early stopping


def test_history_plots_a_png_without_pyplot_state(data, tmp_path):
    history = trainer().fit(*data, epochs=2, validation_data=data, progress=False)
    history.plot(tmp_path / "one.png", title="one")
    plot_histories({"a": history, "b": history}, tmp_path / "two.png")
    for name in ("one.png", "two.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def test_the_curves_of_a_history_are_its_columns(tmp_path, monkeypatch):
    figures = drawn(monkeypatch, history_module)
    a = History(
        {"epoch": e, "loss": 1 / e, "accuracy": 1 - 1 / e, "val_loss": 2 / e, "seconds": 1.0}
        for e in (1, 2, 3)
    )
    b = History([{"epoch": 1, "loss": 0.5}])
    plot_histories({"a": a, "b": b}, tmp_path / "two.png", title="two")
    loss, accuracy = figures[0]
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == ("loss", "accuracy")
    found = {line.get_label(): line for line in loss.get_lines()}
    for label, run, column, style in (
        ("a, training", a, "loss", "--"), ("a, validation", a, "val_loss", "-"),
        ("b, training", b, "loss", "--"),
    ):
        line = found.pop(label)
        assert [*line.get_xdata()] == run["epoch"] and [*line.get_ydata()] == run[column]
        assert line.get_linestyle() == style
    assert not found and [text.get_text() for text in loss.get_legend().get_texts()] == [
        "a, training", "a, validation", "b, training"
    ]
    assert [[*line.get_ydata()] for line in accuracy.get_lines()] == [a["accuracy"]]
    assert loss.figure.get_suptitle() == "two"
    a.plot(tmp_path / "one.png")
    assert [line.get_label() for line in figures[1][0].get_lines()] == ["training", "validation"]


def test_a_history_goes_to_csv_and_back(data, tmp_path):
    history = trainer().fit(*data, epochs=2, validation_data=data, progress=False)
    history.records[0]["extra"] = 1 / 3
    path = tmp_path / "run.csv"
    history.to_csv(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].split(",")[:2] == ["epoch", "loss"] and len(lines) == 3
    again = History.from_csv(path)
    assert again.records == history.records and again["epoch"] == [1, 2]
    History().to_csv(path)
    assert len(History.from_csv(path)) == 0


def test_a_history_that_cannot_be_written_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "history.csv"
    History([{"epoch": 1, "loss": 0.5}]).to_csv(path)
    before = path.read_bytes()
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError):
            History([{"epoch": n, "loss": 0.5} for n in range(500)]).to_csv(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["history.csv"]
    with pytest.raises(ValueError, match="directory.*missing.*does not exist"):
        History([{"epoch": 1, "loss": 0.5}]).plot(tmp_path / "missing" / "curves.png")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("epoch,loss\n1,0.5\n2,x\n", 3), ("loss\n0.5\n", 2), ("epoch,loss\n1\n", 2),
        ("epoch,loss\n1,2,3\n", 2), ("epoch,loss\n,2\n", 2), ("epoch\ninf\n", 2),
        ("epoch\n1\nnan\n", 3), ('epoch\n1\n"2\n', 3), ("epoch\n\udcff\n", 2),
        (f"epoch\n{'9' * 200_000}\n", 2),
    ],
)
def test_a_damaged_history_is_named_with_its_line(tmp_path, text, line):
    path = tmp_path / "history.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=f"line {line},") as caught:
        History.from_csv(path)
    assert str(path) in str(caught.value)


def test_history_columns():
    history = History([{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0, "val_loss": 3.0}])
    assert history["loss"] == [2.0, 1.0]
    np.testing.assert_equal(history.to_dict()["val_loss"], [np.nan, 3.0])
    with pytest.raises(KeyError, match=r"accuracy.*loss"):
        history["accuracy"]
    with pytest.raises(ValueError, match="no epoch"):
        History().plot("never.png")


# ---------------------------------------------------------------- progress and errors


def test_the_bar_shows_loss_accuracy_and_speed(data, capsys):
    trainer().fit(*data, epochs=2, progress="digits", validation_data=data)
    shown = capsys.readouterr().err
    for part in ("digits, epoch 2/2", "loss=", "accuracy=", "val_accuracy=", "samples/s", "100%"):
        assert part in shown


def test_the_bar_shows_what_it_can(data, monkeypatch):
    shown = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stderr", shown)
    trainer().fit(*data, epochs=1, progress="caf\u00e9")
    shown.seek(0)
    assert r"caf\xe9, epoch 1/1" in shown.read()
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    closed = io.StringIO()
    closed.close()
    for nothing in (None, closed, Full()):
        monkeypatch.setattr(sys, "stderr", nothing)
        assert len(trainer().fit(*data, epochs=1)) == 1


def test_a_missing_package_names_the_extra(data, monkeypatch):
    for name in [n for n in sys.modules if n.startswith("tqdm.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    t = trainer()
    with pytest.raises(ImportError, match=r"tqdm.*cydropout\[train\]"):
        t.fit(*data, epochs=1)
    assert t.stream.next_draw == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.zeros(5, int)}, "203 samples and 5 targets"),
        ({"x": np.float32(1)}, "first axis"),
        ({"x": np.zeros((0, FEATURES), "f4"), "y": np.zeros(0, int)}, "at least one sample"),
        ({"epochs": 0}, "epochs.*0"),
        ({"epochs": 2.5}, "epochs.*2.5"),
        ({"batch_size": 0}, "batch_size.*0"),
        ({"batch_size": True}, "batch_size.*True"),
        ({"validation_data": (np.zeros((2, FEATURES), "f4"), [1])}, "validation_data.*2.*1"),
        ({"resume": True}, "resume=True needs checkpoint"),
        ({"checkpoint": "missing/run"}, "missing"),
        ({"checkpoint": "."}, "is a directory"),
    ],
)
def test_bad_arguments_change_nothing(data, change, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    t = trainer()
    options = {"x": data[0], "y": data[1], "epochs": 1, "progress": False, **change}
    with pytest.raises(ValueError, match=message):
        t.fit(**options)
    assert t.stream.next_draw == 0 and not t.model.parameters()


def test_a_full_disk_is_seen_before_the_first_step(data, tmp_path, monkeypatch):
    def full(file, offset, size):
        raise OSError(28, "No space left on device")

    t, path = trainer(), tmp_path / "run"
    t.fit(*data, epochs=1, progress=False, checkpoint=path)
    before, saved = state(t), path.read_bytes()
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="No space.*bytes"):
        t.fit(*data, epochs=1, progress=False, checkpoint=path)
    assert_same_bits(before, state(t))
    assert path.read_bytes() == saved and os.listdir(tmp_path) == ["run"]


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="nope"):
        Trainer(network(), "nope", "adam")
    with pytest.raises(ValueError, match="nope"):
        Trainer(network(), "softmax_cross_entropy", "nope")
    for wrong in (0, 1.5, True):
        with pytest.raises(ValueError, match="num_threads"):
            Trainer(network(), "softmax_cross_entropy", "adam", num_threads=wrong)


def test_the_threads_reach_the_optimizer(data, monkeypatch):
    t = Trainer(network(), "softmax_cross_entropy", "adam", rng=0, num_threads=1)
    seen, step = set(), t.optimizer.step

    def spy(parameters, *, num_threads=None):
        seen.add(num_threads)
        step(parameters, num_threads=num_threads)

    monkeypatch.setattr(t.optimizer, "step", spy)
    t.fit(*data, epochs=1, progress=False)
    assert seen == {1}
