"""Modules under vmap and the compiler: every one by its randomness, and what a graph keeps."""

import pytest

torch = pytest.importorskip("torch", minversion="2.10")
cdt = pytest.importorskip("cydropout.torch")

from test_torch_variants import CASES, NAMES, seeded  # noqa: E402
from torch import nn  # noqa: E402

# PyTorch's own: some of its checks run code that it has given up.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

#: Every class that draws, and what it needs where that is not one tensor and p.
MODULES = {name: () for name in dir(cdt)
           if isinstance(kind := getattr(cdt, name), type) and issubclass(kind, nn.Module)
           and hasattr(kind, "use_stream")}
MODULES |= {"DropConnect": (5, 4)}
SHAPES = {"Dropout1d": (2, 30, 6), "Dropout2d": (2, 30, 5, 5), "Dropout3d": (2, 30, 2, 2, 2),
          "FeatureAlphaDropout": (2, 30, 6), "PatchDropout": (2, 40, 6)}


def made(name):
    """Return a module and the arguments of a call, for each of three examples."""
    case = next((case for of, case in CASES.values() if of == NAMES.get(name, name)), None)
    options = case.options if case and not MODULES[name] else {}
    layer = getattr(cdt, name)(*MODULES[name], 0.5, **options)
    shape = SHAPES.get(name, case.shape if case else (5, 6))
    xs = torch.randn(shape).expand(3, *shape)
    return layer, (xs, 0 * xs) if name == "Zoneout" else (xs,)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("name", MODULES)
def test_vmap_by_its_randomness(name, compiled):
    layer, xs = made(name)

    def over(randomness):
        torch._dynamo.reset()
        function = torch.vmap(lambda *x: layer(*x), randomness=randomness)
        return (torch.compile(function, fullgraph=True) if compiled else function)(*xs)

    same, different = seeded(lambda: over("same")), seeded(lambda: over("different"))
    assert torch.equal(same[0], same[1]) and torch.equal(same[0], same[2])
    assert not torch.equal(different[0], different[1])
    assert not torch.equal(different[1], different[2])
    with pytest.raises(RuntimeError, match="randomness"):
        over("error")


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense, self.out, self.dropout = nn.Linear(20, 64), nn.Linear(64, 3), cdt.Dropout(0.4)

    def forward(self, x):
        return self.out(self.dropout(torch.relu(self.dense(x))))


def test_a_compiled_relu_before_dropout_keeps_no_bools():
    from torch._inductor.utils import fresh_cache, run_fw_bw_and_get_code

    torch._dynamo.reset()
    network, x = Network(), torch.randn(50, 20)
    x[3, 4], x[5, 6], x[7] = torch.inf, torch.nan, 0
    compiled, gradients = torch.compile(network, fullgraph=True), []
    for function in (network, compiled):
        network.zero_grad()
        seeded(lambda function=function: function(x)).nan_to_num().sum().backward()
        gradients.append([p.grad.clone() for p in network.parameters()])
    for eager, graph in zip(*gradients, strict=True):
        torch.testing.assert_close(eager, graph, equal_nan=True)
    torch._dynamo.reset()
    with fresh_cache():
        _, (forward, backward) = run_fw_bw_and_get_code(lambda: compiled(x))
    assert "torch.bool" not in forward and "cydropout.dropout" in backward


def test_a_key_does_not_have_its_tensor_written_to_memory():
    from torch._inductor.utils import fresh_cache, run_and_get_code

    torch._dynamo.reset()
    compiled = torch.compile(lambda x: cdt.functional.dropout(x * 2), fullgraph=True)
    with fresh_cache():
        _, (code,) = run_and_get_code(compiled, torch.randn(50, 20))
    assert "new_key.default(None)" in code
