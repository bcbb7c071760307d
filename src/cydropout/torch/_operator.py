"""The operator: a pure function of x, a key and p, under everything that PyTorch does to one.

``key`` holds the key of a mask, and where a stream counts them its draw. A pass saves that for its
backward, and nothing of the size of x. ``noise`` says which variant it is, as text: see
`cydropout.torch._noise`.
"""

import warnings
from typing import Any

from cydropout._rates import kept_count
from cydropout.functional.host import HOST, dropout_at
from cydropout.torch import _noise
from cydropout.torch._torch import random_operators, torch

Tensor: Any = torch.Tensor
_C: Any = torch._C

DTYPES = {torch.float16: 0, torch.bfloat16: 1, torch.float32: 2, torch.float64: 3}
_WORD = 2**64
_MOST = 2**63 - 1
NOT_REWOUND = (
    "dropout was recomputed with another mask than it had: checkpointing does not rewind a "
    "MaskStream, nor PyTorch's generator with preserve_rng_state=False; leave rng at None, or save "
    "and restore the module's next_draw"
)
#: Devices whose tensors the operator takes.
OURS: tuple[str, ...] = ("cpu", "meta")
_state = {"said": False}


def new_key() -> Any:
    """Return a key of PyTorch's default generator; under vmap by its randomness."""
    if _C._are_functorch_transforms_active():
        return torch.randint(0, _MOST, (1,), dtype=torch.int64)
    return torch.empty(1, dtype=torch.int64).random_()


def run(x: Any, key: Any, p: float, noise: str, linear: bool) -> Any:
    """Return what the variant makes of a CPU tensor, or with ``linear`` of its gradient."""
    number, draw = [*key.tolist(), 0][:2]
    dense = x if x.is_contiguous() else x.contiguous()
    if noise == _noise.ELEMENT:
        y = torch.empty_like(dense)
        dropout_at(number % _WORD, draw, p, dense.data_ptr(), y.data_ptr(), dense.numel(),
                   DTYPES[x.dtype], -1)
    else:
        kind = torch.float32 if x.dtype == torch.bfloat16 else x.dtype
        mask = _noise.mask(noise, tuple(x.shape), p, number % _WORD, draw)
        apply = mask.backward if linear else mask.apply
        y = apply(dense.detach().to(kind).numpy(), num_threads=HOST)
        y = torch.from_numpy(y).to(x.dtype)
    return y if dense is x else torch.empty_like(x).copy_(y)


def _same_layout(x: Any, key: Any, p: float, noise: str, linear: bool) -> Any:
    return torch.empty_like(x)


def kept_tokens(x: Any, key: Any, p: float, prefix: int) -> Any:
    """Return which tokens of (batch, tokens, ...) each sample keeps, (batch, kept) of int64."""
    number, draw = [*key.tolist(), 0][:2]
    noise = _noise.of("PatchDropout", prefix=prefix)
    mask = _noise.mask(noise, tuple(x.shape), p, number % _WORD, draw)
    return torch.from_numpy(mask.indices.copy())


def logistic(x: Any, key: Any) -> Any:
    """Return log(u / (1 - u)) for a uniform u of each element."""
    number, draw = [*key.tolist(), 0][:2]
    return torch.from_numpy(_noise.logistic(tuple(x.shape), number % _WORD, draw)).to(x.dtype)


_library = torch.library.Library("cydropout", "DEF")
_library.define(
    "dropout(Tensor x, Tensor key, float p, str noise, bool linear) -> Tensor",
    tags=(torch.Tag.pt2_compliant_tag,),
)
_library.impl("dropout", run, "CPU")
torch.library.register_fake("cydropout::dropout", _same_layout, lib=_library)
_library.define(
    "new_key(Tensor x) -> Tensor",
    tags=(torch.Tag.pt2_compliant_tag, torch.Tag.nondeterministic_seeded),
)
_library.impl("new_key", lambda x: new_key(), "CompositeExplicitAutograd")
torch.library.register_fake(
    "cydropout::new_key", lambda x: torch.empty(1, dtype=torch.int64), lib=_library
)


_library.define("kept_tokens(Tensor x, Tensor key, float p, int prefix) -> Tensor")
_library.impl("kept_tokens", kept_tokens, "CPU")
torch.library.register_fake(
    "cydropout::kept_tokens",
    lambda x, key, p, prefix: x.new_empty(
        (x.shape[0], prefix + kept_count(p, x.shape[1] - prefix)), dtype=torch.int64),
    lib=_library,
)
_library.define("logistic(Tensor x, Tensor key) -> Tensor")
_library.impl("logistic", logistic, "CPU")
torch.library.register_fake(
    "cydropout::logistic", lambda x, key: x.new_empty(x.shape), lib=_library)
random_operators().append(torch.ops.cydropout.new_key)


