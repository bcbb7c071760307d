"""Calls for a host library, which has arrays and threads of its own."""

from cydropout._kernels.api import dropout_at, set_host
from cydropout._kernels.threads import HOST

__all__ = ["HOST", "dropout_at", "set_host"]
