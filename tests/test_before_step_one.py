"""What does not fit is said before the first step, by its name and with what to do."""

import numpy as np
import pytest

from cydropout import Trainer, predict_mc
from cydropout.layers import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Residual,
    Sequential,
    Sigmoid,
)
from cydropout.training import callbacks, losses
from cydropout.training.callbacks import dead_units

RNG = np.random.default_rng(0)
X = RNG.standard_normal((64, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


def net(outputs=2):
    return Sequential([Dense(8, activation="relu"), Dropout(0.5), Dense(outputs)])


class Steps(callbacks.Callback):
    """Count what was begun."""

    begun = 0

    def on_batch_begin(self, trainer, epoch, step):
        self.begun += 1


def refused(error, words, x=X, y=Y, model=None, loss="softmax_cross_entropy", **options):
    """Fit, and see that it ends before a step, with this error."""
    steps, options = Steps(), {"callbacks": [], "epochs": 1, "batch_size": 8} | options
    trainer = Trainer(model or net(), loss, "adam", rng=0)
    if isinstance(options["callbacks"], list):
        options["callbacks"] = [*options["callbacks"], steps]
    with pytest.raises(error, match=words):
        trainer.fit(x, y, progress=False, **options)
    assert steps.begun == trainer.optimizer.steps == trainer.stream.next_draw == 0


# ---------------------------------------------------------------- validation data


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        ({"x": X, "y": Y}, TypeError, "validation_data: .*dict"),
        ((X, Y, Y, Y, Y), TypeError, "pair.*ndarray"),
        ((X, Y, None, Y), ValueError, "validation_data: lengths"),
        ((X, Y, -Y), ValueError, "validation_data: sample_weight .* got -1 at position 0"),
        (X, TypeError, "validation_data: .*ndarray"),
        ("x.csv", TypeError, "validation_data: .*str"),
        (0.2, TypeError, "validation_data: .*float"),
        ((X[:, :3], Y), ValueError, "validation_data: 0.dense has 6 input features, got 3"),
        ((X, Y + 5), ValueError, "validation_data: label 6 at position 0 .* 2 classes"),
        ((X, Y + 0.5), TypeError, "validation_data: labels must be integers.*float64.*int64"),
        ((X, Y[:, None]), ValueError, r"validation_data: .*y\[\.\.\., 0\]"),
        ((X.astype(int), Y), TypeError, "validation_data: .*int64"),
        ((X, None), ValueError, "validation_data"),
        ([(X[:8, :3], Y[:8])], ValueError, "validation_data: 0.dense has 6"),
        (lambda rng: iter([(X, Y + 5)]), ValueError, "validation_data: label 6"),
        ([], ValueError, "validation_data: there must be at least one batch"),
        (lambda rng: iter([]), ValueError, "validation_data: there must be at least one batch"),
    ],
)
def test_validation_data_are_checked(data, error, words):
    refused(error, words, validation_data=data)


def test_a_pair_may_be_a_list_and_an_iterator_is_not_lost():
    found = []
    for data in ((X, Y), [X, Y], iter([(X, Y)]), lambda rng: iter([(X, Y)])):
        trainer = Trainer(net(), "softmax_cross_entropy", "adam", rng=0)
        found.append(trainer.fit(X, Y, epochs=1, validation_data=data, progress=False)["val_loss"])
    assert found[0] == found[1] == found[2] == found[3]


# ---------------------------------------------------------------- targets


def changed(targets, value, place=37):
    targets = np.array(targets)
    targets[place] = value
    return targets


BAD_TARGETS = {
    "softmax_cross_entropy": (net, changed(Y, 9), "label 9 at position 37 .* 2 classes"),
    "negative_log_likelihood": (net, changed(Y, -1), "label -1 at position 37"),
    "r_drop": (net, changed(Y, 2), "label 2 at position 37"),
    "binary_cross_entropy": (
        lambda: net(1), changed(Y * 1.0, 1.5), "between 0 and 1, got 1.5 at position 37"
    ),
    "mean_squared_error": (
        lambda: net(1), changed(Y * 1.0, np.nan), "finite, got nan at position 37"
    ),
}


@pytest.mark.parametrize("loss", losses.NAMES)
def test_a_bad_target_is_named_by_its_true_place(loss):
    model, y, words = BAD_TARGETS[loss]
    refused(ValueError, words, y=y, model=model(), loss=loss)
    many = np.concatenate([np.full(5000, y[0]), y])
    words = words.replace("37", "5037")
    x = np.ones((len(many), 6), "float32")
    refused(ValueError, words, x=x, y=many, model=model(), loss=loss)
    with pytest.raises(ValueError, match=words):
        Trainer(model(), loss, "sgd", rng=0).evaluate(x, many)


