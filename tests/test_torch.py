"""Dropout of tensors under what PyTorch does to an operator."""

import subprocess
import sys
import warnings

import numpy as np
import pytest

from cydropout import MaskStream

torch = pytest.importorskip("torch", minversion="2.10")
cdt = pytest.importorskip("cydropout.torch")
F = cdt.functional

# PyTorch's own: some of its checks run code that it has given up.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

KEY = torch.tensor([5])
#: Each function of a tensor, and a shape that it takes.
FUNCTIONS = {
    "dropout": (F.dropout, (6, 7)),
    "dropout, shared": (lambda x, p, **o: F.dropout(x, p, shared_axes=(1,), **o), (6, 7)),
    "dropout1d": (F.dropout1d, (4, 5, 6)),
    "dropout2d": (F.dropout2d, (4, 5, 3, 3)),
    "dropout3d": (F.dropout3d, (4, 5, 2, 2, 3)),
    "alpha_dropout": (lambda x, p, **o: F.alpha_dropout(x, p, True, **o), (6, 7)),
    "feature_alpha_dropout": (
        lambda x, p, **o: F.feature_alpha_dropout(x, p, True, **o), (4, 5, 6)),
}
both = pytest.mark.parametrize("name", FUNCTIONS)


def ones(*shape, **options):
    return torch.ones(*shape, **options)


def seeded(function, seed=0):
    torch.manual_seed(seed)
    return function()


def test_the_mask_is_that_of_the_key():
    for draw in (0, 3):
        key = torch.tensor([5, draw])
        expected = MaskStream.from_state(5, draw).draw((40, 30), 0.3).apply(np.ones((40, 30), "f4"))
        np.testing.assert_array_equal(F.dropout(ones(40, 30), 0.3, key=key).numpy(), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@both
def test_every_dtype_and_layout_has_the_same_mask(name, dtype):
    function, shape = FUNCTIONS[name]
    x = torch.randn(shape).to(dtype)
    y = function(x, 0.4, key=KEY)
    assert y.dtype == dtype
    strided = x.mT.contiguous().mT
    found = function(strided, 0.4, key=KEY)
    assert torch.equal(found, y) and found.stride() == strided.stride()
    if x.dim() == 4:
        last = x.to(memory_format=torch.channels_last)
        found = function(last, 0.4, key=KEY)
        assert torch.equal(found, y) and found.is_contiguous(memory_format=torch.channels_last)
    if dtype in (torch.float32, torch.float64) and "alpha" not in name:
        single = function(x.float().abs() + 1, 0.4, key=KEY)
        assert torch.equal(single != 0, function(x.abs() + 1, 0.4, key=KEY) != 0)


@both
def test_edge_cases(name):
    function, shape = FUNCTIONS[name]
    x = torch.randn(shape)
    assert function(x, 0.0) is x
    spoilt = x.clone()
    spoilt.view(-1)[::2] = float("nan")
    if "alpha" not in name:
        assert (function(spoilt, 1.0) == 0).all()
        y = function(spoilt, 0.5, key=KEY)
        dropped = function(ones(shape), 0.5, key=KEY) == 0
        assert (y[dropped] == 0).all() and y[~dropped & spoilt.isnan()].isnan().all()
    for p in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=str(p)):
            function(x, p)
    with pytest.raises(TypeError, match="int64"):
        function(ones(shape, dtype=torch.int64), 0.5)


def test_small_tensors_and_inference():
    assert F.dropout(torch.tensor(3.0), 0.5, key=KEY).shape == ()
    assert F.dropout(ones(0, 4), 0.5).shape == (0, 4)
    x = ones(5)
    assert F.dropout(x, 0.5, training=False) is x
    with pytest.raises(ValueError, match=r"\(5,\)"):
        F.dropout2d(x, 0.5)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_it_drops_at_its_rate(p):
    y = F.dropout(ones(1_000_000), p)
    assert abs((y == 0).float().mean() - p) < 6 * (p * (1 - p) / 1e6) ** 0.5
    assert abs(y.mean() - 1) < 0.01


@both
def test_gradients_forward_and_twice(name):
    function, shape = FUNCTIONS[name]
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x: function(x, 0.4, key=KEY), x, check_forward_ad=True, check_batched_grad=False)
    assert torch.autograd.gradgradcheck(lambda x: function(x, 0.4, key=KEY), x)


@both
def test_in_place(name):
    function, shape = FUNCTIONS[name]
    leaf = torch.randn(shape, requires_grad=True)
    x = leaf * 1
    expected = function(leaf.detach(), 0.4, key=KEY)
    y = function(x, 0.4, key=KEY, inplace=True)
    assert y is x and torch.equal(y.detach(), expected)
    y.sum().backward()
    derivative = function(leaf.detach() + 1, 0.4, key=KEY) - function(leaf.detach(), 0.4, key=KEY)
    torch.testing.assert_close(leaf.grad, derivative, rtol=1e-4, atol=1e-4)


