# One build: the kernels for one instruction set, and the table that names them.

from cpython.pycapsule cimport PyCapsule_New
from libc.math cimport sqrt, sqrtf
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from cydropout._kernels.lanes cimport *
from cydropout._kernels.table cimport *

include "mask.pxi"
include "apply.pxi"
include "stream.pxi"
include "rows.pxi"
include "gaussian.pxi"
include "fused.pxi"
include "steps.pxi"

cdef table_t table

table.digit = digit
table.draw = draw_range
table.apply[<int>FLOAT16] = <apply_fn>apply_range[f16]
table.apply[<int>BFLOAT16] = <apply_fn>apply_range[bf16]
table.apply[<int>FLOAT32] = <apply_fn>apply_range[float]
table.apply[<int>FLOAT64] = <apply_fn>apply_range[double]
table.rows[<int>FLOAT16] = <rows_fn>apply_rows[f16]
table.rows[<int>BFLOAT16] = <rows_fn>apply_rows[bf16]
table.rows[<int>FLOAT32] = <rows_fn>apply_rows[float]
table.rows[<int>FLOAT64] = <rows_fn>apply_rows[double]
table.noise[<int>FLOAT16] = <noise_fn>noise_range[f16]
table.noise[<int>BFLOAT16] = <noise_fn>noise_range[bf16]
table.noise[<int>FLOAT32] = <noise_fn>noise_range[float]
table.noise[<int>FLOAT64] = <noise_fn>noise_range[double]
table.forward[<int>FLOAT32] = <forward_fn>forward_range[float]
table.forward[<int>FLOAT64] = <forward_fn>forward_range[double]
table.backward[<int>FLOAT32] = <backward_fn>backward_range[float]
table.backward[<int>FLOAT64] = <backward_fn>backward_range[double]
table.sgd[<int>FLOAT32] = <step_fn>sgd_range[float]
table.sgd[<int>FLOAT64] = <step_fn>sgd_range[double]
table.adam[<int>FLOAT32] = <step_fn>adam_range[float]
table.adam[<int>FLOAT64] = <step_fn>adam_range[double]
table.rmsprop[<int>FLOAT32] = <step_fn>rmsprop_range[float]
table.rmsprop[<int>FLOAT64] = <step_fn>rmsprop_range[double]


def kernels():
    """The table of this build, as a capsule."""
    return PyCapsule_New(&table, "cydropout._kernels.table_t", NULL)