def _setup(ctx: Any, inputs: Any, output: Any) -> None:
    _, key, ctx.p, ctx.noise, _ = inputs
    ctx.save_for_backward(key)


def _backward(ctx: Any, dy: Any) -> Any:
    (key,) = ctx.saved_tensors
    dx = torch.ops.cydropout.dropout(dy, key, ctx.p, ctx.noise, True)
    return dx, None, None, None, None


torch.library.register_autograd(
    "cydropout::dropout", _backward, setup_context=_setup, lib=_library
)


def _differentiate(ctx: Any, dy: Any) -> Any:
    (key,) = ctx.saved_tensors
    if ctx.drawn is not None and key is not ctx.drawn and not torch.equal(key, ctx.drawn):
        raise RuntimeError(NOT_REWOUND)
    if _is_plain(dy):
        return run(dy, key, ctx.p, ctx.noise, True), None, None, None, None
    return apply(dy, key, ctx.p, ctx.noise, True), None, None, None, None


class Eager(torch.autograd.Function):  # type: ignore[misc]
    """The same in eager mode, by a shorter way; a recomputed pass must find the same key again."""

    @staticmethod
    def forward(ctx: Any, x: Any, key: Any, p: float, noise: str, linear: bool) -> Any:
        """Return the operator's result; save the key, and which it was."""
        ctx.p, ctx.noise, ctx.drawn = p, noise, key
        ctx.save_for_backward(key)
        ctx.save_for_forward(key)
        return run(x, key, p, noise, linear)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        """Return the operator's gradient, which can be differentiated again."""
        return _differentiate(ctx, dy)

    @staticmethod
    def jvp(ctx: Any, x: Any, *_: Any) -> Any:
        """Return the derivative along ``x``."""
        return apply(x, ctx.saved_tensors[0], ctx.p, ctx.noise, True)


class Transformed(Eager):
    """The same under the transforms of `torch.func`, which ask for a context of its own."""

    @staticmethod
    def forward(  # type: ignore[override]
        x: Any, key: Any, p: float, noise: str, linear: bool
    ) -> Any:
        """Return the operator's result."""
        return run(x, key, p, noise, linear)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Save the key."""
        _, key, ctx.p, ctx.noise, _ = inputs
        ctx.drawn = None
        ctx.save_for_backward(key)
        ctx.save_for_forward(key)

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Any, key: Any, p: float, noise: str, linear: bool) -> Any:
        """One mask for all examples where they share the key, else one for each."""
        of_x, of_key = in_dims[:2]
        if of_x is not None:
            x = x.movedim(of_x, 0)
        if of_key is None and (shared := _noise.over_batch(noise)) is not None:
            return apply(x, key, p, shared, linear), 0
        keys = [key] * info.batch_size if of_key is None else key.unbind(of_key)
        rows = [x] * info.batch_size if of_x is None else x.unbind(0)
        done = [apply(row, k, p, noise, linear) for row, k in zip(rows, keys, strict=True)]
        return torch.stack(done), 0


# `Function.apply` looks for what `Eager` has not, and for transforms: half of a small call's time.
_apply: Any = super(torch.autograd.Function, Eager).apply


def apply(x: Any, key: Any, p: float, noise: str, linear: bool) -> Any:
    """Return the operator's result, with what its derivatives need."""
    if _C._are_functorch_transforms_active() or _C._functorch.is_functorch_wrapped_tensor(x):
        return Transformed.apply(x, key, p, noise, linear)
    return _apply(x, key, p, noise, linear)


def _is_plain(x: Any) -> bool:
    """Whether nothing but a result is wanted of a tensor."""
    return (
        not (x.requires_grad and torch.is_grad_enabled())
        and not _C._are_functorch_transforms_active()
        and torch.autograd.forward_ad._current_level < 0
    )


def dropout(x: Any, p: float, noise: str, key: Any = None) -> Any:
    """Return dropout of a tensor by the shortest way that its surroundings allow."""
    traced = torch.compiler.is_compiling() or _C._len_torch_dispatch_stack()
    if traced or type(x) not in (torch.Tensor, torch.nn.Parameter):
        key = torch.ops.cydropout.new_key(x) if key is None else key
        return torch.ops.cydropout.dropout(x, key, p, noise, False)
    key = new_key() if key is None else key
    if _is_plain(x):
        return run(x, key, p, noise, False)
    return apply(x, key, p, noise, False)


def elsewhere(x: Any) -> bool:
    """Whether a tensor is not for us: then PyTorch's own dropout runs, which is said once."""
    if x.device.type in OURS:
        return False
    if not _state["said"]:
        _state["said"] = True
        warnings.warn(
            f"cydropout.torch computes on CPUs: dropout of tensors on {x.device} is PyTorch's own",
            stacklevel=3,
        )
    return True