def test_opcheck():
    from cydropout.torch._torch import registry

    x = torch.randn(5, 6, requires_grad=True)
    for noise in ("", '["Dropout", {"shared_axes": [0]}]', '["AlphaDropout", {}]'):
        registry.opcheck(torch.ops.cydropout.dropout.default, (x, KEY, 0.5, noise, False))


def test_manual_seed_and_fork_rng():
    x = ones(1000)
    first, second = seeded(lambda: (F.dropout(x), F.dropout(x)))
    assert not torch.equal(first, second)
    assert torch.equal(seeded(lambda: F.dropout(x)), first)
    torch.manual_seed(0)
    with torch.random.fork_rng():
        F.dropout(x)
    assert torch.equal(F.dropout(x), first)


@both
def test_compiled_code_has_the_same_bits(name):
    torch._dynamo.reset()
    function, shape = FUNCTIONS[name]

    def twice(x):
        return function(x * 2, 0.4) + 10 * function(x * 2, 0.4)

    compiled = torch.compile(twice, fullgraph=True)
    x = torch.randn(shape, requires_grad=True)
    eager, graph = seeded(lambda: twice(x)), seeded(lambda: compiled(x))
    assert torch.equal(eager, graph)
    dy = torch.randn_like(eager)
    derivatives = [torch.autograd.grad(y, x, dy)[0] for y in (eager, graph)]
    torch.testing.assert_close(*derivatives)


@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpoints_find_the_same_mask(reentrant):
    from torch.utils.checkpoint import checkpoint

    x = ones(1000, requires_grad=True)
    y = checkpoint(lambda x: F.dropout(x * 1), x, use_reentrant=reentrant)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


@pytest.mark.parametrize(("rng", "reentrant"),
                         [(None, False), (MaskStream(0), False), (MaskStream(0), True)])
def test_a_checkpoint_that_does_not_rewind_is_an_error(rng, reentrant):
    from torch.utils.checkpoint import checkpoint

    layer, x = cdt.Dropout(rng=rng), ones(1000, requires_grad=True)
    y = checkpoint(lambda x: layer(x * 1), x, use_reentrant=reentrant,
                   preserve_rng_state=rng is not None)
    with pytest.raises(RuntimeError, match="recomputed"):
        y.sum().backward()


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpoint_may_rewind_the_stream(reentrant):
    from torch.utils.checkpoint import checkpoint

    layer, x = cdt.Dropout(rng=MaskStream(0)), ones(1000, requires_grad=True)
    draws = []

    def forward(x):
        if draws:
            layer.next_draw.fill_(draws[0])
        draws.append(int(layer.next_draw))
        return layer(x * 1)

    y = checkpoint(forward, x, use_reentrant=reentrant)
    y.sum().backward()
    assert draws == [0, 0] and torch.equal(x.grad, y.detach())


def test_vmap_by_its_randomness():
    x = ones(3, 64)
    same = torch.vmap(F.dropout, randomness="same")(x)
    assert (same == same[0]).all() and (same == 0).any()
    different = torch.vmap(F.dropout, randomness="different")(x)
    assert not torch.equal(different[0], different[1])
    with pytest.raises(RuntimeError, match="randomness"):
        torch.vmap(F.dropout)(x)
    rows = torch.vmap(lambda x: F.dropout(x, 0.5, key=KEY), in_dims=1, out_dims=1)(ones(64, 3))
    assert torch.equal(rows[:, 1], F.dropout(ones(64), 0.5, key=KEY))


def test_functional_transforms():
    x = torch.randn(64)
    mask = F.dropout(ones(64), 0.5, key=KEY)
    torch.testing.assert_close(torch.func.grad(lambda x: F.dropout(x, 0.5, key=KEY).sum())(x), mask)
    _, along = torch.func.jvp(lambda x: F.dropout(x, 0.5, key=KEY), (x,), (x,))
    torch.testing.assert_close(along, x * mask)
    per_sample = torch.vmap(
        torch.func.grad(lambda x: F.dropout(x, 0.5, key=KEY).square().sum()))(ones(3, 64))
    torch.testing.assert_close(per_sample, (2 * mask * mask).expand(3, 64))


def test_modes_of_pytorch():
    layer, x = cdt.Dropout(), torch.randn(100)
    with torch.inference_mode():
        assert layer(ones(100)).is_inference()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is slow
        with torch.autograd.detect_anomaly(check_nan=True):
            layer(x.requires_grad_()).sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(torch.nn.functional.linear(ones(4, 8), ones(8, 8)))
    assert y.dtype == torch.bfloat16
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.equal(seeded(lambda: layer(x)), seeded(lambda: layer(x)))
    finally:
        torch.use_deterministic_algorithms(False)
    seen = []
    layer.register_forward_hook(lambda module, args, out: seen.append(out))
    layer.register_full_backward_hook(lambda module, grads, _: seen.append(grads))
    layer(x).sum().backward()
    assert len(seen) == 2


