"""RateSchedule: the rate of every step, of the right layers, also in a resumed run."""

import numpy as np
import pytest
from training_cases import CLASSES, SAMPLES, Crash, Stop, assert_same_bits, network, state

from cydropout import MaskStream, Trainer
from cydropout.layers import (
    GRU,
    LSTM,
    ConcreteDropout,
    Context,
    CutoutDropout,
    Dense,
    Dropout,
    Embedding,
    FeatureDropout,
    Flatten,
    GaussianDropout,
    Layer,
    MultiHeadAttention,
    ReLU,
    Residual,
    Sequential,
    SimpleRNN,
    StochasticDepth,
    TransformerBlock,
)
from cydropout.training.callbacks import Callback, RateSchedule
from cydropout.training.callbacks.guard import dropped_shares
from cydropout.training.optimizers import SGD
from cydropout.training.schedules import Curriculum, Linear

STEPS = -(-SAMPLES // 32)


class Watch(Callback):
    """Write down the steps, and the rates that ``layers`` then have."""

    def __init__(self, *layers):
        self.layers, self.steps, self.rates = layers, [], []

    def on_batch_begin(self, trainer, epoch, step):
        assert (epoch - 1) * STEPS <= step < epoch * STEPS
        self.steps.append(step)
        self.rates.append([layer.rate for layer in self.layers])


def fit(model, data, *callbacks, epochs=2, rng=0, **options):
    t = Trainer(model, "softmax_cross_entropy", "adam", rng=rng)
    t.fit(*data, epochs=epochs, callbacks=callbacks, progress=False, **options)
    return t


@pytest.mark.parametrize(
    "schedule", [Linear(0.0, 0.6, 10), Curriculum(0.5, steps=14), lambda step: 1 / (step + 2)]
)
def test_every_step_has_its_rate(data, schedule):
    model = network()
    watch = Watch(model.layers[1])
    fit(model, data, RateSchedule(schedule), watch)
    assert watch.steps == list(range(2 * STEPS))
    assert watch.rates == [[schedule(step)] for step in range(2 * STEPS)]
    assert model.layers[1].rate == schedule(2 * STEPS - 1), "the last one stays"


def test_a_scheduled_rate_is_used_in_a_fused_pass(data):
    """Against the same steps by hand, with a layer of the fixed rate of each."""
    rates = [0.0, 0.7, 1.0, 0.2]
    x, y = data[0][:128], data[1][:128]
    scheduled = network()
    assert [len(step.layers) for step in scheduled.steps] == [2, 1]
    t = fit(scheduled, (x, y), RateSchedule(lambda step: rates[step]), epochs=1, shuffle=False)
    by_hand = Sequential(network().layers, fuse=False)
    own = Trainer(by_hand, "softmax_cross_entropy", "adam", rng=0)
    own._build(x)
    for step, rate in enumerate(rates):
        rows = slice(32 * step, 32 * step + 32)
        by_hand.layers[1].rate = rate
        prediction, backward = by_hand.forward(x[rows], Context(True, own.stream))
        for parameter in by_hand.parameters():
            parameter.zero_grad()
        backward(own.loss(prediction, y[rows])[1])
        own.optimizer.step(by_hand.parameters())
    assert_same_bits(state(t), state(own))


@pytest.mark.parametrize("at", [2, 3])
def test_a_resumed_run_goes_on_at_the_right_step(data, tmp_path, at):
    path, schedule = tmp_path / "run", Linear(0.0, 0.9, 20)

    def run(crash=None, **more):
        return fit(network(), data, RateSchedule(schedule), Crash(crash), epochs=4, **more)

    whole = run()
    with pytest.raises(Stop):
        run(crash=at, checkpoint=path)
    model = network()
    watch = Watch(model.layers[1])
    callbacks = RateSchedule(schedule), Crash()
    done = fit(network(), data, *callbacks, epochs=at - 1, checkpoint=path, resume=True)
    assert done.model.layers[1].rate == schedule((at - 1) * STEPS - 1)  # that of the last step
    with pytest.raises(ValueError, match="callbacks"):
        fit(model, data, *callbacks, watch, epochs=4, checkpoint=path, resume=True)
    assert_same_bits(state(whole), state(run(checkpoint=path, resume=True)))


def test_the_steps_of_a_resumed_run_count_on(data, tmp_path):
    for epochs in (1, 3):
        watch = Watch()
        fit(network(), data, watch, epochs=epochs, checkpoint=tmp_path / "run", resume=True)
    assert watch.steps == list(range(STEPS, 3 * STEPS))


class Learned(Layer):
    """A layer whose rate nobody can set."""

    @property
    def rate(self):
        return 0.25

    def forward(self, x, ctx):
        return x, lambda dy: dy


class Plain(Layer):
    """A layer whose rate is a plain attribute."""

    def __init__(self):
        super().__init__()
        self.rate = 0.1

    def forward(self, x, ctx):
        return x, lambda dy: dy


def layers():
    inner = Sequential([GaussianDropout(0.1), ReLU(), Residual(ReLU(), rate=0.2, name="inside")])
    return [Dropout(0.0), Residual(ReLU(), rate=0.3), Residual(ReLU()), inner,
            StochasticDepth(0.1), Learned(), Dropout(np.full(12, 0.5)), Plain(), Dense(CLASSES),
            Dropout(0.0)]


def rates(model):
    one, two, three, inner, five, six, seven, eight, _, nine = model.layers
    first, _, last = inner.layers
    every = (one, two.dropout, three.dropout, first, last.dropout, five, six, seven, eight, nine)
    return [float(np.mean(layer.rate)) for layer in every]


BEFORE = [0.0, 0.3, 0.0, 0.1, 0.2, 0.1, 0.25, 0.5, 0.1, 0.0]


@pytest.mark.parametrize(
    ("chosen", "places"),
    [
        (lambda model: None, {0, 1, 3, 4, 5, 8, 9}),
        (lambda model: ["0.dropout", "6.dropout"], {0, 7}),
        (lambda model: "2.residual", {2}),
        (lambda model: "3.sequential", {3, 4}),
        (lambda model: ["3.sequential.2.inside"], {4}),
        (lambda model: [model.layers[4], model.layers[1]], {1, 5}),
        (lambda model: model.layers[9], {9}),
        (lambda model: "2.residual.dropout", {2}),
        (lambda model: [model], {0, 1, 3, 4, 5, 7, 8, 9}),
    ],
)
def test_which_layers(data, chosen, places):
    model = Sequential(layers())
    assert rates(model) == BEFORE
    fit(model, data, RateSchedule(lambda step: 0.75, chosen(model)), epochs=1)
    assert rates(model) == [0.75 if i in places else rate for i, rate in enumerate(BEFORE)]


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ("10.dropout", r"'10\.dropout'.*0\.dropout.*3\.sequential\.2\.inside"),
        ("3.sequential.1.relu", "'1.relu' has no rate"),
        (["5.learned"], "'5.learned' has no rate"),
        ([Dropout(0.5, name="other")], r"Dropout.*'other'.*no layer of this model"),
    ],
)
def test_layers_that_are_not_there(data, chosen, words):
    model = Sequential(layers())
    stream = MaskStream(0)
    with pytest.raises(ValueError, match=words):
        fit(model, data, RateSchedule(Linear(0.5, 0.0, 10), chosen), rng=stream)
    assert rates(model) == BEFORE and stream.next_draw == 0


