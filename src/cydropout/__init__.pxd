"""The C API of cydropout: ``cimport cydropout`` from another Cython package.

Pure C functions over raw buffers, callable without the GIL; the comments stand in
``cydropout/_kernels/api.pxd``.
"""

from cydropout._kernels.api cimport (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    apply_bits,
    apply_dropout,
    draw_bits,
    dtype_t,
    keep_threshold,
)
