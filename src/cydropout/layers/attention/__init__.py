"""Attention: `MultiHeadAttention`, `TransformerBlock` and what they stand on."""

from cydropout.layers.attention.multi_head_attention import MultiHeadAttention
from cydropout.layers.attention.positional_embedding import PositionalEmbedding
from cydropout.layers.attention.transformer_block import TransformerBlock

__all__ = [
    "MultiHeadAttention",
    "PositionalEmbedding",
    "TransformerBlock",
]
