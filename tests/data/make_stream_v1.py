"""Write stream_v1.npz from the plain-NumPy tape; run once, when a stream version is made."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import reference

CASES = [
    (0, 0, 0, 300, 0.5),
    (0, 0, 77, 300, 0.1),
    (12345678901234567890, 3, 2**39 - 40, 300, 0.25),
    (2**64 - 1, 2**64 - 2, 5, 300, 0.9),
    (42, 2**32, 2**40 + 1, 300, 1e-9),
    (42, 2**32, 0, 5000, 0.01),
]
words = {
    f"{key}-{draw}-{offset}-{size}-{rate:.10f}": reference.packed(
        reference.keep(key, draw, (size,), rate, offset)
    )
    for key, draw, offset, size, rate in CASES
}
np.savez_compressed(Path(__file__).with_name("stream_v1.npz"), **words)
