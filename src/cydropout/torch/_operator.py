"""The operator: a pure function of x, a key and p, under everything that PyTorch does to one.

``key`` holds the key of a mask, and where a stream counts them its draw. A pass saves that for its
backward, and nothing of the size of x. ``noise`` says which variant it is, as text: see
`cydropout.torch._noise`.
"""

import threading
import warnings
from functools import partial
from typing import Any

from cydropout._rates import kept_count
from cydropout.functional.host import HOST, dropout_at
from cydropout.torch import _compiled, _noise
from cydropout.torch._torch import random_operators, registry, torch

Tensor: Any = torch.Tensor
_C: Any = torch._C
is_compiling = torch.compiler.is_compiling
is_batch = _C._functorch.is_legacy_batchedtensor
saved_tensor_hooks = _C._autograd._top_saved_tensors_default_hooks

DTYPES = {torch.float16: 0, torch.bfloat16: 1, torch.float32: 2, torch.float64: 3}
PLAIN = (torch.Tensor, torch.nn.Parameter)
_WORD = 2**64
_MOST = 2**63 - 1
NOT_REWOUND = (
    "dropout was recomputed with another mask than it had: checkpointing does not rewind a "
    "MaskStream, nor PyTorch's generator with preserve_rng_state=False; leave rng at None, or save "
    "and restore the module's next_draw"
)
#: What says that a tensor is on a device whose tensors the operator takes.
OURS: tuple[str, ...] = ("is_cpu", "is_meta")
_state = {"said": False}
_ours = threading.local()


def new_key() -> Any:
    """Return a key of PyTorch's default generator; under vmap by its randomness."""
    if _C._are_functorch_transforms_active():
        return torch.randint(0, _MOST, (1,), dtype=torch.int64)
    return torch.empty(1, dtype=torch.int64).random_()


def new_number() -> int:
    """Return the number that `new_key` would hold, without a tensor of its own."""
    try:
        drawn = _ours.drawn
    except AttributeError:
        with torch.inference_mode(False):
            drawn = _ours.drawn = torch.empty((), dtype=torch.int64, device="cpu")
    return drawn.random_().item()  # type: ignore[no-any-return]


def run(x: Any, key: Any, p: float, noise: str, linear: bool) -> Any:
    """Return what the variant makes of a CPU tensor, or with ``linear`` of its gradient."""
    number, draw = (key, 0) if type(key) is int else [*key.tolist(), 0][:2]
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
    _compiled.teach()
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


_library = registry.Library("cydropout", "DEF")
_library.define(
    "dropout(Tensor x, Tensor key, float p, str noise, bool linear) -> Tensor",
    tags=(torch.Tag.pt2_compliant_tag,),
)
_library.impl("dropout", run, "CPU")
registry.register_fake("cydropout::dropout", _same_layout, lib=_library)
_library.define(
    "new_key(Tensor? like) -> Tensor",
    tags=(torch.Tag.pt2_compliant_tag, torch.Tag.nondeterministic_seeded),
)
_library.impl("new_key", lambda like: new_key(), "CompositeExplicitAutograd")
registry.register_fake(
    "cydropout::new_key", lambda like: torch.empty(1, dtype=torch.int64), lib=_library
)


_library.define("kept_tokens(Tensor x, Tensor key, float p, int prefix) -> Tensor")
_library.impl("kept_tokens", kept_tokens, "CPU")
registry.register_fake(
    "cydropout::kept_tokens",
    lambda x, key, p, prefix: x.new_empty(
        (x.shape[0], prefix + kept_count(p, x.shape[1] - prefix)), dtype=torch.int64),
    lib=_library,
)
_library.define("logistic(Tensor x, Tensor key) -> Tensor")
_library.impl("logistic", logistic, "CPU")
registry.register_fake(
    "cydropout::logistic", lambda x, key: x.new_empty(x.shape), lib=_library)
random_operators().append(torch.ops.cydropout.new_key)


def _setup(ctx: Any, inputs: Any, output: Any) -> None:
    _, key, ctx.p, ctx.noise, _ = inputs
    ctx.save_for_backward(key)


def _backward(ctx: Any, dy: Any) -> Any:
    (key,) = ctx.saved_tensors
    dx = torch.ops.cydropout.dropout(dy, key, ctx.p, ctx.noise, True)
    return dx, None, None, None, None


registry.register_autograd(
    "cydropout::dropout", _backward, setup_context=_setup, lib=_library
)


def _over_batch(
    each: Any, info: Any, in_dims: Any, x: Any, key: Any, p: float, noise: str, linear: bool
) -> Any:
    of_x, of_key = in_dims[:2]
    if of_x is not None:
        x = x.movedim(of_x, 0)
    if of_key is None and (shared := _noise.over_batch(noise)) is not None:
        return each(x, key, p, shared, linear), 0
    keys = [key] * info.batch_size if of_key is None else key.unbind(of_key)
    rows = [x] * info.batch_size if of_x is None else x.unbind(0)
    done = [each(row, k, p, noise, linear) for row, k in zip(rows, keys, strict=True)]
    return torch.stack(done), 0


