"""Groups of parameters with settings of their own: each group steps as an optimizer of its own."""

import copy
import pickle

import numpy as np
import pytest
from optimizer_reference import CASES, IN_TORCH, OPTIMIZERS
from training_cases import CLASSES, assert_same_bits, network, state, without_seconds

from cydropout import Trainer
from cydropout.layers import BatchNorm, BatchwiseDropout, Dense, Dropout, Parameter, Sequential
from cydropout.training.callbacks import LearningRateSchedule
from cydropout.training.checkpoint import load_checkpoint
from cydropout.training.optimizers import SGD, Adam, AdamW, RMSprop
from cydropout.training.schedules import Cosine

SHAPES = {"0.dense.weight": (7, 5), "0.dense.bias": (5,), "1.norm.weight": (5,),
          "2.dense.weight": (5, 3), "2.dense.bias": (3,)}
#: For each optimizer other settings, and what PyTorch calls them.
OWN = {name: {"learning_rate": 0.002} for name in OPTIMIZERS} | {
    "sgd-decay": {"weight_decay": 0.0}, "momentum": {"learning_rate": 0.01, "momentum": 0.5},
    "nesterov": {"momentum": 0.4}, "adam-settings": {"beta1": 0.8, "epsilon": 1e-2},
    "adamw": {"weight_decay": 0.0}, "rmsprop-settings": {"rho": 0.7},
}
THEIRS = {"learning_rate": "lr", "epsilon": "eps", "rho": "alpha"}


def vector(name, parameter):
    return parameter.value.ndim < 2


def parameters(dtype="float64"):
    rng = np.random.default_rng(0)
    return {name: Parameter(rng.standard_normal(shape).astype(dtype), name)
            for name, shape in SHAPES.items()}


def advance(optimizer, params, steps, **options):
    for step in steps:
        rng = np.random.default_rng([1, step])
        for parameter in params.values():
            parameter.zero_grad()
            parameter.accumulate(
                rng.standard_normal(parameter.value.shape).astype(parameter.value.dtype))
        optimizer.step(params, **options)


def with_groups(name, groups):
    plain = OPTIMIZERS[name]()
    settings = {k: v for k, v in plain.get_config().items()}
    return type(plain)(**settings, groups=groups)


def values(params):
    return {name: one.value for name, one in params.items()}


@pytest.mark.parametrize("pattern", ["*bias", "0.*", vector])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_group_steps_as_an_optimizer_of_its_own(name, pattern):
    params = parameters("float32")
    inside = {key for key, one in params.items()
              if (vector(key, one) if pattern is vector else
                  key.endswith("bias") if pattern == "*bias" else key.startswith("0."))}
    advance(with_groups(name, {pattern: OWN[name]}), params, range(5))
    for chosen, optimizer in (
        (inside, type(OPTIMIZERS[name]())(**OPTIMIZERS[name]().get_config() | OWN[name])),
        (params.keys() - inside, OPTIMIZERS[name]()),
    ):
        alone = parameters("float32")
        advance(optimizer, alone, range(5))
        assert_same_bits({key: alone[key].value for key in chosen},
                         {key: params[key].value for key in chosen})


@pytest.mark.parametrize("name", IN_TORCH)
def test_they_are_the_groups_of_pytorch(name):
    torch = pytest.importorskip("torch")
    _, _, kind, settings = CASES[name]
    own = {THEIRS.get(key, key): value for key, value in OWN[name].items()}
    if "beta1" in own:
        own["betas"] = (own.pop("beta1"), 0.9)
    params = parameters()
    tensors = {key: torch.nn.Parameter(torch.tensor(one.value)) for key, one in params.items()}
    apart = [one for key, one in tensors.items() if key.endswith("bias")]
    rest = [one for key, one in tensors.items() if not key.endswith("bias")]
    theirs = getattr(torch.optim, kind)([{"params": apart, **own}, {"params": rest}], **settings)
    optimizer = with_groups(name, {"*bias": OWN[name]})
    for step in range(20):
        advance(optimizer, params, [step])
        for key, tensor in tensors.items():
            tensor.grad = torch.tensor(params[key].grad)
        theirs.step()
    for key, tensor in tensors.items():
        np.testing.assert_allclose(params[key].value, tensor.detach().numpy(), rtol=1e-11)


def test_the_first_group_that_fits_counts():
    params = parameters()
    before = {key: one.value.copy() for key, one in params.items()}
    advance(SGD(0.1, groups={"0.dense.bias": {"learning_rate": 0.0},
                             "*bias": {"learning_rate": 0.2}}), params, [0])
    for key, one in params.items():
        rate = {"0.dense.bias": 0.0, "2.dense.bias": 0.2}.get(key, 0.1)
        np.testing.assert_allclose(one.value, before[key] - rate * one.grad, rtol=1e-12)


