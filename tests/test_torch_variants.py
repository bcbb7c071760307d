"""The variants of dropout as modules of PyTorch: those of the one table, and those by hand."""

import numpy as np
import pytest

from cydropout import layers
from cydropout.layers.dropout import _variants
from cydropout.masks import ConcreteMask

torch = pytest.importorskip("torch", minversion="2.10")
cdt = pytest.importorskip("cydropout.torch")
F = cdt.functional

# PyTorch's own: some of its checks run code that it has given up.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

#: The variants that are one mask of their input, and of which PyTorch has none of its own.
VARIANTS = [name for name in cdt.VARIANTS if not hasattr(torch.nn, name)]
#: Names that are not those of the layer.
NAMES = {"DropPath": "StochasticDepth"}
#: What needs more than one input or output, or a layer inside, and is no module here.
NOT_HERE = {"LayerDrop", "SoftmaxDropout", "Standout", "VariationalGaussianDropout",
            "WeightDropout"}
CASES = _variants.cases("contract")


def seeded(function, seed=0):
    torch.manual_seed(seed)
    return function()


def test_every_variant_is_here_or_is_named():
    table = {name for name in _variants.VARIANTS if isinstance(getattr(layers, name, None), type)}
    assert {name for name in table if not hasattr(cdt, name)} == NOT_HERE


@pytest.mark.parametrize("name", [*VARIANTS, "DropPath"])
def test_the_variants_that_torch_lacks(name):
    torch._dynamo.reset()
    case = next(case for of, case in CASES.values() if of == NAMES.get(name, name))
    layer = getattr(cdt, name)(0.3, **case.options)
    x = torch.randn(case.shape, requires_grad=True)
    y = seeded(lambda: layer(x))
    assert torch.equal(seeded(lambda: torch.compile(layer, fullgraph=True)(x)), y)
    assert not torch.equal(y, seeded(lambda: layer(x), 1))
    double = x.detach().double().requires_grad_()
    torch.autograd.gradcheck(lambda x: seeded(lambda: layer(x)), double)
    layer.eval()
    assert torch.equal(layer(x), x)
    layer.train().p = 2.0
    with pytest.raises(ValueError, match=r"2\.0"):
        layer(x)
    with pytest.raises(ValueError, match=r"-1"):
        getattr(cdt, name)(-1)


@pytest.mark.parametrize("name", [*VARIANTS, "DropPath", "Dropout", "Dropout2d", "AlphaDropout"])
def test_several_gradients_at_once(name):
    case = next((case for of, case in CASES.values() if of == NAMES.get(name, name)), None)
    layer = getattr(cdt, name)(0.3, **(case.options if case else {}))
    x = torch.randn(case.shape if case else (3, 4, 5, 5), requires_grad=True)
    y = seeded(lambda: layer(x))
    several = torch.randn(3, *y.shape)
    together, = torch.autograd.grad(y, x, several, is_grads_batched=True, retain_graph=True)
    for dy, dx in zip(several, together, strict=True):
        alone, = torch.autograd.grad(y, x, dy, retain_graph=True)
        assert torch.equal(dx, alone)
    if name == "Dropout":
        small = torch.randn(8)
        jacobian = torch.autograd.functional.jacobian
        assert torch.equal(*(seeded(lambda way=way: jacobian(layer, small, vectorize=way))
                             for way in (False, True)))


def test_settings_of_a_variant_are_those_of_its_layer():
    layer = cdt.DropBlock2D(0.3, block_size=2)
    assert "block_size=2" in repr(layer)
    with pytest.raises(TypeError, match="blocks"):
        cdt.DropBlock2D(0.3, blocks=2)


def test_zoneout_and_dropconnect():
    new, before = torch.randn(50, 20), torch.randn(50, 20)
    layer = cdt.Zoneout(0.25)
    h = layer(new, before)
    kept = h == before
    assert torch.equal(h, torch.where(kept, before, new)) and abs(kept.float().mean() - 0.25) < 0.1
    torch.testing.assert_close(layer.eval()(new, before), 0.25 * before + 0.75 * new)
    dense = cdt.DropConnect(20, 3, 0.5)
    y = seeded(lambda: dense(new))
    weight = seeded(lambda: F.dropout(dense.weight, 0.5))
    torch.testing.assert_close(y, torch.nn.functional.linear(new, weight, dense.bias))
    y.sum().backward()
    assert (dense.weight.grad[weight == 0] == 0).all() and isinstance(dense, torch.nn.Linear)
    torch.testing.assert_close(
        dense.eval()(new), torch.nn.functional.linear(new, dense.weight, dense.bias))


def test_patches():
    torch._dynamo.reset()
    layer, x = cdt.PatchDropout(0.5, prefix=1), torch.randn(3, 9, 2, requires_grad=True)
    y = seeded(lambda: layer(x))
    assert y.shape == (3, 5, 2) and torch.equal(y[:, 0], x[:, 0])
    places = (x[:, None] == y[:, :, None]).all(-1).long().argmax(-1)
    assert (places.diff() > 0).all()
    assert torch.equal(seeded(lambda: torch.compile(layer, fullgraph=True)(x)), y)
    y.sum().backward()
    assert (x.grad.sum(1) == 5).all()
    assert layer.eval()(x) is x


def test_concrete_dropout_learns_its_rate():
    torch._dynamo.reset()
    layer = cdt.ConcreteDropout(0.3, temperature=0.5)
    x = torch.randn(4000, requires_grad=True)
    key = torch.tensor([7])
    y = seeded(lambda: layer(x))
    u = torch.sigmoid(torch.ops.cydropout.logistic(x.detach(), key).double())
    assert abs(u.mean() - 0.5) < 0.03 and abs(u.var() - 1 / 12) < 0.01
    compiled = seeded(lambda: torch.compile(layer, fullgraph=True)(x))
    torch.testing.assert_close(compiled, y)
    (y.square().sum() + layer.penalty(10, torch.ones(3))).backward()
    assert layer.logit.grad is not None and layer.logit.grad != 0
    logit = float(torch.logit(torch.tensor(0.3)))
    mask = ConcreteMask(7, 0, (4000,), logit, temperature=0.5)
    z = torch.sigmoid((layer.logit + torch.ops.cydropout.logistic(x.detach(), key)) / 0.5)
    expected = mask.apply(np.ones(4000, "f4"))
    torch.testing.assert_close(((1 - z) / (1 - layer.p)).detach(), torch.from_numpy(expected),
                               rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match=r"1\.0"):
        cdt.ConcreteDropout(1.0)
    assert layer.eval()(x) is x