def test_other_bad_targets_are_named_too():
    one_hot = np.eye(2)[Y]
    refused(ValueError, "row 37 sums to 0", y=changed(one_hot, 0))
    positions = np.stack([Y, Y], axis=1)
    model = Sequential([Dense(2)])
    refused(ValueError, r"label 7 at position \(37, 1\)", x=np.stack([X, X], axis=1), model=model,
            y=changed(positions, 7, (37, 1)))
    refused(ValueError, "shape .* do not fit", y=Y, model=net(3), loss="mean_squared_error")


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (Y > 0, r"bool; .*y\.astype\('int64'\)"),
        (Y * 1.0, r"float64; .*y\.astype\('int64'\)"),
        (Y.astype(str), "np.unique"),
        (Y.astype(object), "np.unique"),
    ],
    ids=["bool", "float", "str", "object"],
)
def test_labels_of_other_dtypes_are_refused_with_what_mends_it(y, words):
    refused(TypeError, f"labels must be integers.*{words}", y=y)


def test_a_layer_that_says_no_output_shape_and_a_loss_of_the_user_are_not_in_the_way():
    class Halves(Layer):
        def forward(self, x, ctx):
            return x[:, ::2], lambda dy: np.repeat(dy, 2, axis=1)

    class Hinge(losses.MeanSquaredError):
        def value_and_gradient(self, prediction, target):
            return super().value_and_gradient(prediction, 2.0 * target[:, None] - 1)

    model = Sequential([Dense(4), Halves()])
    Trainer(model, "softmax_cross_entropy", "sgd", rng=0).fit(X, Y, epochs=1, progress=False)
    refused(ValueError, "label 9 at position 37 .* 2 classes", model=model, y=changed(Y, 9))
    Trainer(net(1), Hinge(), "sgd", rng=0).fit(X, Y, epochs=1, progress=False)


@pytest.mark.parametrize("last", [
    [Dense(1, activation="sigmoid")], [Dense(1), Sigmoid()],
    [Sequential([Dense(1), Sigmoid()])],
])
def test_a_sigmoid_before_a_loss_of_logits_is_refused(last):
    y = Y.astype("float32")
    model = Sequential([Dense(4), *last])
    loss = losses.BinaryCrossEntropy(from_logits=False)
    refused(ValueError, r"ends with a sigmoid.*from_logits=False", y=y, model=model,
            loss="binary_cross_entropy")
    Trainer(model, loss, "sgd", rng=0).fit(X, y, epochs=1, progress=False)


# ---------------------------------------------------------------- batches that are too small


class Pairs(Layer):
    """A layer of the user that compares two samples."""

    least_samples = 2

    def forward(self, x, ctx):
        return x, lambda dy: dy


@pytest.mark.parametrize("layers", [
    lambda: [Dense(4), BatchNorm(), Dense(2)],
    lambda: [Dense(4), Residual(Dense(4), BatchNorm()), Dense(2)],
    lambda: [Pairs(), Dense(2)],
])
def test_a_last_batch_that_is_too_small_is_said_and_may_be_dropped(layers):
    refused(ValueError, "needs 2 samples.*last batch has 1.*drop_last=True",
            model=Sequential(layers()), batch_size=63)
    trainer = Trainer(Sequential(layers()), "softmax_cross_entropy", "sgd", rng=0)
    trainer.fit(X, Y, epochs=2, batch_size=63, drop_last=True, progress=False)
    assert trainer.optimizer.steps == 2


def test_maps_have_rows_enough():
    maps = RNG.random((5, 3, 4, 4), "float32")
    model = Sequential([Conv2D(4, 3), BatchNorm(), Flatten(), Dense(2)])
    trainer = Trainer(model, "softmax_cross_entropy", "sgd", rng=0)
    trainer.fit(maps, Y[:5], epochs=1, batch_size=4, progress=False)


def test_what_drop_last_leaves_out():
    seen = []

    class Seen(Layer):
        def forward(self, x, ctx):
            seen.append(len(x))
            return x, lambda dy: dy

    model = Sequential([Seen(), Dense(2)])
    trainer = Trainer(model, "softmax_cross_entropy", "sgd", rng=0)
    for shuffle in (True, False):
        trainer.fit(X, Y, epochs=1, batch_size=30, drop_last=True, shuffle=shuffle, progress=False)
    assert seen == [30, 30] * 2
    refused(ValueError, "leaves no batch: batch_size is 100.*64 samples",
            drop_last=True, batch_size=100)
    refused(ValueError, "drop_last.*of your own", x=[(X, Y)], y=None, drop_last=True)
    refused(TypeError, "drop_last must be True or False, not the int 1", drop_last=1)


def test_one_sample_is_no_batch():
    trainer = Trainer(net(), "softmax_cross_entropy", "adam", rng=0)
    trainer.fit(X, Y, epochs=1, progress=False)
    with pytest.raises(ValueError, match=r"batch, of shape \(n, 6\).*x\[None\]"):
        trainer.predict(X[0])
    for call in (predict_mc, dead_units):
        with pytest.raises(ValueError, match=r"batch, of shape \(n, 6\).*x\[None\]"):
            call(trainer.model, X[0])
    refused(ValueError, r"samples of shape \(\); of one sample make x\[None\]", x=X[:, 0])