def test_export_and_trace_in_eval():
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), cdt.Dropout(), cdt.DropBlock1D(0.2)).eval()
    x = torch.randn(2, 3, 4)
    assert torch.equal(torch.export.export(model, (x,)).module()(x), model(x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says that it will end
        assert torch.equal(torch.jit.trace(model, x)(x), model(x))


def test_a_parametrization():
    from torch.nn.utils import parametrize

    class Noisy(torch.nn.Module):
        def forward(self, weight):
            return F.dropout(weight, 0.5, key=KEY)

    dense = torch.nn.Linear(8, 8)
    whole = dense.weight.detach().clone()
    parametrize.register_parametrization(dense, "weight", Noisy())
    assert torch.equal(dense.weight, F.dropout(whole, 0.5, key=KEY))


def test_a_stream_travels_with_the_state():
    stream, layer = MaskStream(3), cdt.Dropout(rng=MaskStream(3))
    x = np.ones((5, 6), "f4")
    for _ in range(3):
        expected = stream.draw(x.shape, 0.5).apply(x)
        np.testing.assert_array_equal(layer(torch.from_numpy(x)).numpy(), expected)
    other = cdt.Dropout(rng=MaskStream(9))
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(ones(99)), layer(ones(99)))
    with pytest.raises(TypeError, match="seven"):
        cdt.Dropout(rng="seven")


def test_threads_are_those_of_pytorch():
    pytest.importorskip("threadpoolctl")
    # In a process of its own: what other tests import may bring an OpenMP of its own.
    python("""
import threadpoolctl, torch
from cydropout import show_config
from cydropout.torch import functional as F
F.dropout(torch.ones(1 << 20), 0.5)
pools = threadpoolctl.threadpool_info()
paths = {pool["filepath"] for pool in pools if pool["user_api"] == "openmp"}
assert len(paths) == 1, paths
assert "PyTorch" in show_config("dicts")["threads of a host"]
""")
    x = torch.randn(1 << 20)
    before, expected = torch.get_num_threads(), F.dropout(x, 0.3, key=KEY)
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            assert torch.equal(F.dropout(x, 0.3, key=KEY), expected)
    finally:
        torch.set_num_threads(before)


def test_versions_and_devices(monkeypatch):
    from cydropout.torch import _operator, _torch

    with pytest.raises(ImportError, match=r"2\.9\.1"):
        _torch.check_version("2.9.1+cpu")
    _torch.check_version("2.10.0a1+git")
    monkeypatch.setattr(_operator, "OURS", ())
    monkeypatch.setitem(_operator._state, "said", False)
    with pytest.warns(UserWarning, match="cpu"):
        assert (F.dropout(ones(100)) == 0).any()
    with pytest.raises(ValueError, match="no such dropout"):
        cdt.GaussianDropout()(ones(3, 4))


def python(code):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_data_loader(tmp_path, method):
    (tmp_path / "loading.py").write_text("""
import sys, torch
from cydropout.torch import functional as F

class Noisy(torch.utils.data.Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, i):
        return F.dropout(torch.ones(200_000), 0.5)

if __name__ == "__main__":
    F.dropout(torch.ones(1_000_000), 0.5)
    rows = [torch.cat(list(torch.utils.data.DataLoader(
        Noisy(), 4, num_workers=2, multiprocessing_context=sys.argv[1],
        generator=torch.Generator().manual_seed(0)))) for _ in range(2)]
    assert torch.equal(*rows) and not torch.equal(rows[0][0], rows[0][4])
""")
    command = [sys.executable, "-W", "ignore", str(tmp_path / "loading.py"), method]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_two_processes_of_distributed_data_parallel(tmp_path):
    (tmp_path / "parallel.py").write_text("""
import os, sys, torch, torch.distributed as dist
import cydropout.torch as cdt

def run(rank, path):
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=2)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Dropout(), torch.nn.Linear(16, 1))
    assert cdt.replace_dropout(model) == 1
    parallel = torch.nn.parallel.DistributedDataParallel(model)
    torch.manual_seed(rank)
    optimizer = torch.optim.SGD(parallel.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        parallel(torch.ones(4, 8)).sum().backward()
        optimizer.step()
    found = [torch.empty_like(model[0].weight) for _ in range(2)]
    dist.all_gather(found, model[0].weight.detach())
    assert torch.equal(*found)
    dist.destroy_process_group()
    os._exit(0)  # PyTorch's own threads abort one exit in ten, without cydropout too

if __name__ == "__main__":
    torch.multiprocessing.spawn(run, (sys.argv[1],), 2)
""")
    paths = [str(tmp_path / name) for name in ("parallel.py", "meet")]
    command = [sys.executable, "-W", "ignore", *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_without_pytorch_the_extra_is_named():
    code = """
import sys
sys.modules["torch"] = None
import cydropout.torch as cdt
try:
    cdt.Dropout
except ImportError as error:
    assert "cydropout[torch]" in str(error), error
else:
    raise SystemExit("no error")
"""
    python(code)