def test_nonsense_is_refused(data):
    with pytest.raises(TypeError, match=r"0\.5"):
        RateSchedule(0.5)
    with pytest.raises(TypeError, match="layers.*3"):
        RateSchedule(Linear(0.0, 0.5, 3), [3])
    with pytest.raises(ValueError, match="no layer with a rate"):
        fit(Sequential([Dense(CLASSES)]), data, RateSchedule(lambda step: 0.5))
    model = network()
    with pytest.raises(ValueError, match=r"rate.*1\.5"):
        fit(model, data, RateSchedule(lambda step: 1.5))
    assert model.layers[1].rate == 0.5


def test_rates_that_are_learned_or_given_otherwise_are_left_alone(data):
    cut = CutoutDropout(size=1)
    columns = FeatureDropout(features=2)
    with pytest.raises(ValueError, match=r"features=2.*rate=0\.5"):
        columns.rate = 0.5
    concrete = ConcreteDropout(Dense(CLASSES), 0.3)
    reshaped = Sequential([Dropout(0.2), concrete])
    schedule = RateSchedule(lambda step: 0.6)
    t = Trainer(reshaped, "softmax_cross_entropy", SGD(0.0), rng=0)
    t.fit(*data, epochs=1, callbacks=[schedule], progress=False)
    assert reshaped.layers[0].rate == 0.6 and concrete.rate == pytest.approx(0.3)
    with pytest.raises(ValueError, match="found no layer"):
        schedule.on_train_begin(Trainer(Sequential([cut]), "mean_squared_error", "sgd"), ())
    named = RateSchedule(lambda step: 0.6, [concrete])
    t.fit(*data, epochs=1, callbacks=[named], progress=False)
    assert concrete.rate == pytest.approx(0.6)


UNITS = 4

