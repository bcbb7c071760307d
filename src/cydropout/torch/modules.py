"""Modules: PyTorch's own, as subclasses of them, and the variants that PyTorch lacks."""

from typing import Any

from cydropout.random import MaskStream
from cydropout.torch import _noise, _operator, functional
from cydropout.torch._torch import torch

nn: Any = torch.nn

_HALF = 2**63


class _Keyed:
    """Where the keys of a module come from: PyTorch's default generator, or a stream of its own.

    The state of a stream is two buffers of int64, so it travels with ``state_dict``.
    """

    _drawn = 0

    def use_stream(self, rng: Any) -> None:
        """Take masks from a `MaskStream` from now on, or with None from PyTorch's generator."""
        if rng is not None and not isinstance(rng, MaskStream):
            raise TypeError(f"rng must be None or a MaskStream, not {rng!r}")
        for name in ("mask_key", "next_draw"):
            self._buffers.pop(name, None)  # type: ignore[attr-defined]
        if rng is not None:
            key = rng.key - 2 * _HALF if rng.key >= _HALF else rng.key
            register = self.register_buffer  # type: ignore[attr-defined]
            register("mask_key", torch.tensor([key]))
            register("next_draw", torch.tensor([rng.next_draw]))

    def _next_key(self) -> Any:
        """Return the key of the next mask; a module without a stream leaves it to the operator."""
        buffers = self._buffers  # type: ignore[attr-defined]
        if "next_draw" not in buffers:
            return None
        if not torch.compiler.is_compiling():
            self._check_rewound(int(buffers["next_draw"]))
        key = torch.cat([buffers["mask_key"], buffers["next_draw"]])
        buffers["next_draw"].add_(1)
        return key

    def _check_rewound(self, draw: int) -> None:
        """Raise where a backward pass runs the module again, but draws on from the stream."""
        if torch._C._current_graph_task_id() < 0:
            self._drawn = draw + 1
        elif draw >= self._drawn:
            raise RuntimeError(_operator.NOT_REWOUND)


def _module(own: type, function: Any, maps: int = 0) -> Any:
    """Return the class that stands for one of PyTorch's."""

    def forward(self: Any, input: Any) -> Any:
        if not self.training or self.p == 0.0:
            functional.check_p(self.p)
            return input
        return function(input, self.p, True, self.inplace, key=self._next_key())

    def __init__(self: Any, p: float = 0.5, inplace: bool = False, *, rng: Any = None) -> None:
        own.__init__(self, p, inplace)  # type: ignore[misc]
        self.use_stream(rng)

    doc = f"`torch.nn.{own.__name__}` at the speed of memory, by `functional.{function.__name__}`."
    body = {"forward": forward, "__init__": __init__, "__doc__": doc, "__module__": __name__}
    return type(own.__name__, (_Keyed, own), body)


class Dropout(_Keyed, nn.Dropout):  # type: ignore[misc]
    """`torch.nn.Dropout` at the speed of memory: y = x / (1 - p) where kept, else 0.

    Parameters
    ----------
    p : float
        The probability of dropping; read, like ``training``, at every call.
    inplace : bool
        As in `torch.nn.Dropout`.
    rng : MaskStream, optional
        Where masks come from; by default PyTorch's default generator.
    shared_axes : tuple of ints
        Axes along which all elements share one decision.

    Raises
    ------
    ValueError
        If ``p`` lies outside [0, 1].

    Examples
    --------
    >>> import torch, cydropout.torch as cdt
    >>> layer = cdt.Dropout(0.5)
    >>> isinstance(layer, torch.nn.Dropout), layer(torch.ones(3, 4)).shape
    (True, torch.Size([3, 4]))
    """

    shared_axes: tuple[int, ...] = ()

    def __init__(
        self,
        p: float = 0.5,
        inplace: bool = False,
        *,
        rng: MaskStream | None = None,
        shared_axes: tuple[int, ...] = (),
    ) -> None:
        super().__init__(p, inplace)
        self.use_stream(rng)
        if shared_axes:
            self.shared_axes = tuple(shared_axes)

    def forward(self, input: Any) -> Any:
        """Return dropout of a tensor in training, else the tensor itself."""
        noise = _noise.shared(self.shared_axes) if self.shared_axes else _noise.ELEMENT
        key = self._next_key() if self.training and self._buffers else None
        own = None if self.shared_axes else nn.functional.dropout
        return functional.noisy(input, self.p, self.training, self.inplace, noise, key, own)


