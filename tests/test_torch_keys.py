"""The key of a mask in eager mode: a number, or where somebody asks a tensor that is saved."""

import threading

import pytest

torch = pytest.importorskip("torch", minversion="2.10")
cdt = pytest.importorskip("cydropout.torch")
F = cdt.functional

# PyTorch's own: some of its checks run code that it has given up.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

#: Each way to call, and whether the key is held as a number then.
WAYS = {
    "drawn": (lambda x: F.dropout(x, 0.4), True),
    "shared": (lambda x: F.dropout(x, 0.4, shared_axes=(1,)), True),
    "alpha": (lambda x: F.alpha_dropout(x, 0.4, True), True),
    "given": (lambda x: F.dropout(x, 0.4, key=torch.tensor([5])), False),
}
ways = pytest.mark.parametrize("way", WAYS)


def seeded(function, seed=0):
    torch.manual_seed(seed)
    return function()


@ways
def test_a_pass_saves_the_key_only_where_somebody_asks(way):
    function, number = WAYS[way]
    x, seen = torch.randn(6, 7, requires_grad=True), []

    def pack(tensor):
        seen.append(tensor)
        return tensor

    y = seeded(lambda: function(x))
    assert len(y.grad_fn.saved_tensors) == (not number)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        hooked = seeded(lambda: function(x))
    assert torch.equal(hooked, y) and [tensor.numel() for tensor in seen] == [1]
    assert torch.equal(*(torch.autograd.grad(z.sum(), x)[0] for z in (y, hooked)))


@ways
def test_all_derivatives_of_a_mask_that_is_drawn(way):
    x = torch.randn(6, 7, dtype=torch.float64, requires_grad=True)

    def function(x):
        return seeded(lambda: WAYS[way][0](x))

    assert torch.autograd.gradcheck(function, x, check_forward_ad=True, check_batched_grad=False)
    assert torch.autograd.gradgradcheck(function, x)


def test_the_number_is_the_next_key_of_the_generator():
    x = torch.ones(1000)
    key = seeded(lambda: torch.empty(1, dtype=torch.int64).random_())
    assert torch.equal(seeded(lambda: F.dropout(x)), F.dropout(x, key=key))


def test_numbers_are_drawn_in_any_thread_mode_and_default_device():
    found = []

    def work():
        with torch.inference_mode(), torch.device("meta"):
            found.append(seeded(lambda: F.dropout(torch.ones(1000, device="cpu"))))
        found.append(seeded(lambda: F.dropout(torch.ones(1000))))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert torch.equal(*found)


def test_a_compiled_backward_pass_has_the_mask_of_each_step():
    torch._dynamo.reset()
    layer = cdt.Dropout(0.5)
    for _ in range(3):
        x = torch.ones(64, requires_grad=True)
        y = layer(x * 1)
        with torch._dynamo.compiled_autograd._enable(torch.compile(backend="eager")):
            y.sum().backward()
        assert torch.equal(x.grad, y.detach())


@pytest.mark.parametrize("function", [F.dropout, F.dropout2d, cdt.GaussianDropout()])
def test_tensors_without_numbers_have_their_shape(function):
    x = torch.ones(2, 3, 4, 4, device="meta", requires_grad=True)
    y = function(x)
    assert y.is_meta and y.shape == x.shape
    y.sum().backward()
    assert x.grad.is_meta and x.grad.shape == x.shape