# A layer over sequences, and the rates that it runs by itself: those above 0 are scheduled.
HOLDERS = {
    "rnn": (
        lambda: SimpleRNN(UNITS, recurrent_dropout=0.1),
        {"dropout": 0.0, "recurrent_dropout": 0.1, "zoneout": 0.0},
    ),
    "lstm": (
        lambda: LSTM(UNITS, dropout=0.1, recurrent_dropout=0.2, zoneout=0.3, zoneout_cell=0.4),
        {"dropout": 0.1, "recurrent_dropout": 0.2, "zoneout": 0.3, "zoneout_cell": 0.4},
    ),
    "gru": (
        lambda: GRU(UNITS, recurrent_dropout=0.2, recurrent_mode="semeniuta", zoneout=0.3),
        {"dropout": 0.0, "recurrent_dropout": 0.2, "zoneout": 0.3},
    ),
    "attention": (
        lambda: MultiHeadAttention(2, rate=0.2, head_rate=0.1), {"dropout": 0.2, "drop_head": 0.1}
    ),
    "one head rate": (lambda: MultiHeadAttention(2, rate=0.2), {"dropout": 0.2}),
    "residual": (lambda: Residual(ReLU(), rate=0.3), {"dropout": 0.3}),
}


class Used(Callback):
    """Write down the share that each layer of noise dropped."""

    reads_masks = True

    def __init__(self):
        self.shares = []

    def on_batch_end(self, trainer, epoch, step, record):
        self.shares.append(
            {layer: next(dropped_shares(mask)) for layer, mask in trainer.masks[0].items()}
        )


def sequences():
    rng = np.random.default_rng(0)
    return rng.standard_normal((64, 3, UNITS)).astype("f4"), rng.integers(0, CLASSES, 64)


@pytest.mark.parametrize("name", HOLDERS)
def test_noise_that_layers_run_by_themselves_is_scheduled(name):
    make, before = HOLDERS[name]
    model = Sequential([make(), Flatten(), Dense(CLASSES)])
    layer = model.layers[0]
    held = {name: one for name, one in layer.children().items() if name in layer.noises}
    assert {attribute: one.rate for attribute, one in held.items()} == before
    used = Used()
    fit(model, sequences(), RateSchedule(lambda step: [0.6, 1.0][step]), used, epochs=1)
    for attribute, one in held.items():
        assert one.rate == (1.0 if before[attribute] else 0.0)
        assert (used.shares[-1].get(one) == 1.0) is bool(before[attribute]), "it is what runs"
        assert 0 < used.shares[0].get(one, 0.5) < 1
    # One of them alone, and where none is in use the one layer that is named.
    for attribute, one in held.items():
        fit(model, sequences(), RateSchedule(lambda step: 0.3, f"{layer.path}.{attribute}"))
        assert one.rate == 0.3
    for one in held.values():
        one.rate = 0.0
    fit(model, sequences(), RateSchedule(lambda step: 0.4, layer))
    assert {one.rate for one in held.values()} == {0.4}


def test_the_rates_of_a_block_are_those_that_it_began_with():
    options = {"rate": 0.1, "depth_rate": 0.2, "head_rate": 0.3}
    for given in [{one: options[one]} for one in options] + [options]:
        model = Sequential([TransformerBlock(UNITS, 2, 8, **given), Flatten(), Dense(CLASSES)])
        before = {one: one.rate for one in model.walk() if hasattr(one, "rate")}
        fit(model, sequences(), RateSchedule(lambda step: 0.5), epochs=1)
        changed = {before[one] for one in before if one.rate == 0.5}
        kept = {before[one] for one in before if one.rate != 0.5}
        # Of those at 0 the schedule takes the dropouts that are layers of their own.
        assert changed == set(given.values()) | ({0.0} if "rate" not in given else set())
        assert kept <= {0.0}
    concrete = ConcreteDropout(LSTM(UNITS, zoneout=0.3), 0.2)
    model = Sequential([concrete, Flatten(), Dense(CLASSES)])
    t = Trainer(model, "softmax_cross_entropy", SGD(0.0), rng=0)
    t.fit(*sequences(), epochs=1, callbacks=[RateSchedule(lambda step: 0.5)], progress=False)
    assert concrete.layer.zoneout.rate == 0.5 and concrete.rate == pytest.approx(0.2)


def test_the_rate_of_words_is_scheduled():
    model = Sequential([Embedding(9, UNITS, rate=0.2), Flatten(), Dense(CLASSES)])
    words = np.random.default_rng(0).integers(0, 9, (64, 5))
    fit(model, (words, sequences()[1]), RateSchedule(lambda step: 0.5), epochs=1)
    assert model.layers[0].dropout.rate == 0.5
