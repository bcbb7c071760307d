"""The compiled kernels; importing them takes the build that suits this CPU."""

from cydropout._kernels import dispatch

__all__ = ["dispatch"]