Dropout1d = _module(nn.Dropout1d, functional.dropout1d)
Dropout2d = _module(nn.Dropout2d, functional.dropout2d)
Dropout3d = _module(nn.Dropout3d, functional.dropout3d)
AlphaDropout = _module(nn.AlphaDropout, functional.alpha_dropout)
FeatureAlphaDropout = _module(nn.FeatureAlphaDropout, functional.feature_alpha_dropout)


class _Variant(_Keyed, nn.Module):  # type: ignore[misc]
    """A variant that PyTorch lacks: the layer of `cydropout.layers` of the same name.

    Parameters
    ----------
    p : float
        The probability of dropping; read, like ``training``, at every call.
    rng : MaskStream, optional
        Where masks come from; by default PyTorch's default generator.
    **settings
        Those of the layer, by name.
    """

    layer = ""

    def __init__(self, p: float = 0.5, *, rng: MaskStream | None = None, **settings: Any) -> None:
        super().__init__()
        functional.check_p(p)
        self.p = p
        self.settings = settings
        _noise.check(self.layer, p, settings)
        self.noise = _noise.of(self.layer, **settings)
        self.use_stream(rng)

    def forward(self, input: Any) -> Any:
        """Return the variant of a tensor in training, else its mean."""
        functional.check_p(self.p)
        if self.training:
            return functional.noisy(input, self.p, True, False, self.noise, self._next_key(), None)
        if "scaling" not in self.settings:
            return input
        return input * _noise.mean(self.noise, tuple(input.shape), float(self.p))

    def extra_repr(self) -> str:
        """Return p and the settings."""
        return ", ".join([f"p={self.p}", *(f"{k}={v!r}" for k, v in self.settings.items())])


_made = {
    name: type(name, (_Variant,), {
        "layer": name, "__module__": __name__,
        "__doc__": f"`cydropout.layers.{name}` as a module; its settings go by name.",
    })
    for name in _noise.VARIANTS if not hasattr(nn, name)
}
globals().update(_made)
#: The name of timm.
DropPath = _made["StochasticDepth"]


class Zoneout(_Keyed, nn.Module):  # type: ignore[misc]
    """h = h_prev where an element is kept from the step before, with probability p, else h_new.

    At inference the mean, p h_prev + (1 - p) h_new.

    References
    ----------
    Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", 2017.
    """

    def __init__(self, p: float = 0.5, *, rng: MaskStream | None = None) -> None:
        super().__init__()
        functional.check_p(p)
        self.p = p
        self.use_stream(rng)

    def forward(self, new: Any, before: Any) -> Any:
        """Return the state of a step from the one that a cell computed and the one before."""
        functional.check_p(self.p)
        if not self.training:
            return self.p * before + (1 - self.p) * new
        if self.p in (0.0, 1.0):
            return before if self.p else new
        ones = torch.ones_like(new, requires_grad=False)
        updated = functional.dropout(ones.detach(), self.p, key=self._next_key())
        return torch.where(updated != 0, new, before)

    def extra_repr(self) -> str:
        """Return p."""
        return f"p={self.p}"


class PatchDropout(_Keyed, nn.Module):  # type: ignore[misc]
    """y[n, r] = x[n, i(n, r)]: in training each sample keeps ``round((1 - p) * tokens)`` tokens.

    The input is (batch, tokens, ...), the output (batch, kept, ...); ``prefix`` tokens at the front
    always stay. Nothing is scaled.

    References
    ----------
    Liu et al., "PatchDropout: economizing vision transformers using patch dropout", 2023.
    """

    def __init__(self, p: float = 0.5, *, prefix: int = 0, rng: MaskStream | None = None) -> None:
        super().__init__()
        functional.check_p(p)
        _noise.check("PatchDropout", p, {"prefix": prefix})
        self.p, self.prefix = p, prefix
        self.use_stream(rng)

    def forward(self, input: Any) -> Any:
        """Return the tokens that are kept, in their order."""
        functional.check_p(self.p)
        if not self.training or self.p == 0.0:
            return input
        key = self._next_key()
        key = _operator.key_for(input) if key is None else key
        rows = torch.ops.cydropout.kept_tokens(input.detach(), key, float(self.p), self.prefix)
        rows = rows.reshape(*rows.shape, *(1,) * (input.dim() - 2))
        return input.gather(1, rows.expand(*rows.shape[:2], *input.shape[2:]))

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"p={self.p}, prefix={self.prefix}"


