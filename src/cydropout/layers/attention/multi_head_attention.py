"""MultiHeadAttention: every position takes what it needs from the others, in several ways."""

from __future__ import annotations

from typing import Any

import numpy as np

from cydropout import functional
from cydropout.layers._affine import product
from cydropout.layers._initializers import check_init, initial
from cydropout.layers._layer import (
    Array,
    Backward,
    Context,
    Layer,
    Shape,
    as_float,
    as_gradient,
    native_dtype,
    restoring_draws,
)
from cydropout.layers._penalties import Weighted
from cydropout.layers._settings import Checked, Count, Flag, Noise
from cydropout.layers._state import Entries, Entry
from cydropout.layers.dropout.drop_head import DropHead
from cydropout.layers.dropout.softmax_dropout import SoftmaxDropout


def _drop_head(rate: Any, _: Layer) -> DropHead | None:
    noise = DropHead(rate, axis=2)
    return noise if noise.rate else None


def _seen(attention_mask: Any, real: Array, shape: Shape) -> Array:
    """Return which keys are seen, of those that are no padding."""
    keys = real[:, None, None, :]
    if attention_mask is None:
        return keys
    functional.AttentionMask(attention_mask, shape)  # raises for what it does not take
    seen: Array = np.logical_and(attention_mask, keys)
    return seen


