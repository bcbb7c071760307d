"""Attention with dropout of its weights, and dropouts that a forward calls by itself."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cydropout.torch import functional
from cydropout.torch._torch import torch

F: Any = torch.nn.functional


def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Any:
    """softmax(q k' / sqrt(d) + mask), dropped, times v; as `torch.nn.functional` has it.

    Without dropout, or on another device, it is PyTorch's own.
    """
    if not dropout_p or query.device.type != "cpu":
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
    if enable_gqa:
        groups = query.size(-3) // key.size(-3)
        key, value = (t.repeat_interleave(groups, -3) for t in (key, value))
    scores = (query * (1 / math.sqrt(query.size(-1)) if scale is None else scale)) @ key.mT
    if is_causal:
        if attn_mask is not None:
            raise ValueError("give an attn_mask or is_causal=True, not both")
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        scores = scores.masked_fill(~seen, -math.inf)
    elif attn_mask is not None:
        if attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, -math.inf)
        else:
            scores = scores + attn_mask
    return functional.dropout(torch.softmax(scores, -1), dropout_p) @ value


_MINE = {
    F.dropout: functional.dropout,
    F.dropout1d: functional.dropout1d,
    F.dropout2d: functional.dropout2d,
    F.dropout3d: functional.dropout3d,
    F.alpha_dropout: functional.alpha_dropout,
    F.feature_alpha_dropout: functional.feature_alpha_dropout,
    torch.dropout: functional.dropout,
    F.scaled_dot_product_attention: scaled_dot_product_attention,
}


class _Calls(torch.overrides.TorchFunctionMode):  # type: ignore[misc]
    """Runs the functions of dropout that are called within by those here."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        with torch._C.DisableTorchFunction():
            return _MINE.get(func, func)(*args, **(kwargs or {}))


@contextmanager
def functional_calls() -> Iterator[None]:
    """Have dropouts that a model calls as functions run here, within the context.

    That is for models whose forward calls `torch.nn.functional.dropout` or
    ``scaled_dot_product_attention(dropout_p=...)`` by itself, without a module that could be
    converted.
    """
    with _Calls():
        yield


class MultiheadAttention(torch.nn.MultiheadAttention):  # type: ignore[misc]
    """`torch.nn.MultiheadAttention` whose weights are dropped here."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what PyTorch's returns."""
        if not self.training or not self.dropout:
            return super().forward(*args, **kwargs)
        with functional_calls():
            return super().forward(*args, **kwargs)