def test_a_rate_of_a_group_changes_in_proportion():
    optimizer, params = SGD(0.1, groups={"*bias": {"learning_rate": 0.3}}), parameters()
    advance(optimizer, params, [0])
    optimizer.learning_rate = 0.05
    before = {key: one.value.copy() for key, one in params.items()}
    advance(optimizer, params, [1])
    for key, one in params.items():
        rate = 0.15 if key.endswith("bias") else 0.05
        np.testing.assert_allclose(one.value, before[key] - rate * one.grad, rtol=1e-12)


def test_what_is_set_again_for_all_holds_in_the_groups_too():
    optimizer, params = AdamW(0.1, groups={"*bias": {"beta1": 0.5}}), parameters()
    optimizer.weight_decay = 0.5
    other, wanted = AdamW(0.1, beta1=0.5, weight_decay=0.5), parameters()
    advance(optimizer, params, range(3))
    advance(other, wanted, range(3))
    assert_same_bits({"b": params["0.dense.bias"].value}, {"b": wanted["0.dense.bias"].value})


def test_groups_may_be_set_again():
    optimizer, params = SGD(0.1, groups={"*bias": {"learning_rate": 0.0}}), parameters()
    advance(optimizer, params, [0])
    optimizer.groups = ()
    other, wanted = SGD(0.1), copy.deepcopy(params)
    advance(optimizer, params, [1])
    advance(other, wanted, [1])
    assert_same_bits(values(params), values(wanted))
    with pytest.raises(ValueError, match="sets"):
        optimizer.groups = {"*bias": {"lr": 0.1}}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("how", ["state", "pickle", "copy"])
def test_a_state_goes_on_to_the_bit(name, how):
    groups = {"*bias": OWN[name]}
    whole, params = with_groups(name, groups), parameters("float32")
    whole.learning_rate = 0.03
    advance(whole, params, range(3))
    if how == "state":
        other = with_groups(name, groups)
        other.load_state_dict(whole.state_dict())
        resumed = copy.deepcopy(params)
    elif how == "pickle":
        other, resumed = pickle.loads(pickle.dumps((whole, params)))
    else:
        other, resumed = copy.deepcopy((whole, params))
    advance(whole, params, range(3, 6))
    advance(other, resumed, range(3, 6))
    assert_same_bits(values(params), values(resumed))


def test_a_state_of_other_groups_is_refused():
    groups = {"*bias": {"learning_rate": 0.1}, vector: {"learning_rate": 0.2}}
    optimizer, params = Adam(groups=groups), parameters()
    advance(optimizer, params, [0])
    for other in (Adam(), Adam(0.1, groups=groups), Adam(groups={"*": {"beta1": 0.5}})):
        with pytest.raises(ValueError, match="has the groups"):
            other.load_state_dict(optimizer.state_dict())
        assert other.steps == 0
    plain = Adam()
    with pytest.raises(ValueError, match="has the groups None"):
        optimizer.load_state_dict(plain.state_dict())


@pytest.mark.parametrize(
    ("groups", "error", "words"),
    [
        ({"*": {"lr": 0.1}}, ValueError, r"groups of SGD: '\*' sets \['lr'\]; there are learning_"),
        ({"*": {}}, ValueError, "sets nothing"),
        ({"*": {"groups": {}}}, ValueError, "sets"),
        ({"*": {"learning_rate": -1}}, ValueError, "learning_rate of SGD .*-1"),
        ({"*": {"momentum": 0.5}}, ValueError, "keeps the arrays .'velocity'.*momentum"),
        ({"*": {"nesterov": True}}, ValueError, "nesterov=True needs momentum"),
        ({"*": 0.1}, TypeError, "groups must be a mapping of patterns"),
        ({3: {"learning_rate": 0.1}}, TypeError, "groups must be a mapping"),
        (["*bias"], TypeError, "groups must be a mapping"),
        ("*bias", TypeError, "groups must be a mapping.*'.bias'"),
    ],
)
def test_errors(groups, error, words):
    with pytest.raises(error, match=words):
        SGD(0.1, groups=groups)


def test_a_rate_in_proportion_to_nothing_is_refused():
    with pytest.raises(ValueError, match="begin with one above 0"):
        SGD(0.0, groups={"*": {"learning_rate": 0.1}})


