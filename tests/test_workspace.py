import numpy as np

from cydropout import MaskStream, Trainer
from cydropout.layers import Context, Dense, Dropout, Sequential
from cydropout.layers._workspace import Workspace


def test_an_array_is_not_given_twice_before_release():
    workspace = Workspace()
    first, second = workspace.empty((3, 4), "float32"), workspace.empty((3, 4), "float32")
    other = workspace.empty((3, 4), "float64")
    assert not np.shares_memory(first, second) and other.dtype == "float64"
    workspace.release()
    assert workspace.empty((3, 4), np.float32) is first
    assert workspace.empty((3, 4), np.float32) is second


def test_what_a_step_did_not_take_is_forgotten():
    workspace = Workspace()
    for _ in range(3):
        workspace.empty((5,), "float32")
    workspace.empty((7,), "float32")
    workspace.release()
    workspace.empty((5,), "float32")
    workspace.release()
    assert workspace.nbytes == 20


def model():
    built = Sequential([
        Dense(6, activation="gelu"), Dropout(0.5), Dropout(0.3), Dense(5, activation="relu"),
        Dense(3)])
    built.build((4,), 0)
    return built


def test_a_pass_gives_the_same_and_allocates_nothing_in_the_steady_state():
    x, dy = np.random.default_rng(0).random((8, 4), "f4"), np.ones((8, 3), "f4")
    results, workspace = [], Workspace()
    for room in (None, workspace):
        net, stream = model(), MaskStream(5)
        for _ in range(3):
            if room is not None:
                room.release()
            y, backward = net.forward(x, Context(True, stream, workspace=room))
            dx = backward(dy)
            if room is not None:
                sizes = room.nbytes
        results.append([y.copy(), dx.copy(), *(p.grad.copy() for p in net.parameters())])
    for with_room, without in zip(*results, strict=True):
        np.testing.assert_array_equal(with_room, without)
    assert workspace.nbytes == sizes > 0


def test_training_takes_its_arrays_from_one_workspace(monkeypatch):
    made = []

    class Spy(Workspace):
        def empty(self, shape, dtype):
            array = super().empty(shape, dtype)
            made.append(id(array))
            return array

    monkeypatch.setattr("cydropout.training.trainer.Workspace", Spy)
    x, y = np.random.default_rng(0).random((64, 4), "f4"), np.arange(64) % 3
    Trainer(model(), "softmax_cross_entropy", "adam", rng=0).fit(
        x, y, epochs=1, batch_size=8, progress=False)
    assert len(made) > 8 * len(set(made)) / 2 and len(set(made)) < 20
