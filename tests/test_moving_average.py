"""ExponentialMovingAverage: the formula, what it measures, and that training does not see it."""

import numpy as np
import pytest
from training_cases import CLASSES, Stop, assert_same_bits, state, without_seconds

from cydropout import Trainer, load_model
from cydropout.layers import BatchNorm, Dense, Dropout, Sequential
from cydropout.training.callbacks import Callback, EarlyStopping, ExponentialMovingAverage


class Watch(Callback):
    """Keep the parameters after each step, and as each epoch leaves them."""

    def __init__(self):
        self.steps, self.epochs = [], []

    def on_train_begin(self, trainer, metrics):
        self.begin = trainer.model.state_dict()

    def on_batch_end(self, trainer, epoch, step, record):
        self.steps.append(trainer.model.state_dict())

    def on_epoch_end(self, trainer, epoch, record):
        self.epochs.append(trainer.model.state_dict())


def fit(data, *callbacks, epochs=3, optimizer="adam", **options):
    model = Sequential([Dense(16), BatchNorm(), Dropout(0.5), Dense(CLASSES)])
    t = Trainer(model, "softmax_cross_entropy", optimizer, rng=0)
    history = t.fit(*data, epochs=epochs, callbacks=callbacks, progress=False, **options)
    return t, history


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_formula(data, decay):
    watch, average = Watch(), ExponentialMovingAverage(decay)
    t, _ = fit(data, watch, average)
    wanted = {name: value.astype("f8") for name, value in watch.begin.items()}
    for step in watch.steps:
        for name, value in step.items():
            wanted[name] = decay * wanted[name] + (1 - decay) * value
    for name, value in t.model.state_dict().items():
        np.testing.assert_allclose(value, wanted[name], rtol=1e-4, atol=1e-6)
    assert watch.epochs[-1].keys() == wanted.keys()


def test_it_is_that_of_pytorch(data):
    torch = pytest.importorskip("torch")
    swa = torch.optim.swa_utils
    watch, average = Watch(), ExponentialMovingAverage(0.9)
    t, _ = fit(data, watch, average)

    def module(values):
        return torch.nn.ParameterList([torch.tensor(one) for one in values.values()])

    theirs = swa.AveragedModel(module(watch.begin), multi_avg_fn=swa.get_ema_multi_avg_fn(0.9))
    theirs.update_parameters(module(watch.begin))
    for step in watch.steps:
        theirs.update_parameters(module(step))
    for one, other in zip(t.model.parameters(), theirs.module, strict=True):
        np.testing.assert_allclose(one.value, other.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_training_is_the_same_to_the_bit_and_the_measures_are_of_the_averages(data):
    plain, history = fit(data, validation_data=data)
    average, watch = ExponentialMovingAverage(0.9), Watch()
    t, averaged = fit(data, average, watch, validation_data=data)
    assert averaged["loss"] == history["loss"] and averaged["val_loss"] != history["val_loss"]
    assert averaged["val_loss"][-1] == t.evaluate(*data)["loss"]
    assert_same_bits(watch.epochs[-1], t.model.state_dict())
    assert average.swapped
    kept = t.model.state_dict()
    average.swap(t.model)
    assert_same_bits(state(plain), state(t))
    average.swap(t.model)
    assert_same_bits(kept, t.model.state_dict())


@pytest.mark.parametrize("first", [True, False])
def test_early_stopping_keeps_the_averages_in_any_order(data, first):
    class Script(Callback):
        def on_epoch_end(self, trainer, epoch, record):
            record["val_loss"] = [3.0, 1.0, 2.0, 2.0][epoch - 1]

    average, watch, stop = ExponentialMovingAverage(0.9), Watch(), EarlyStopping(patience=2)
    pair = [average, stop] if first else [stop, average]
    t, _ = fit(data, Script(), *pair, watch, epochs=6, validation_data=data)
    assert len(watch.epochs) == 4
    assert_same_bits(watch.epochs[1], t.model.state_dict())


@pytest.mark.parametrize("at", [7, 9, 14, 17])
def test_a_resumed_run_ends_the_same(data, tmp_path, at):
    class Kill(Callback):
        def on_batch_begin(self, trainer, epoch, step):
            if step == at:
                trainer.model.parameters()[0].value += 1
                raise Stop

    options = {"validation_data": data, "checkpoint_every": 1}
    average = ExponentialMovingAverage(0.9)
    whole, history = fit(data, average, checkpoint=tmp_path / "whole", **options)
    path, other = tmp_path / "run", ExponentialMovingAverage(0.9)
    with pytest.raises(Stop):
        fit(data, ExponentialMovingAverage(0.9), Kill(), checkpoint=path, **options)
    resumed, again = fit(data, other, checkpoint=path, resume=True, override={"callbacks"},
                         **options)
    assert_same_bits(state(whole), state(resumed))
    assert without_seconds(history) == without_seconds(again)
    average.swap(whole.model)
    other.swap(resumed.model)
    assert_same_bits(state(whole), state(resumed))


def test_a_checkpoint_serves_the_averages(data, tmp_path):
    t, _ = fit(data, ExponentialMovingAverage(0.9), checkpoint=tmp_path / "run")
    assert_same_bits(load_model(tmp_path / "run").state_dict(), t.model.state_dict())


def test_a_run_that_is_ended_within_an_epoch_has_its_parameters(data):
    class Kill(Callback):
        def on_batch_begin(self, trainer, epoch, step):
            if step == 10:
                raise KeyboardInterrupt

    average, watch = ExponentialMovingAverage(0.9), Watch()
    t = Trainer(Sequential([Dense(CLASSES)]), "softmax_cross_entropy", "adam", rng=0)
    with pytest.raises(KeyboardInterrupt):
        t.fit(*data, epochs=3, callbacks=[average, watch, Kill()], progress=False)
    assert not average.swapped
    assert_same_bits(watch.steps[-1], t.model.state_dict())


@pytest.mark.parametrize("decay", [1.0, -0.1, np.nan, "0.9"])
def test_errors(decay):
    with pytest.raises((TypeError, ValueError), match="decay"):
        ExponentialMovingAverage(decay)