class ConcreteDropout(_Keyed, nn.Module):  # type: ignore[misc]
    """y = x (1 - z) / (1 - p), z = sigmoid((logit p + logit u) / t): dropout that learns its p.

    ``penalty(inputs, weight)`` is the term that belongs into the loss.

    Parameters
    ----------
    p : float
        The rate to begin with, between 0 and 1, neither of them included.
    temperature : float
        t; the lower, the closer to dropout.
    rng : MaskStream, optional
        Where the noise comes from; by default PyTorch's default generator.

    References
    ----------
    Gal, Hron, Kendall, "Concrete dropout", NIPS 2017.
    """

    def __init__(
        self, p: float = 0.1, *, temperature: float = 0.1, rng: MaskStream | None = None
    ) -> None:
        super().__init__()
        if not 0.0 < p < 1.0:
            raise ValueError(f"p must lie between 0 and 1, neither of them included, not {p!r}")
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, not {temperature!r}")
        self.logit = nn.Parameter(torch.logit(torch.tensor(float(p))))
        self.temperature = temperature
        self.use_stream(rng)

    @property
    def p(self) -> Any:
        """The rate that has been learned, as a tensor."""
        return torch.sigmoid(self.logit)

    def forward(self, input: Any) -> Any:
        """Return the noisy tensor in training, else the tensor itself."""
        if not self.training:
            return input
        key = self._next_key()
        key = _operator.key_for(input) if key is None else key
        logits = torch.ops.cydropout.logistic(input.detach(), key)
        z = torch.sigmoid((self.logit + logits) / self.temperature)
        return input * (1 - z) / (1 - self.p)

    def penalty(
        self, inputs: int, weight: Any = None, *, weight_regularizer: float = 1e-6,
        dropout_regularizer: float = 1e-5,
    ) -> Any:
        """w_r sum(W**2) / (1 - p) + d_r inputs (p log p + (1 - p) log(1 - p))."""
        p = self.p
        entropy = p * torch.log(p) + (1 - p) * torch.log1p(-p)
        squares = 0.0 if weight is None else weight.square().sum() / (1 - p)
        return weight_regularizer * squares + dropout_regularizer * inputs * entropy

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"p={float(self.p.detach()):.4g}, temperature={self.temperature}"


class DropConnect(_Keyed, nn.Linear):  # type: ignore[misc]
    """y = (m W / (1 - p)) x + b, with a mask over the weights for each batch.

    Parameters are those of `torch.nn.Linear`, and ``p``.

    References
    ----------
    Wan, Zeiler, Zhang, LeCun, Fergus, "Regularization of neural networks using DropConnect", 2013.
    """

    def __init__(
        self, in_features: int, out_features: int, p: float = 0.5, bias: bool = True, *,
        rng: MaskStream | None = None, **options: Any,
    ) -> None:
        functional.check_p(p)
        super().__init__(in_features, out_features, bias, **options)
        self.p = p
        self.use_stream(rng)

    def forward(self, input: Any) -> Any:
        """Return the product with the weights that are kept, in training, else with all."""
        weight = functional.dropout(
            self.weight, self.p, self.training, key=self._next_key() if self.training else None)
        return nn.functional.linear(input, weight, self.bias)

    def extra_repr(self) -> str:
        """Return what `torch.nn.Linear` says, and p."""
        return f"{super().extra_repr()}, p={self.p}"


#: Each class of PyTorch's, and the one that stands for it.
CONVERTED = {
    nn.Dropout: Dropout,
    nn.Dropout1d: Dropout1d,
    nn.Dropout2d: Dropout2d,
    nn.Dropout3d: Dropout3d,
    nn.AlphaDropout: AlphaDropout,
    nn.FeatureAlphaDropout: FeatureAlphaDropout,
}
