"""ReduceLROnPlateau: the rates are PyTorch's, and those of a resumed run too."""

import numpy as np
import pytest
from training_cases import assert_same_bits, state, trainer, without_seconds

from cydropout.training.callbacks import Callback, ReduceLROnPlateau

RNG = np.random.default_rng(0)
VALUES = {
    "falling": np.linspace(2, 1, 30),
    "flat": np.ones(30),
    "noisy": np.linspace(1, 0.8, 30) + 0.1 * RNG.standard_normal(30),
    "spoilt": np.where(np.arange(30) % 7, np.nan, np.linspace(2, 1, 30)),
}


class Script(Callback):
    """Replace the metric by written values, and keep the rates."""

    def __init__(self, values):
        self.values, self.rates = values, {}

    def on_epoch_begin(self, trainer, epoch):
        self.rates[epoch] = trainer.optimizer.learning_rate

    def on_epoch_end(self, trainer, epoch, record):
        record["loss"] = float(self.values[epoch - 1])


def fit(values, plateau, epochs=30, **options):
    data = np.ones((4, 12), "float32"), np.zeros(4, "int64")
    script, t = Script(values), trainer(optimizer="sgd")
    t.optimizer.learning_rate = 0.5
    history = t.fit(*data, epochs=epochs, callbacks=[script, plateau], progress=False, **options)
    return script.rates, t, history


@pytest.mark.parametrize("higher", [False, True])
@pytest.mark.parametrize("settings", [
    {"patience": 2}, {"patience": 1, "cooldown": 3, "factor": 0.5},
    {"patience": 3, "min_delta": 0.05, "cooldown": 1}, {"patience": 1, "min_learning_rate": 0.01},
])
@pytest.mark.parametrize("name", VALUES)
def test_the_rates_are_those_of_pytorch(name, settings, higher):
    torch = pytest.importorskip("torch")
    values = VALUES[name] * (-1 if higher else 1)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "max" if higher else "min", settings.get("factor", 0.1),
        patience=settings["patience"] - 1, threshold=settings.get("min_delta", 1e-4),
        threshold_mode="abs", cooldown=settings.get("cooldown", 0),
        min_lr=settings.get("min_learning_rate", 0.0), eps=0.0,
    )
    wanted = {}
    for epoch, value in enumerate(values, 1):
        wanted[epoch] = optimizer.param_groups[0]["lr"]
        theirs.step(value)
    found, _, _ = fit(values, ReduceLROnPlateau("loss", higher=higher, **settings))
    assert found == wanted


@pytest.mark.parametrize("after", [4, 5, 6, 7])
def test_a_resumed_run_ends_the_same(tmp_path, after):
    def plateau():
        return ReduceLROnPlateau("loss", patience=2, cooldown=2, factor=0.5)

    rates, whole, history = fit(VALUES["noisy"], plateau(), 12)
    path = tmp_path / "run"
    fit(VALUES["noisy"], plateau(), after, checkpoint=path)
    rest, resumed, again = fit(VALUES["noisy"], plateau(), 12, checkpoint=path, resume=True)
    assert rest == {epoch: rate for epoch, rate in rates.items() if epoch > after}
    assert len(set(rest.values())) > 1
    assert_same_bits(state(whole), state(resumed))
    assert without_seconds(again) == without_seconds(history)


def test_a_rate_below_the_smallest_is_left():
    rates, _, _ = fit(np.ones(5), ReduceLROnPlateau("loss", patience=1, min_learning_rate=0.9), 5)
    assert set(rates.values()) == {0.5}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"factor": 1.0}, "factor must be .*below 1, not 1.0"),
        ({"factor": 0}, "factor"),
        ({"patience": 0}, "patience"),
        ({"cooldown": -1}, "cooldown"),
        ({"min_learning_rate": np.inf}, "min_learning_rate"),
        ({"monitor": 3}, "monitor"),
    ],
)
def test_errors(settings, words):
    with pytest.raises((TypeError, ValueError), match=words):
        ReduceLROnPlateau(**settings)


@pytest.mark.parametrize("monitor, words", [
    ("val_loss", "ReduceLROnPlateau watches 'val_loss'.*pass validation_data"),
    ("share", "ReduceLROnPlateau watches 'share'"),
])
def test_a_metric_that_is_not_measured_is_named(monitor, words):
    with pytest.raises(ValueError, match=words):
        fit(np.ones(30), ReduceLROnPlateau(monitor))
