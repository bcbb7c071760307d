"""Words of other libraries are taken where they mean one thing, and else name ours."""

import functools
import inspect

import numpy as np
import pytest

from cydropout import Trainer, layers
from cydropout._words import ARGUMENTS, MODELS
from cydropout.training import callbacks, losses, optimizers, schedules

X = np.random.default_rng(0).standard_normal((32, 4)).astype("float32")
BASES = (layers.Layer, callbacks.Callback, losses.Loss, optimizers.Optimizer, schedules.Schedule)
KINDS = [
    kind for package in (layers, callbacks, losses, optimizers, schedules)
    for kind in vars(package).values() if isinstance(kind, type) and issubclass(kind, BASES)
]


@pytest.mark.parametrize("kind", dict.fromkeys(KINDS), ids=lambda kind: kind.__name__)
def test_foreign_arguments_name_ours(kind):

    if kind in (layers.Sequential, layers.TransformerBlock, layers.Flatten, layers.Activation):
        pytest.skip("has an __init__ of its own")
    for word in ARGUMENTS.keys() - inspect.signature(kind).parameters.keys():
        with pytest.raises(TypeError, match=f"{kind.__name__} has no argument '{word}'; "):
            kind(**{word: 0.5})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.Dropout(p=0.5), "'p'; here it is rate"),
        (lambda: optimizers.Adam(lr=0.1), "'lr'; here it is learning_rate"),
        (lambda: layers.Dense(3, input_dim=4), "'input_dim'; leave it out: build"),
        (lambda: callbacks.EarlyStopping(restore_best_weights=True), "here it is restore_best"),
    ],
)
def test_the_commonest(make, words):
    with pytest.raises(TypeError, match=words):
        make()


@pytest.mark.parametrize("kind", [losses.MeanSquaredError, callbacks.Callback, schedules.Schedule])
def test_what_takes_no_arguments_still_takes_none(kind):
    assert not inspect.signature(kind).parameters and kind()
    for call in (lambda: kind(3), lambda: kind(rate=3)):
        with pytest.raises(TypeError, match=rf"{kind.__name__}\(\) takes no arguments"):
            call()


def test_a_subclass_may_have_the_word_itself():
    class Mine(callbacks.Callback):
        def __init__(self, lr):
            self.lr = lr

    assert Mine(lr=3).lr == 3


@pytest.mark.parametrize("kind", [*optimizers.NAMES.values()])
def test_a_foreign_attribute_is_refused(kind):
    made = kind()
    with pytest.raises(AttributeError, match=f"{kind.__name__} has no lr; use learning_rate"):
        made.lr = 0.1
    assert not hasattr(made, "lr")


@pytest.mark.parametrize("name", ["mse", "MSE", "Mean_Squared_Error"])
def test_names_that_mean_one_thing_are_taken(name):
    assert isinstance(losses.get(name), losses.MeanSquaredError)
    assert isinstance(optimizers.get("Adam"), optimizers.Adam)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("categorical_crossentropy", "softmax_cross_entropy"),
        ("sparse_categorical_crossentropy", "softmax_cross_entropy"),
        ("cross_entropy", "softmax_cross_entropy"),
        ("binary_crossentropy", "binary_cross_entropy"),
        ("nll_loss", "negative_log_likelihood"),
        ("mean_squared_eror", "mean_squared_error"),
    ],
)
def test_names_that_do_not_are_refused_with_ours(name, ours):
    with pytest.raises(ValueError, match=f"loss '{name}' is unknown.*did you mean '{ours}'"):
        losses.get(name)


def test_other_names_are_refused_with_ours():
    with pytest.raises(ValueError, match="activation 'ReLU' is unknown.*did you mean 'relu'"):
        layers.Dense(3, activation="ReLU")
    with pytest.raises(ValueError, match="optimizer 'adm' is unknown.*did you mean 'adam'"):
        optimizers.get("adm")
    for get, kind in ((losses.get, losses.MeanSquaredError), (optimizers.get, optimizers.Adam)):
        with pytest.raises(TypeError, match=rf"class {kind.__name__}; make one of it"):
            get(kind)


@pytest.mark.parametrize(
    ("monitor", "held", "words"),
    [
        ("val_acc", True, r"\['loss', 'accuracy', .*did you mean 'val_accuracy'\?"),
        ("acc", False, r"did you mean 'accuracy'\?"),
        ("val_acc", False, "pass validation_data to fit"),
        ("val_los", True, r"did you mean 'val_loss'\?"),
    ],
)
def test_early_stopping_names_the_metric_that_was_meant(monitor, held, words):
    y = (X[:, 0] > 0).astype(int)
    trainer = Trainer(layers.Dense(2), "softmax_cross_entropy", "sgd", rng=0)
    with pytest.raises(ValueError, match=words):
        trainer.fit(X, y, epochs=1, validation_data=(X, y) if held else None, progress=False,
                    callbacks=callbacks.EarlyStopping(monitor))


def squared(prediction, target, factor=1):
    difference = prediction - target
    return factor * (difference**2).mean(), factor * 2 * difference / difference.size


