"""Gradients clipped by value and by norm: the formula, the order, and a run that needs it."""

import numpy as np
import pytest
from training_cases import assert_same_bits, network, state, trainer

from cydropout import Trainer
from cydropout.layers._layer import Parameter
from cydropout.training.callbacks import Callback
from cydropout.training.clipping import clip_gradients, gradient_norm
from cydropout.training.optimizers import SGD


def parameters(dtype="float64", scale=1.0):
    rng = np.random.default_rng(0)
    made = []
    for place, shape in enumerate([(7, 5), (5,), (), (0, 3)]):
        parameter = Parameter(np.zeros(shape, dtype), f"p{place}")
        parameter.grad = np.asarray(scale * rng.standard_normal(shape), dtype)
        made.append(parameter)
    return made


def flat(made):
    return np.concatenate([p.grad.ravel().astype("float64") for p in made])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("norm", "value"), [(0.5, None), (None, 0.3), (0.5, 0.3), (1e9, 1e9)])
def test_formula(dtype, norm, value):
    made = parameters(dtype)
    g = flat(made)
    if value is not None:
        g = np.clip(g, -value, value)
    if norm is not None:
        g = g * min(1.0, norm / np.sqrt((g**2).sum()))
    clip_gradients(made, norm=norm, value=value)
    np.testing.assert_allclose(flat(made), g, rtol=1e-6 if dtype == "float32" else 1e-14)
    assert all(p.grad.dtype == dtype for p in made)


def test_a_short_gradient_keeps_its_bits():
    made = parameters("float32")
    before = flat(made)
    clip_gradients(made, norm=gradient_norm(made), value=float(np.abs(before).max()))
    np.testing.assert_array_equal(flat(made), before)


def test_large_float32_gradients_have_a_norm():
    made = parameters("float32", 1e30)
    clip_gradients(made, norm=2.0)
    assert gradient_norm(made) == pytest.approx(2.0, rel=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_norm_that_is_not_finite_scales_nothing(bad):
    made = parameters()
    made[0].grad[0, 0] = bad
    before = flat(made)
    clip_gradients(made, norm=0.1)
    np.testing.assert_array_equal(flat(made), before)


def test_like_the_field():
    torch = pytest.importorskip("torch")
    made = parameters()
    peers = [torch.zeros(p.value.shape, dtype=torch.float64) for p in made]
    for peer, parameter in zip(peers, made, strict=True):
        peer.grad = torch.tensor(parameter.grad.copy())
    torch.nn.utils.clip_grad_value_(peers, 0.7)
    torch.nn.utils.clip_grad_norm_(peers, 1.3)
    clip_gradients(made, norm=1.3, value=0.7)
    for peer, parameter in zip(peers, made, strict=True):
        np.testing.assert_allclose(parameter.grad, peer.grad.numpy(), rtol=1e-5)


class Norms(Callback):
    def __init__(self):
        self.norms, self.largest = [], []

    def on_batch_end(self, trainer, epoch, step, record):
        self.norms.append(gradient_norm(trainer.model.parameters()))
        self.largest.append(max(np.abs(p.grad).max() for p in trainer.model.parameters()))


def fit(data, watch=None, threads=1, **settings):
    t = Trainer(
        network(), "softmax_cross_entropy", SGD(0.5), rng=0, num_threads=threads, **settings
    )
    t.fit(*data, epochs=2, progress=False, callbacks=[watch] if watch else ())
    return t


def test_every_step_is_clipped(data):
    plain, by_norm, by_value = Norms(), Norms(), Norms()
    fit(data, plain)
    fit(data, by_norm, clip_norm=0.05)
    fit(data, by_value, clip_value=0.01)
    assert max(plain.norms) > 0.1 and max(plain.largest) > 0.02
    assert max(by_norm.norms) == pytest.approx(0.05, rel=1e-5)
    assert max(by_value.largest) == pytest.approx(0.01, rel=1e-6)


def test_the_threads_do_not_change_the_bits(data):
    runs = [fit(data, threads=n, clip_norm=0.05, clip_value=0.02) for n in (1, 3)]
    assert_same_bits(*map(state, runs))


@pytest.mark.parametrize("name", ["clip_norm", "clip_value"])
@pytest.mark.parametrize("wrong", [0, -1.0, float("inf"), float("nan")])
def test_errors(name, wrong):
    with pytest.raises(ValueError, match=f"{name}.*{str(wrong)[:3]}"):
        Trainer(network(), "softmax_cross_entropy", "sgd", **{name: wrong})
    with pytest.raises(ValueError, match=name.removeprefix("clip_")):
        clip_gradients([], **{name.removeprefix("clip_"): wrong})
    with pytest.raises(TypeError, match=name):
        Trainer(network(), "softmax_cross_entropy", "sgd", **{name: "much"})
    assert trainer().clip_norm is None