def test_a_group_that_nothing_fits_is_named_before_the_first_step(data):
    t = Trainer(network(), "softmax_cross_entropy", SGD(0.1, groups={
        "*biass": {"learning_rate": 0.2}}), rng=0)
    with pytest.raises(ValueError, match=r"no parameter fits '\*biass'; there are 0.dense.weight"):
        t.fit(*data, epochs=1, progress=False)
    assert t.optimizer.steps == 0 and not t.history.records


def test_a_group_of_frozen_parameters_is_no_error_and_steps_nothing(data):
    model = network()
    model.layers[0].freeze()
    t = Trainer(model, "softmax_cross_entropy", SGD(0.1, groups={
        "0.*": {"learning_rate": 0.2}}), rng=0)
    t.fit(*data, epochs=1, progress=False)
    frozen = model.layers[0].parameters()[0].value.copy()
    t.fit(*data, epochs=1, progress=False)
    assert_same_bits({"w": frozen}, {"w": model.layers[0].parameters()[0].value})
    model.layers[0].unfreeze()
    t.fit(*data, epochs=1, progress=False)
    assert not np.array_equal(frozen, model.layers[0].parameters()[0].value)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("kind", [SGD, RMSprop])
def test_a_group_of_all_is_no_group_with_submatrices_too(data, kind, lazy):
    found = []
    for groups in ((), {"*": {"learning_rate": 0.05}}):
        model = Sequential([BatchwiseDropout(0.5, lazy=lazy), Dense(16, activation="relu"),
                            BatchwiseDropout(0.5, lazy=lazy), Dense(CLASSES, max_norm=1.0)])
        t = Trainer(model, "softmax_cross_entropy", kind(0.05, groups=groups), rng=0)
        t.fit(*data, epochs=2, progress=False)
        found.append(model.state_dict())
    assert_same_bits(*found)


def test_no_decay_of_biases_and_norms(data):
    rests = {"*bias": {"weight_decay": 0.0}, "*norm*": {"weight_decay": 0.0}}
    found = []
    for groups in (rests, {}):
        model = Sequential([Dense(8), BatchNorm(), Dropout(0.5), Dense(CLASSES)])
        t = Trainer(model, "softmax_cross_entropy",
                    AdamW(0.01, weight_decay=10.0, groups=groups), rng=0)
        t.fit(*data, epochs=3, progress=False)
        found.append({name: np.abs(one.value).mean() for name, one in model.named_parameters()})
    assert found[0]["1.batchnorm.weight"] > 0.7 > 0.4 > found[1]["1.batchnorm.weight"]
    assert found[0]["0.dense.weight"] < 0.3


def test_a_resumed_run_ends_the_same_and_compares_the_groups(data, tmp_path):
    def fit(epochs, groups=(("*bias", {"learning_rate": 0.3}),), **options):
        t = Trainer(network(), "softmax_cross_entropy",
                    SGD(0.1, momentum=0.9, groups=groups), rng=0)
        history = t.fit(*data, epochs=epochs, progress=False, callbacks=LearningRateSchedule(
            Cosine(0.1, 0.01, 60), per="step"), **options)
        return t, history

    path = tmp_path / "run"
    whole, history = fit(4)
    fit(2, checkpoint=path)
    saved = load_checkpoint(path)
    assert saved["settings"]["optimizer"]["groups"] == [["*bias", {"learning_rate": 0.3}]]
    with pytest.raises(ValueError, match=r"optimizer\.groups\.0\.1\.learning_rate was 0\.3"):
        fit(4, {"*bias": {"learning_rate": 0.2}}, checkpoint=path, resume=True)
    resumed, again = fit(4, checkpoint=path, resume=True)
    first, second = state(whole), state(resumed)
    assert_same_bits({k: v for k, v in first.items() if k != "groups"},
                     {k: v for k, v in second.items() if k != "groups"})
    assert without_seconds(history) == without_seconds(again)
    allowed, _ = fit(5, {"*bias": {"learning_rate": 0.2}}, checkpoint=path, resume=True,
                     override={"groups"})
    assert allowed.optimizer.groups == (("*bias", {"learning_rate": 0.2}),)


def test_the_config_names_them_and_makes_them_again():
    groups = {"*bias": {"weight_decay": 0.0}, vector: {"weight_decay": 1}}
    optimizer = AdamW(0.1, groups=groups)
    config = optimizer.get_config()
    assert config["groups"] == [["*bias", {"weight_decay": 0.0}], [vector, {"weight_decay": 1.0}]]
    assert AdamW(**config).get_config() == config
    assert "groups" not in AdamW().get_config() and "groups" not in repr(AdamW())