def _by_shape_over_batch(operator: Any) -> Any:
    """Return vmap's rule of an operator that looks at the shape of x and at its key alone."""

    def rule(info: Any, in_dims: Any, x: Any, key: Any, *settings: Any) -> Any:
        x = x if in_dims[0] is None else x.select(in_dims[0], 0)
        if in_dims[1] is None:
            return operator(x, key, *settings), None
        return torch.stack([operator(x, k, *settings) for k in key.unbind(in_dims[1])]), 0

    return rule


registry.register_vmap(
    "cydropout::dropout", partial(_over_batch, torch.ops.cydropout.dropout), lib=_library)
for _name in ("kept_tokens", "logistic"):
    _rule = _by_shape_over_batch(getattr(torch.ops.cydropout, _name))
    registry.register_vmap(f"cydropout::{_name}", _rule, lib=_library)


class Eager(torch.autograd.Function):  # type: ignore[misc]
    """The same in eager mode, by a shorter way; a recomputed pass must find the same key again.

    A key that is a number is held as it is: nothing asks for saved tensors then.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, key: Any, p: float, noise: str, linear: bool) -> Any:
        """Return the operator's result; save the key, and which it was."""
        ctx.p, ctx.noise, ctx.drawn = p, noise, key
        if type(key) is not int:
            ctx.save_for_backward(key)
            ctx.save_for_forward(key)
        return run(x, key, p, noise, linear)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        """Return the operator's gradient, which can be differentiated again."""
        key = ctx.drawn if type(ctx.drawn) is int else _found_again(ctx)
        # Several gradients at once have no storage of their own: the dispatcher takes them apart.
        if not is_compiling() and is_batch(dy):
            way, key = torch.ops.cydropout.dropout, _as_tensor(key)
        else:
            way = run if _is_plain(dy) else apply
        return way(dy, key, ctx.p, ctx.noise, True), None, None, None, None

    @staticmethod
    def jvp(ctx: Any, x: Any, *_: Any) -> Any:
        """Return the derivative along ``x``."""
        key = ctx.drawn if type(ctx.drawn) is int else ctx.saved_tensors[0]
        return apply(x, key, ctx.p, ctx.noise, True)


def _as_tensor(key: Any) -> Any:
    return torch.tensor([key]) if type(key) is int else key


def _found_again(ctx: Any) -> Any:
    (key,) = ctx.saved_tensors
    if ctx.drawn is not None and key is not ctx.drawn and not torch.equal(key, ctx.drawn):
        raise RuntimeError(NOT_REWOUND)
    return key


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
    def vmap(*args: Any) -> Any:
        """One mask for all examples where they share the key, else one for each."""
        return _over_batch(apply, *args)


# `Function.apply` looks for what `Eager` has not, and for transforms: half of a small call's time.
_apply: Any = super(torch.autograd.Function, Eager).apply


def apply(x: Any, key: Any, p: float, noise: str, linear: bool) -> Any:
    """Return the operator's result, with what its derivatives need."""
    if _C._are_functorch_transforms_active() or _C._functorch.is_functorch_wrapped_tensor(x):
        return Transformed.apply(x, _as_tensor(key), p, noise, linear)
    return _apply(x, key, p, noise, linear)


def _keeps_tensors() -> bool:
    """Whether somebody follows the key: a transform, or hooks of saved tensors."""
    return _C._are_functorch_transforms_active() or saved_tensor_hooks(True) is not None


def _is_plain(x: Any) -> bool:
    """Whether nothing but a result is wanted of a tensor."""
    return (
        not (x.requires_grad and torch.is_grad_enabled())
        and not _C._are_functorch_transforms_active()
        and torch.autograd.forward_ad._current_level < 0
    )


def _is_traced(x: Any) -> bool:
    """Whether somebody reads the operators that a call runs, or stands between."""
    traced = is_compiling() or _C._len_torch_dispatch_stack()
    return traced or type(x) not in PLAIN or x.is_meta


def key_for(x: Any) -> Any:
    """Return a new key for a call of an operator on ``x``, under vmap by its randomness."""
    if _is_traced(x) and not _C._are_functorch_transforms_active():
        # Not by a plain x: the compiler would write it to memory for this alone.
        return torch.ops.cydropout.new_key(None if type(x) in PLAIN else x)
    return new_key()


def dropout(x: Any, p: float, noise: str, key: Any = None) -> Any:
    """Return dropout of a tensor by the shortest way that its surroundings allow."""
    if _is_traced(x):
        key = key_for(x) if key is None else key
        return torch.ops.cydropout.dropout(x, key, p, noise, False)
    if key is None:
        key = new_key() if _keeps_tensors() else new_number()
    if _is_plain(x):
        return run(x, key, p, noise, False)
    return apply(x, key, p, noise, False)


def elsewhere(x: Any) -> bool:
    """Whether a tensor is not for us: then PyTorch's own dropout runs, which is said once."""
    for place in OURS:
        if getattr(x, place):
            return False
    if not _state["said"]:
        _state["said"] = True
        warnings.warn(
            f"cydropout.torch computes on CPUs: dropout of tensors on {x.device} is PyTorch's own",
            stacklevel=3,
        )
    return True
