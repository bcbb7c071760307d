"""Attention with dropout of its weights, and dropouts that a forward calls by itself."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cydropout.torch import functional
from cydropout.torch._torch import torch

F: Any = torch.nn.functional


def _dropped_weights(
    query: Any, key: Any, attn_mask: Any, dropout_p: float, is_causal: bool, scale: float | None
) -> Any:
    scores = (query * (1 / math.sqrt(query.size(-1)) if scale is None else scale)) @ key.mT
    if is_causal:
        if attn_mask is not None:
            raise ValueError("give an attn_mask or is_causal=True, not both")
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return functional.dropout(torch.softmax(scores, -1), dropout_p)


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
    return _dropped_weights(query, key, attn_mask, dropout_p, is_causal, scale) @ value


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
    converted. What PyTorch's own larger functions call inside themselves is not reached.
    """
    with _Calls():
        yield


class MultiheadAttention(torch.nn.MultiheadAttention):  # type: ignore[misc]
    """`torch.nn.MultiheadAttention` whose weights are dropped here.

    Not with ``add_bias_kv`` or ``add_zero_attn``: such a layer is not converted.
    """

    def forward(
        self, query: Any, key: Any, value: Any, key_padding_mask: Any = None,
        need_weights: bool = True, attn_mask: Any = None, average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """Return what PyTorch's returns."""
        if not self.training or not self.dropout:
            return super().forward(  # type: ignore[no-any-return]
                query, key, value, key_padding_mask, need_weights, attn_mask,
                average_attn_weights, is_causal)
        if is_causal and attn_mask is None:
            raise ValueError("is_causal is a hint about attn_mask: give the mask too")
        batched = query.dim() == 3
        inputs = [query, key, value]
        if not batched:
            inputs = [x.unsqueeze(0) for x in inputs]
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            inputs = [x.transpose(0, 1) for x in inputs]
        if self._qkv_same_embed_dim:
            weights = self.in_proj_weight.chunk(3)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        q, k, v = (
            F.linear(x, w, b).unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)
            for x, w, b in zip(inputs, weights, biases, strict=True)
        )
        mask = _merged(attn_mask, key_padding_mask, q, k)
        dropped = _dropped_weights(q, k, mask, self.dropout, False, None)
        y = self.out_proj((dropped @ v).transpose(1, 2).flatten(2))
        if not batched:
            y = y.squeeze(0)
        elif not self.batch_first:
            y = y.transpose(0, 1)
        if not need_weights:
            return y, None
        dropped = dropped.mean(1) if average_attn_weights else dropped
        return y, dropped if batched else dropped.squeeze(0)


def _merged(attn_mask: Any, padding: Any, query: Any, key: Any) -> Any:
    """Return both masks of a `MultiheadAttention`, True or -inf for what is not seen, as one."""
    found = None
    for mask, by_key in ((attn_mask, False), (padding, True)):
        if mask is None:
            continue
        if mask.dtype == torch.bool:
            mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill(mask, -math.inf)
        if by_key:
            mask = mask[:, None, None, :]
        elif mask.dim() == 3:
            mask = mask.unflatten(0, (query.size(0), query.size(1)))
        found = mask if found is None else found + mask
    return found
