# One build: the kernels for one instruction set, and the table that names them.

from cpython.pycapsule cimport PyCapsule_New
from libc.float cimport DBL_MIN, FLT_MIN
from libc.math cimport fabs, fabsf, log, sqrt, sqrtf
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from cydropout._kernels.simd cimport *
from cydropout._kernels.table cimport *

cdef table_t table


cdef void elements(row_t row, kernel_fn half, kernel_fn brain, kernel_fn single,
                   kernel_fn wide) noexcept:
    """Enter a kernel for every dtype."""
    table.kernels[<int>row][<int>FLOAT16] = half
    table.kernels[<int>row][<int>BFLOAT16] = brain
    table.kernels[<int>row][<int>FLOAT32] = single
    table.kernels[<int>row][<int>FLOAT64] = wide


cdef void reals(row_t row, kernel_fn single, kernel_fn wide) noexcept:
    """Enter a kernel for float32 and float64 alone."""
    elements(row, NULL, NULL, single, wide)


cdef void any_dtype(row_t row, kernel_fn kernel) noexcept:
    """Enter one kernel that serves every dtype, or has none."""
    elements(row, kernel, kernel, kernel, kernel)


table.digit = digit

include "dropout/draw.pxi"
include "dropout/kernel.pxi"
include "dropout/stream.pxi"
include "dropout/rows.pxi"
include "sums/kernel.pxi"
include "noise/kernel.pxi"
include "bias_activation_dropout/kernel.pxi"
include "standout/kernel.pxi"
include "drop_connect/kernel.pxi"
include "softmax/kernel.pxi"
include "losses/kernel.pxi"
include "layer_norm/kernel.pxi"
include "optimizer/kernel.pxi"
include "max_norm/kernel.pxi"
include "submatrix/kernel.pxi"
include "optimizer/rows.pxi"
include "regions/kernel.pxi"
include "drop_block/kernel.pxi"
include "drop_walk/kernel.pxi"
include "cutout/kernel.pxi"
include "zoneout/kernel.pxi"
include "recurrent_dropout/kernel.pxi"
include "recurrence/kernel.pxi"
include "gather/kernel.pxi"
include "subset/kernel.pxi"
include "conv/kernel.pxi"
include "convolve/kernel.pxi"
include "pool/kernel.pxi"
include "batch_norm/kernel.pxi"
include "batch_norm/backward.pxi"


def kernels():
    """The table of this build, as a capsule."""
    return PyCapsule_New(&table, "cydropout._kernels.table_t", NULL)
