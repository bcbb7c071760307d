"""The compiled kernels; importing them takes the build that suits this CPU."""

import sys

if sys.byteorder != "little":
    raise ImportError(
        f"cydropout needs a little-endian processor, and this one is {sys.byteorder}-endian: its "
        "kernels would draw other masks here than elsewhere"
    )

from cydropout._kernels import dispatch

__all__ = ["dispatch"]
