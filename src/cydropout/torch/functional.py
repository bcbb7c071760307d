"""Dropout of tensors: the functions of `torch.nn.functional`, with their arguments."""

from typing import Any

from cydropout.torch import _noise, _operator
from cydropout.torch._torch import torch

F: Any = torch.nn.functional
_ALPHA, _FEATURE_ALPHA = _noise.of("AlphaDropout"), _noise.of("FeatureAlphaDropout")

__all__ = [
    "alpha_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
]


def check_p(p: Any) -> None:
    """Raise `ValueError` unless ``p`` is a probability."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"p is the probability of dropping, between 0 and 1, not {p!r}")


def noisy(
    x: Any, p: float, training: bool, inplace: bool, noise: str, key: Any, own: Any
) -> Any:
    """Return a variant of a tensor: the input itself where nothing is to be done.

    ``own`` is PyTorch's function, for tensors on other devices, or None.
    """
    check_p(p)
    if not training or p == 0.0 or x.numel() == 0:
        return x
    if _operator.elsewhere(x):
        if own is None:
            raise ValueError(f"x is on {x.device}: PyTorch has no such dropout; move it to the CPU")
        return own(x, p, True, inplace)
    if x.dtype not in _operator.DTYPES:
        raise TypeError(f"dropout needs a tensor of floats, not of {x.dtype}")
    y = _operator.dropout(x, float(p), noise, key)
    return x.copy_(y) if inplace else y


def dropout(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: Any = None,
    shared_axes: tuple[int, ...] = (),
) -> Any:
    """y = x / (1 - p) where kept, else 0; each element is dropped with probability ``p``.

    Parameters
    ----------
    input : Tensor
        float16, bfloat16, float32 or float64, of any shape and layout, on the CPU; on another
        device PyTorch's own dropout runs, which is said once.
    p : float
        The probability of dropping.
    training, inplace : bool
        As in `torch.nn.functional.dropout`.
    key : Tensor of int64, optional
        The key of the mask; by default one of PyTorch's default generator.
    shared_axes : tuple of ints
        Axes along which all elements share one decision.

    Raises
    ------
    ValueError
        If ``p`` lies outside [0, 1].
    TypeError
        If the tensor holds no floats.

    Examples
    --------
    >>> import torch
    >>> from cydropout.torch import functional
    >>> y = functional.dropout(torch.ones(4, 8), 0.5, key=torch.tensor([7]))
    >>> sorted(set(y.flatten().tolist()))
    [0.0, 2.0]
    """
    noise = _noise.shared(tuple(shared_axes)) if shared_axes else _noise.ELEMENT
    return noisy(input, p, training, inplace, noise, key, None if shared_axes else F.dropout)


def _of_maps(
    input: Any, p: float, training: bool, inplace: bool, axes: int, key: Any, own: Any
) -> Any:
    """Dropout of whole maps, the last axes; without a batch where there are too few axes."""
    if input.dim() not in (axes + 1, axes + 2):
        raise ValueError(
            f"input must have {axes + 1} or {axes + 2} axes, (batch,) channels and {axes} of "
            f"space, not the shape {tuple(input.shape)}"
        )
    noise = _noise.shared(tuple(range(-axes, 0)))
    return noisy(input, p, training, inplace, noise, key, own)


def dropout1d(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, key: Any = None
) -> Any:
    """y = x / (1 - p) or 0 for each channel of (batch, channels, length); see `dropout`."""
    return _of_maps(input, p, training, inplace, 1, key, F.dropout1d)


def dropout2d(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, key: Any = None
) -> Any:
    """y = x / (1 - p) or 0 for each channel of (batch, channels, height, width); see `dropout`."""
    return _of_maps(input, p, training, inplace, 2, key, F.dropout2d)


def dropout3d(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, key: Any = None
) -> Any:
    """y = x / (1 - p) or 0 for each channel of (batch, channels, d, h, w); see `dropout`."""
    return _of_maps(input, p, training, inplace, 3, key, F.dropout3d)


def alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False, *, key: Any = None
) -> Any:
    """y = a (m x + (1 - m) a') + b, which keeps mean and variance behind SELU; see `dropout`.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", NeurIPS 2017.
    """
    return noisy(input, p, training, inplace, _ALPHA, key, F.alpha_dropout)


def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False, *, key: Any = None
) -> Any:
    """`alpha_dropout` with one decision for each channel of (batch, channels, ...)."""
    return noisy(input, p, training, inplace, _FEATURE_ALPHA, key, F.feature_alpha_dropout)