@pytest.mark.parametrize("loss", [squared, functools.partial(squared, factor=1)])
def test_a_function_is_a_loss(loss):
    found = []
    for each in (loss, "mean_squared_error"):
        trainer = Trainer(layers.Dense(1), each, "sgd", rng=0)
        trainer.fit(X, X[:, :1], epochs=2, progress=False)
        found.append(trainer.predict(X))
    np.testing.assert_allclose(*found, rtol=1e-6)


@pytest.mark.parametrize("wrong", [
    lambda p, t: 1.0, lambda p, t: (1.0, p[:1]), lambda p, t: (p, p), lambda p, t: None,
])
def test_a_function_that_is_no_loss_is_named(wrong):
    trainer = Trainer(layers.Dense(1), wrong, "sgd", rng=0)
    with pytest.raises(TypeError, match=r"FunctionLoss\(<lambda>\) must return \(value, grad"):
        trainer.fit(X, X[:, :1], epochs=1, progress=False)
    assert trainer.optimizer.steps == 0


def made(kind):
    """Return an object of a class, with whatever it needs."""
    needed = {
        layers.Residual: lambda: layers.Residual(layers.Dense(4)),
        layers.LayerDrop: lambda: layers.LayerDrop(layers.Dense(4), 0.5),
        layers.WeightDropout: lambda: layers.WeightDropout(layers.Dense(4), 0.5),
        layers.Sequential: lambda: layers.Sequential([]),
        callbacks.DeadUnits: lambda: callbacks.DeadUnits(X),
        layers.ConcreteDropout: lambda: layers.ConcreteDropout(layers.Dense(4), 0.5),
        layers.DropConnect: lambda: layers.DropConnect(4, 0.5),
        layers.FeatureDropout: lambda: layers.FeatureDropout(0.5),
        layers.CutoutDropout: lambda: layers.CutoutDropout(size=2),
        schedules.Curriculum: lambda: schedules.Curriculum(0.5, 0.1),
        schedules.Step: lambda: schedules.Step(0.5, 0.1, 2),
        schedules.WarmUp: lambda: schedules.WarmUp(2, schedules.Constant(0.5)),
    }
    if kind in needed:
        return needed[kind]()
    wanted = [one for one in inspect.signature(kind).parameters.values()
              if one.default is one.empty and one.kind is not one.VAR_KEYWORD]
    for value in (0.5, 2, np.abs, "./runs", (2, 3)):
        try:
            return kind(*[value] * len(wanted))
        except (TypeError, ValueError):
            continue
    raise AssertionError(f"{kind.__name__} needs a row here")


@pytest.mark.parametrize("kind", dict.fromkeys(KINDS), ids=lambda kind: kind.__name__)
def test_unknown_attributes_are_refused(kind):
    if kind is layers.Activation:
        pytest.skip("the base of others alone")
    one = made(kind)
    before = dict(vars(one))
    for name in ("no_such_setting", "lr", "p"):
        words = f"{kind.__name__} has no (attribute )?'?{name}|cannot assign to field '{name}'"
        with pytest.raises(AttributeError, match=words):
            setattr(one, name, 0.5)
    assert vars(one) == before
    if issubclass(kind, schedules.Schedule):
        return  # they are frozen
    other = object.__new__(type("Own", (kind,), {}))
    vars(other).update(vars(one))
    other.no_such_setting = 3
    assert other.no_such_setting == 3


def test_what_is_set_in_vain_elsewhere_says_so():
    trainer = Trainer(layers.Dense(2), "softmax_cross_entropy", "adam", rng=0)
    with pytest.raises(AttributeError, match="Trainer has no attribute 'clipnorm'; .*'clip_norm'"):
        trainer.clipnorm = 1.0
    with pytest.raises(AttributeError, match="Dropout has no attribute 'p'; did you mean 'rate'"):
        layers.Dropout(0.5).p = 0.1
    with pytest.raises(AttributeError, match="Adam has no attribute 'momentum'"):
        optimizers.Adam().momentum = 0.9
    model = layers.Sequential([layers.Dense(2)])
    model.head = layers.Dense(3)  # a layer is taken under any name
    assert model.head in model.walk()


@pytest.mark.parametrize("word", MODELS)
def test_methods_of_other_models_name_ours(word):
    model = layers.Sequential([layers.Dense(2)])
    with pytest.raises(AttributeError, match=f"Sequential has no '{word}': .{{10}}"):
        getattr(model, word)
    assert not hasattr(model, word)


def test_a_model_has_places():
    first, drop, last = layers.Dense(3), layers.Dropout(0.5), layers.Dense(2)
    model = layers.Sequential([first, drop, last])
    assert len(model) == 3 and model[0] is first and model[-1] is last and [*model][1] is drop
    model.build((4,), rng=0)
    head, tail = model[:2], model[2:]
    assert head[1] is drop and tail.is_built and tail.output_shape((3,)) == (2,)
    np.testing.assert_array_equal(tail(head(X)), model(X))
    assert len(model[:0]) == 0 and model[:0]
    assert next(iter(model.state_dict())) == "0.dense.weight"
    with pytest.raises(ValueError, match="has the step 1, not 2"):
        model[::2]
    with pytest.raises(IndexError):
        model[3]


def test_an_activation_is_made_by_its_own_name():
    with pytest.raises(TypeError, match=r"use one of them, as in ReLU\(\)"):
        layers.Activation("relu")