class MultiHeadAttention(Weighted):
    """``y = concat_h(dropout(softmax(q_h k_h^T / sqrt(f))) v_h) W_o + b_o``: self-attention.

    ``x`` is (n, time, features), and ``q, k, v = x W + b`` are (n, time, features) each, of which
    every head takes ``f = features / heads``. The output has the shape of the input and the dtype
    of the parameters: "qkv_weight" (features, 3 features), "out_weight" (features, features),
    "qkv_bias" and "out_bias". Of sequences with `Context.lengths` no padding is seen.

    Parameters
    ----------
    heads : int
        A divisor of the features.
    causal : bool
        Position ``i`` sees the positions 0 to ``i`` alone.
    rate : float
        Probability of dropping a weight of attention. The mask stands in `Context.masks` under
        the attribute ``dropout``, which is a `SoftmaxDropout`.
    head_rate : float
        Probability of dropping a head, by a `DropHead` before the last product; 0 has none.
    init : str
        As for `Dense`.
    bias : bool
        Whether both products have a bias.
    max_norm, l1, l2
        As for `Dense`, for both weights.
    name : str, optional
        Name within a `Sequential`.

    Raises
    ------
    TypeError
        For an input that is no float.
    ValueError
        For an input without three axes, or features that the heads do not divide.

    References
    ----------
    Vaswani et al. 2017, "Attention is all you need", section 3.2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> layer = layers.MultiHeadAttention(2, causal=True)
    >>> layer.build((5, 8), 0)
    >>> y, backward = layer.forward(np.ones((1, 5, 8), "f4"), layers.Context())
    >>> y.shape
    (1, 5, 8)
    """

    weights = ("qkv_weight", "out_weight")
    biases = ("qkv_bias", "out_bias")
    positional = "heads"
    with_lengths = "keep"
    heads = Count(shapes=True)
    causal = Flag(False, fixed=True)
    dropout = Noise(lambda rate, layer: SoftmaxDropout(rate, causal=layer.causal), key="rate")
    drop_head = Noise(_drop_head, key="head_rate")
    init = Checked(check_init, "glorot")
    bias = Flag(True, shapes=True)

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Draw the weights from the NumPy generator ``rng``."""
        features = self.output_shape(input_shape)[-1]
        self.dropout.scale = float(features // self.heads) ** -0.5
        if self._parameters:
            return
        kind, rng = native_dtype(dtype or "float32"), np.random.default_rng(rng)
        for part, units in (("qkv", 3 * features), ("out", features)):
            weight = initial(self.init, features, units, rng, kind)
            self._add(f"{part}_weight", weight)
            if self.bias:
                self._add(f"{part}_bias", np.zeros(units, kind))

    @restoring_draws
    def forward(
        self, x: Array, ctx: Context, mask: Any = None, attention_mask: Any = None
    ) -> tuple[Array, Backward]:
        """Return ``y``, and the function that adds up the gradients and returns ``dx``.

        Parameters
        ----------
        x : array of shape (n, time, features)
            The sequences.
        ctx : Context
            Of the pass.
        mask : mask or array of bool, of shape (n, heads, time, time), optional
            Used instead of one that is drawn for the weights of attention.
        attention_mask : array of bool, optional
            True where a key is seen; it broadcasts to (n, heads, queries, keys).
        """
        if not self._parameters:
            raise RuntimeError(f"{self.path} has no weights yet: call build(input_shape) first")
        get = self._parameters.get
        x = as_float(x, self.path).astype(self._parameters["qkv_weight"].value.dtype, copy=False)
        n, time, features = shape = (*x.shape[:1], *self.output_shape(x.shape[1:]))
        apart = (n, time, self.heads, features // self.heads)
        real = ctx.real(shape)
        if real is not None:
            x = np.where(real[..., None], x, x.dtype.type(0))
            attention_mask = _seen(attention_mask, real, (n, self.heads, time, time))

        def split(qkv: Array) -> Array:
            parts: Array = qkv.reshape(n, time, 3, *apart[2:]).transpose(2, 0, 3, 1, 4)
            return parts

        rows = x.reshape(n * time, features)
        qkv, to_rows = product(
            rows, self._parameters["qkv_weight"], get("qkv_bias"), ctx.input_gradient
        )
        q, k, v = split(qkv)
        scores = np.matmul(q, k.swapaxes(-1, -2))
        weights, to_scores = self.dropout.forward(scores, ctx, mask, attention_mask)
        mixed = np.empty(apart, x.dtype)
        np.matmul(weights, v, out=mixed.swapaxes(1, 2))
        to_mixed: Backward | None = None
        if self.drop_head is not None:
            mixed, to_mixed = self.drop_head.forward(mixed, ctx)
        y, to_heads = product(
            mixed.reshape(n * time, features), self._parameters["out_weight"], get("out_bias")
        )

        def backward(dy: Array) -> Array:
            dy = as_gradient(dy, shape, x.dtype)
            dmixed = to_heads(dy.reshape(n * time, features)).reshape(apart)
            dheads = (to_mixed(dmixed) if to_mixed else dmixed).swapaxes(1, 2)
            dqkv = np.empty_like(qkv)
            dq, dk, dv = split(dqkv)
            np.matmul(weights.swapaxes(-1, -2), dheads, out=dv)
            dscores = to_scores(np.matmul(dheads, v.swapaxes(-1, -2)))
            np.matmul(dscores, k, out=dq)
            np.matmul(dscores.swapaxes(-1, -2), q, out=dk)
            dx = to_rows(dqkv)
            if not ctx.input_gradient:
                return dx
            dx = dx.reshape(shape)
            return dx if real is None else np.where(real[..., None], dx, dx.dtype.type(0))

        return y.reshape(shape), backward

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return ``input_shape``, which is (time, features)."""
        if len(input_shape) != 2 or not input_shape[1] or input_shape[1] % self.heads:
            raise ValueError(
                f"{self.path} needs sequences of shape (time, features), with features that "
                f"{self.heads} heads divide, got {tuple(input_shape)}"
            )
        found = self._parameters["out_weight"].value.shape[0] if self._parameters else None
        if found is not None and input_shape[1] != found:
            raise ValueError(f"{self.path} has {found} features, got {input_shape[1]}")
        return tuple(input_shape)

    def torch_entries(self) -> Entries:
        """Return the parameters as `torch.nn.MultiheadAttention` names them."""
        names = {
            "qkv_weight": "in_proj_weight", "qkv_bias": "in_proj_bias",
            "out_weight": "out_proj.weight", "out_bias": "out_proj.bias",
        }
        return {names[name]: Entry(one, np.transpose) for name, one in self._parameters.items()}
