"""Exchange with PyTorch; needs ``cydropout[torch]`` where it meets a module of PyTorch's."""

from cydropout.torch.exchange import from_torch, to_torch

__all__ = ["from_torch", "to_torch"]
