"""Data that do not fit in memory: batches from anywhere, and runs that resume within an epoch."""

import tracemalloc

import numpy as np
import pytest
from training_cases import (
    CLASSES,
    FEATURES,
    SAMPLES,
    Stop,
    assert_same_bits,
    state,
    trainer,
    without_seconds,
)

from cydropout import Trainer
from cydropout.layers import Dense, Layer, Sequential
from cydropout.training.callbacks import Callback, EarlyStopping, LearningRateSchedule
from cydropout.training.checkpoint import load_checkpoint
from cydropout.training.data import shuffled

STEPS = -(-SAMPLES // 32)


class CrashAt(Callback):
    """Spoil what is in memory and fail when the batch ``at``, of all epochs, begins."""

    def __init__(self, at=None):
        self.at = at

    def on_batch_begin(self, trainer, epoch, step):
        if step == self.at:
            trainer.stream.take()
            for parameter in trainer.model.parameters():
                parameter.value += 1
            raise Stop


class Seen(Layer):
    """Write down the inputs of training."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def forward(self, x, ctx):
        if ctx.training:
            self.batches.append(x.copy())
        return x, lambda dy: dy


class Stream:
    """Batches with neither length nor places, which count how often they are read."""

    def __init__(self, batches):
        self.batches, self.read = batches, 0

    def __iter__(self):
        for batch in self.batches:
            self.read += 1
            yield batch


def cut(data, size=32):
    return [(data[0][i : i + size], data[1][i : i + size]) for i in range(0, SAMPLES, size)]


def watched():
    seen = Seen()
    t = Trainer(Sequential([seen, Dense(CLASSES)]), "softmax_cross_entropy", "sgd", rng=0)
    return t, seen.batches


def sources(data):
    """Each kind of source, made anew, with what `fit` wants beside it."""
    parts = cut(data)
    return {
        "arrays": lambda: (*data,),
        "list": lambda: (parts,),
        "stream": lambda: (Stream(parts),),
        "function": lambda: (lambda rng: shuffled(iter(parts), 3, rng),),
    }


@pytest.mark.parametrize("kind", ["stream", "list"])
def test_batches_in_order_train_like_the_arrays_they_are_cut_from(data, kind):
    runs = trainer(), trainer()
    options = {"epochs": 3, "progress": False, "shuffle": False}
    a = runs[0].fit(*data, **options, validation_data=data)
    b = runs[1].fit(*sources(data)[kind](), **options, validation_data=cut(data, 1024))
    assert_same_bits(*map(state, runs))
    assert without_seconds(a) == without_seconds(b)
    assert runs[1].evaluate(cut(data, 1024)) == runs[0].evaluate(*data)


def test_a_list_of_batches_is_shuffled_and_again_the_same(data):
    parts = [(x + np.float32(0), y) for x, y in cut(data)]
    orders = []
    for _ in range(2):
        t, seen = watched()
        t.fit(parts, epochs=2, progress=False)
        first = [float(x[0, 0]) for x, _ in parts]
        orders.append([first.index(float(batch[0, 0])) for batch in seen])
    assert orders[0] == orders[1]
    one, two = orders[0][:STEPS], orders[0][STEPS:]
    assert sorted(one) == sorted(two) == list(range(STEPS))
    assert one != two and one != sorted(one)


def test_a_function_gets_the_generator_of_its_epoch(data):
    numbers = []

    def batches(rng):
        numbers.append(int(rng.integers(2**60)))
        return cut(data)

    for _ in range(2):
        trainer().fit(batches, epochs=2, progress=False)
    assert numbers[:2] == numbers[2:] and numbers[0] != numbers[1]


def test_shuffled_yields_all_in_another_order_that_repeats():
    def order(seed, buffer=5):
        return list(shuffled(range(40), buffer, np.random.default_rng(seed)))

    assert sorted(order(0)) == list(range(40)) and order(0) != list(range(40))
    assert order(0) == order(0) != order(1)
    assert all(value - place <= 5 for place, value in enumerate(order(0)))
    assert order(0, 1) == list(range(40))


@pytest.mark.parametrize("at", [3, STEPS - 1, STEPS, STEPS + 4], ids="step {}".format)
@pytest.mark.parametrize("kind", ["arrays", "list", "stream", "function"])
def test_a_run_resumes_within_an_epoch_to_the_bit(data, tmp_path, kind, at):
    path = tmp_path / "run"
    source = sources(data)[kind]

    def fit(t, crash=None, **more):
        callbacks = [
            EarlyStopping("loss", 9),
            LearningRateSchedule(lambda epoch: 0.01 / epoch),
            CrashAt(crash),
        ]
        return t.fit(*source(), epochs=3, callbacks=callbacks, progress=False, **more)

    # The second half starts from a trainer with another key.
    straight, stopped, resumed = trainer(), trainer(), trainer(8)
    whole = fit(straight)
    with pytest.raises(Stop):
        fit(stopped, at, checkpoint=path, checkpoint_every=1)
    saved = load_checkpoint(path)
    assert saved["steps"] == at and (saved["epoch"], saved["step"]) == divmod(at, STEPS)
    history = fit(resumed, checkpoint=path, resume=True)
    assert without_seconds(history) == without_seconds(whole)
    assert_same_bits(state(straight), state(resumed))


@pytest.mark.parametrize("every", [1, 3, None])
def test_checkpoints_are_saved_after_so_many_batches(data, tmp_path, every, monkeypatch):
    from cydropout.training import trainer as training

    steps, save = [], training.save_checkpoint

    def spy(path, tree):
        steps.append(tree["steps"])
        save(path, tree)

    monkeypatch.setattr(training, "save_checkpoint", spy)
    trainer().fit(
        *data, epochs=2, progress=False, checkpoint=tmp_path / "run", checkpoint_every=every
    )
    within = list(range(every, 2 * STEPS + 1, every)) if every else []
    assert steps == sorted([*within, STEPS, 2 * STEPS])


def test_done_batches_of_an_iterable_are_read_and_not_trained_on(data, tmp_path):
    path = tmp_path / "run"
    options = {"epochs": 1, "progress": False, "checkpoint": path}
    with pytest.raises(Stop):
        trainer().fit(
            Stream(cut(data)), **options, checkpoint_every=1, callbacks=[CrashAt(4)]
        )
    t, stream, steps = trainer(), Stream(cut(data)), []

    class Count(CrashAt):
        def on_batch_end(self, trainer, epoch, step, record):
            steps.append(step)

    Count.__name__ = "CrashAt"
    t.fit(stream, **options, resume=True, callbacks=[Count()])
    assert steps == [4, 5, 6] and stream.read == STEPS


def test_a_memmap_is_never_loaded_whole(tmp_path):
    rows, columns = 40_000, 256
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=(rows, columns))
    for start in range(0, rows, 1000):
        x[start : start + 1000] = np.random.default_rng(start).random((1000, columns), np.float32)
    y = np.memmap(tmp_path / "y", np.int64, "w+", shape=(rows,))
    y[:] = x[:, 0] > 0.5
    t = Trainer(Sequential([Dense(2)]), "softmax_cross_entropy", "sgd", rng=0)
    t.model.build((columns,), rng=0)
    tracemalloc.start()
    try:
        history = t.fit(
            x, y, epochs=1, batch_size=64, progress=False, validation_data=(x[:4096], y[:4096])
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < x.nbytes / 8
    assert history["loss"][0] < 0.72


def test_a_memmap_trains_like_the_array(data, tmp_path):
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=data[0].shape)
    x[:] = data[0]
    runs = trainer(), trainer()
    for t, source in zip(runs, (data[0], x), strict=True):
        t.fit(source, data[1], epochs=2, progress=False)
    assert_same_bits(*map(state, runs))


def test_what_can_be_read_once_is_good_for_one_epoch(data):
    t = trainer()
    t.fit(iter(cut(data)), epochs=1, progress=False, shuffle=False)
    plain = trainer()
    plain.fit(*data, epochs=1, progress=False, shuffle=False)
    assert_same_bits(state(t), state(plain))
    with pytest.raises(ValueError, match="read once, but there are 2 epochs"):
        trainer().fit(iter(cut(data)), epochs=2, progress=False)
    held = [iter(cut(data)) for _ in range(2)]
    trainer().fit(*data, epochs=1, progress=False, validation_data=held[0])
    with pytest.raises(ValueError, match="read once, but there are 2 epochs"):
        trainer().fit(*data, epochs=2, progress=False, validation_data=held[1])


def test_the_bar_counts_samples_without_a_total(data, capsys):
    trainer().fit(Stream(cut(data)), epochs=2)
    shown = capsys.readouterr().err
    assert f"{2 * SAMPLES}" in shown and "epoch 2/2" in shown


class Empty:
    def __iter__(self):
        return iter(())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((4, FEATURES), "f4")}, "targets too"),
        ({"x": 3}, "targets too.*int"),
        ({"x": []}, "at least one batch"),
        ({"x": Empty()}, "at least one batch"),
        ({"x": [np.zeros((4, FEATURES), "f4")]}, "pair.*ndarray"),
        ({"x": [(np.zeros((4, FEATURES), "f4"), [1])]}, "of a batch.*4.*1"),
        ({"x": [1], "checkpoint_every": 0}, "checkpoint_every.*0"),
        ({"x": [1], "checkpoint_every": 2}, "checkpoint_every needs checkpoint"),
        ({"x": [1], "batch_size": 0}, "batch_size.*0"),
    ],
)
def test_bad_batches_change_nothing(change, message):
    t = trainer()
    with pytest.raises(ValueError, match=message):
        t.fit(**{"epochs": 2, "progress": False, **change})
    assert t.stream.next_draw == 0 and not t.model.parameters()


def test_an_iterable_that_ends_for_good_is_an_error(data):
    class Once:
        def __init__(self):
            self.left = cut(data)

        def __iter__(self):
            left, self.left = self.left, []
            return iter(left)

    with pytest.raises(ValueError, match="epoch 2 got no batch"):
        trainer().fit(Once(), epochs=2, progress=False)
