"""TransformerBlock: attention and a small network at each position, each beside a shortcut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from cydropout._validate import check_count, check_rate
from cydropout.layers._layer import Layer
from cydropout.layers._settings import Inner, one_config, to_config
from cydropout.layers._state import Entries, joined
from cydropout.layers.attention.multi_head_attention import MultiHeadAttention
from cydropout.layers.dense import Dense
from cydropout.layers.dropout.dropout import Dropout
from cydropout.layers.layer_norm import LayerNorm
from cydropout.layers.residual import Residual
from cydropout.layers.sequential import Layers, Sequential

if TYPE_CHECKING:
    from typing_extensions import Self


class TransformerBlock(Sequential):
    """``h = x + drop(attention(norm(x)))``, and ``y = h + drop(W_2 act(W_1 norm(h)))``.

    ``x`` is (n, time, units). It is a `Sequential` of two `Residual`, whose layers can be had, set
    and scheduled like those of any other. Normalization comes first in each branch, as in
    `torch.nn.TransformerEncoderLayer` with ``norm_first=True``.

    Parameters
    ----------
    units : int
        Features of ``x``.
    heads : int
        Heads of attention, a divisor of ``units``.
    ff_units : int
        Units of the hidden layer of the second branch.
    rate : float
        Of the dropout of the weights of attention, of the hidden layer, and of both branches.
    depth_rate : float
        Of the `StochasticDepth` of both branches.
    head_rate : float
        Of the `DropHead` of the attention.
    causal : bool
        Position ``i`` sees the positions 0 to ``i`` alone.
    activation : str
        Of the hidden layer, as for `Dense`.
    epsilon : float
        Of the normalization.
    max_norm, l1, l2 : float
        Of the weights of attention and of both products, as for `Dense`; one number each.
    dtype : {"float32", "float64"}
        Dtype of the parameters.
    name : str, optional
        Name within a `Sequential`.

    References
    ----------
    Vaswani et al. 2017, "Attention is all you need"; Xiong et al. 2020, "On layer normalization in
    the transformer architecture", ICML 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> layer = layers.TransformerBlock(8, 2, 16, causal=True)
    >>> layer.build((5, 8), 0)
    >>> y, backward = layer.forward(np.ones((1, 5, 8), "f4"), layers.Context())
    >>> y.shape
    (1, 5, 8)
    """

    def __init__(
        self,
        units: int,
        heads: int,
        ff_units: int,
        *,
        rate: float = 0.0,
        depth_rate: float = 0.0,
        head_rate: float = 0.0,
        causal: bool = False,
        activation: str = "gelu",
        epsilon: float = 1e-5,
        max_norm: float | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        check_count("units", units)
        check_count("ff_units", ff_units)
        for key, value in (("depth_rate", depth_rate), ("head_rate", head_rate)):
            check_rate(value, key)
        self._config = {
            "units": units, "heads": heads, "ff_units": ff_units, "rate": rate,
            "depth_rate": depth_rate, "head_rate": head_rate, "causal": causal,
            "activation": activation, "epsilon": epsilon,
        }
        weights: dict[str, Any] = {"max_norm": max_norm, "l1": l1, "l2": l2}
        self._config |= weights
        attention = Residual(
            LayerNorm(epsilon),
            MultiHeadAttention(heads, causal=causal, rate=rate, head_rate=head_rate, **weights),
            Dropout(rate),
            rate=depth_rate,
            name="attention",
        )
        feed_forward = Residual(
            LayerNorm(epsilon),
            Dense(ff_units, activation=activation, **weights),
            Dropout(rate),
            Dense(units, **weights),
            Dropout(rate),
            rate=depth_rate,
            name="feed_forward",
        )
        super().__init__([attention, feed_forward], dtype=dtype, name=name)
        attention.layer.output_shape((1, units))

    def torch_entries(self) -> Entries:
        """Return the parameters as `torch.nn.TransformerEncoderLayer` names them."""
        first, second = (cast("Residual", layer).layer.layers for layer in self.layers)
        named = {
            "self_attn": first[1], "linear1": second[1], "linear2": second[3],
            "norm1": first[0], "norm2": second[0],
        }
        return joined({name: layer.torch_entries() for name, layer in named.items()})

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, and the layers where these have been set since."""
        config = {**self._config, "dtype": self.dtype.name}
        if _settings(self) != _settings(TransformerBlock(**config)):
            with one_config():
                config["layers"] = [to_config(layer) for layer in self.layers]
        return {**config, "name": self.name} if self.named else config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the block that `get_config` described, not built."""
        settings = dict(config)
        with one_config():
            layers = settings.pop("layers", None)
            block = cls(**settings)
            if layers is not None:
                block.is_made = False
                Sequential.__init__(block, layers, dtype=block.dtype, name=settings.get("name"))
        return block

    __repr__ = Layer.__repr__


def _settings(block: Layer) -> list[Any]:
    return [
        (type(layer), [one.read(layer) for one in layer.settings.values()
                       if not isinstance(one, (Inner, Layers))])
        for layer in block.walk() if layer is not block
    ]
