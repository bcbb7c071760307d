"""A loss that is not finite names epoch, step and layer, and spoils nothing."""

import pickle

import numpy as np
import pytest
from training_cases import CLASSES, FEATURES, SAMPLES, assert_same_bits, state, trainer

from cydropout import Trainer
from cydropout.layers import Dense, Dropout, Residual, Sequential
from cydropout.layers._layer import Layer
from cydropout.training.callbacks import LearningRateSchedule
from cydropout.training.checkpoint import load_checkpoint
from cydropout.training.losses import SoftmaxCrossEntropy
from cydropout.training.nonfinite import NonFiniteLossError


class Poison(Layer):
    """Turn finite numbers into infinite ones at training."""

    def forward(self, x, ctx):
        return x * np.float32(np.inf), lambda dy: dy


class BrokenLoss(SoftmaxCrossEntropy):
    def __call__(self, prediction, target):
        value, gradient = super().__call__(prediction, target)
        return (float("nan") if (target == 9).any() else value), gradient


def fit_in_order(t, x, y, epochs=1):
    t.fit(x, y, epochs=epochs, batch_size=32, shuffle=False, progress=False)
    return t


def check_nonfinite(t, x, y, layer, step=3):
    with pytest.raises(NonFiniteLossError) as caught, np.errstate(all="ignore"):
        fit_in_order(t, x, y, epochs=3)
    error = caught.value
    assert isinstance(error, FloatingPointError)
    assert (error.epoch, error.step, error.layer) == (1, step, layer)
    for part in ("epoch 1", f"step {step}", layer):
        assert part in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    return t


def after_two_steps(data, make):
    """Return a trainer that has seen what the failing one saw before its third step."""
    return fit_in_order(make(), data[0][:64], data[1][:64])


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_nonfinite_input_is_named(data, bad):
    x = data[0].astype("float64")
    x[70, 3] = bad  # 1e300 is infinite in the model's float32
    t = check_nonfinite(trainer(), x, data[1], "input")
    assert_same_bits(state(t), state(after_two_steps(data, trainer)))


def test_nonfinite_loss_is_named(data):
    def make():
        model = Sequential([Dense(32, activation="relu"), Dropout(0.5), Dense(10)])
        return Trainer(model, BrokenLoss(), "adam", rng=0)

    y = data[1].copy()
    y[70] = 9
    t = check_nonfinite(make(), data[0], y, "loss")
    assert_same_bits(state(t), state(after_two_steps(data, make)))


@pytest.mark.parametrize("place", [0, 2])
def test_the_first_nonfinite_layer_is_named(data, place):
    t = trainer()
    t.model.build((FEATURES,), rng=0)
    t.model.layers[place].parameters()[0].value[0] = np.nan
    before = state(t)
    check_nonfinite(t, *data, f"{place}.dense", step=1)
    assert_same_bits(before, state(t))


def test_a_nested_nonfinite_layer_is_named_by_its_path(data):
    inner = Sequential([Dense(8), Poison()])
    model = Sequential([Dropout(0.1), inner, Dense(CLASSES)])
    t = Trainer(model, "softmax_cross_entropy", "adam", rng=0)
    check_nonfinite(t, *data, "1.sequential.1.poison", step=1)
    assert t.stream.next_draw == 0


def test_a_branch_is_named_with_what_comes_before_it_in_place(data):
    """What a shortcut adds counts behind it."""

    class Far(Layer):
        def forward(self, x, ctx):
            return np.float32(1e38) * np.sign(x), lambda dy: dy

    def run(*layers):
        t = Trainer(Sequential(layers), "softmax_cross_entropy", "adam", rng=0)
        with pytest.raises(NonFiniteLossError) as caught, np.errstate(all="ignore"):
            fit_in_order(t, *data)
        assert t.stream.next_draw == 0
        return caught.value.layer

    assert run(Residual(Dropout(0.5), Poison(), rate=0.5), Dense(3)) == "0.residual.1.poison"
    assert run(Far(), Residual(Far()), Residual(Far()), Residual(Far(), rate=0.1)) == "3.residual"


def test_spoilt_parameters_never_replace_a_good_checkpoint(data, tmp_path):
    x, y = data[0] * np.float32(1e3), data[1]
    t = Trainer(Sequential([Dense(CLASSES)]), "softmax_cross_entropy", "sgd", rng=0)
    options = {"batch_size": SAMPLES, "progress": False, "checkpoint": tmp_path / "run"}
    t.fit(x, y, epochs=1, **options)
    schedule = LearningRateSchedule(lambda epoch: 1e38)
    with pytest.raises(NonFiniteLossError, match=r"epoch 2, step 1: layer '0\.dense'"):
        t.fit(x, y, epochs=1, callbacks=[schedule], **options)
    saved = load_checkpoint(tmp_path / "run")["model"]
    assert all(np.isfinite(value).all() for value in saved.values())


# ---------------------------------------------------------------- history


class Backwards(Sequential):
    """A model with a forward of its own."""

    def forward(self, x, ctx):
        return self.layers[0].forward(x + np.inf, ctx)


def test_a_model_with_a_forward_of_its_own_is_named_as_one(data):
    broken = Trainer(Sequential([Backwards([Dense(CLASSES), Dense(CLASSES)])]),
                     "softmax_cross_entropy", "sgd", rng=0)
    with pytest.raises(NonFiniteLossError) as caught, np.errstate(all="ignore"):
        broken.fit(*data, epochs=1, progress=False)
    assert caught.value.layer == "0.backwards"