IMAGES = RNG.random((9, 16, 16, 3), "float32")


def test_images_with_their_channels_last_are_said():
    def model(**options):
        return Sequential([Conv2D(4, 3, **options), Flatten(), Dense(2)])

    with pytest.warns(UserWarning, match="0.conv2d takes 16 channels of 16 x 3.*channels_last"):
        Trainer(model(), "softmax_cross_entropy", "sgd", rng=0).predict(IMAGES)
    for one, x in ((model(data_format="channels_last"), IMAGES),
                   (model(), IMAGES.transpose(0, 3, 1, 2)), (model(), np.ones((2, 64, 4, 4)))):
        Trainer(one, "softmax_cross_entropy", "sgd", rng=0).predict(x)
    refused(ValueError, r"the input has shape \(n, 16, 16\); of one channel make x\[:, None\]",
            x=IMAGES[..., 0], y=Y[:9], model=model())


# ---------------------------------------------------------------- models and callbacks


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([callbacks.EarlyStopping], r"callbacks\[0\].*make one of it, with EarlyStopping\(\.\."),
        (callbacks.EarlyStopping, "make one of it"),
        ("early", "callbacks must be a list of Callback, not the str 'early'"),
        (["early"], r"callbacks\[0\] must be a Callback, not the str 'early'"),
        ([None], r"callbacks\[0\] must be a Callback, not None"),
        (3, "not the int 3"),
    ],
)
def test_what_is_no_callback_is_refused(given, words):
    refused(TypeError, words, callbacks=given)


def test_one_callback_none_or_a_function_will_do():
    one = Steps()
    trainer = Trainer(net(), "softmax_cross_entropy", "adam", rng=0)
    trainer.fit(X, Y, epochs=1, callbacks=one, progress=False)
    trainer.fit(X, Y, epochs=1, callbacks=None, progress=False)
    assert one.begun == 2

    def note(trainer, epoch, record):
        record["steps"] = trainer.optimizer.steps

    for given in (note, [note]):
        trainer.reset()
        history = trainer.fit(X, Y, epochs=2, callbacks=given, progress=False)
        assert np.diff(history["steps"]).tolist() == [2] and history["epoch"] == [1, 2]


def test_a_state_that_cannot_be_saved_is_said_at_once(tmp_path):
    class Bad(callbacks.Callback):
        def state_dict(self):
            return {"file": object()}

    refused(TypeError, "object at 'the state of Bad/file'", callbacks=[Bad()],
            checkpoint=tmp_path / "run")
    assert not [*tmp_path.iterdir()]


# ---------------------------------------------------------------- calls that follow each other


def orders(trainer, seen, epochs, **options):
    """Return the order of the samples in each epoch of a fit."""
    seen.clear()
    trainer.fit(X, Y, epochs=epochs, batch_size=64, progress=False, **options)
    return [batch[:, 0].tolist() for batch in seen]


def test_the_epochs_go_on_over_calls_and_reset_begins_anew(tmp_path):
    seen = []

    class Seen(Layer):
        def forward(self, x, ctx):
            seen.append(x.copy())
            return x, lambda dy: dy

    def make():
        return Trainer(Sequential([Seen(), Dense(2)]), "softmax_cross_entropy", "sgd", rng=0)

    whole = orders(make(), seen, 3)
    trainer = make()
    found = [order for _ in range(3) for order in orders(trainer, seen, 1)]
    assert found == whole and len(set(map(tuple, found))) == 3
    assert trainer.epoch == 3
    trainer.reset()
    assert orders(trainer, seen, 2) == whole[:2] and trainer.epoch == 2
    history = trainer.fit(X, Y, epochs=2, progress=False)
    assert history["epoch"] == [3, 4]

    class Stop(callbacks.Callback):
        def on_epoch_begin(self, trainer, epoch):
            if epoch == self.at:
                raise KeyboardInterrupt

    def second(trainer, at, **options):
        stop = Stop()
        stop.at = at
        return trainer.fit(X, Y, epochs=3, progress=False, callbacks=stop, **options)

    straight, stopped, fresh = make(), make(), make()
    for one in (straight, stopped):
        one.fit(X, Y, epochs=2, progress=False)
    second(straight, None)
    with pytest.raises(KeyboardInterrupt):
        second(stopped, 4, checkpoint=tmp_path / "run")
    assert stopped.epoch == 3
    second(fresh, None, checkpoint=tmp_path / "run", resume=True)
    assert fresh.epoch == straight.epoch == 5
    for name, value in straight.model.state_dict().items():
        np.testing.assert_array_equal(value, fresh.model.state_dict()[name])
